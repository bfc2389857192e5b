"""The library can be built from Python, and what is missing is said in one sentence."""

import importlib.util

import pytest

from tests.cuda_lib.conftest import CUDA_LIB


@pytest.fixture(scope="module")
def builder():
    specification = importlib.util.spec_from_file_location("cuda_lib_build", CUDA_LIB / "build.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_a_compiler_that_is_not_there_is_named(builder, tmp_path):
    with pytest.raises(builder.CannotBuild) as caught:
        builder.build(tmp_path, compiler="no-such-gcc")
    expected = "There is no no-such-gcc on this machine, which building the CUDA library needs."
    assert str(caught.value) == expected


def test_a_compiler_that_fails_is_quoted(builder, tmp_path):
    broken = tmp_path / "broken-gcc"
    broken.write_text("#!/bin/sh\necho no space left >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(
        builder.CannotBuild, match=r"^The CUDA library could not be built with .*broken-gcc: make.*: .*"
    ):
        builder.build(tmp_path / "out", compiler=str(broken))


def test_the_library_is_built_where_it_is_wanted(builder, compiler, tmp_path):
    library = builder.build(tmp_path / "out", compiler=compiler)
    assert library == tmp_path / "out" / "libscenario_cuda.so"
    assert library.read_bytes()[:4] == b"\x7fELF"
