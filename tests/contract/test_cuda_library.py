"""Where the runner finds the CUDA library, and what it says when it can not be used."""

import platform
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from scenario_runner.adapters.cuda_library import VARIABLE, CudaLibraryFiles
from scenario_runner.errors import StepBroken

ROOT = Path(__file__).parent.parent.parent
HERE = platform.machine()


def refusal(machine):
    with pytest.raises(StepBroken) as refused:
        CudaLibraryFiles().library(machine)
    return str(refused.value)


@pytest.fixture
def named(tmp_path, monkeypatch):
    """A file that the variable names."""
    file = tmp_path / "library.so"
    monkeypatch.setenv(VARIABLE, str(file))
    return file


@pytest.mark.xdist_group("cuda-library")
def test_in_a_clone_it_is_built_from_the_sources_when_it_is_needed(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    found = CudaLibraryFiles().library(HERE)
    assert (found.machine, found.content[:4]) == (HERE, b"\x7fELF")


def test_a_library_that_is_named_is_taken_as_it_is(named):
    content = b"\x7fELF" + bytes(14) + (62).to_bytes(2, "little") + b"rest"
    named.write_bytes(content)
    assert CudaLibraryFiles().library("x86_64").content == content


def test_a_file_that_is_not_there_is_named(named):
    assert refusal(HERE) == f"the CUDA library {named} can not be read: No such file or directory"


def test_a_file_that_is_no_library_is_named(named):
    named.write_text("#!/bin/sh\n")
    assert refusal(HERE) == f"the CUDA library {named} is no shared object"


def test_a_library_for_another_machine_is_refused_before_it_reaches_a_pod(named):
    named.write_bytes(b"\x7fELF" + bytes(14) + (183).to_bytes(2, "little"))
    assert refusal("x86_64") == (
        "the CUDA library is built for aarch64, and the nodes are x86_64: build it for them (cuda_lib/README.md) and "
        f"say where it is with {VARIABLE}"
    )


def test_nothing_is_built_for_a_machine_that_this_is_not(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    place = ROOT / "cuda_lib" / "build" / "riscv64" / "libscenario_cuda.so"
    assert refusal("riscv64") == f"the CUDA library {place} can not be read: No such file or directory"


@pytest.mark.xdist_group("cuda-library")
@pytest.mark.timeout(180)
def test_a_wheel_brings_the_library_along(tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, ROOT]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        assert f"scenario_runner/cuda/{HERE}/libscenario_cuda.so" in files.namelist()
