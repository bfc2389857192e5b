"""Builds the library, the stand-in driver and the client programs."""

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cuda_lib.node import Built, Node

HERE = Path(__file__).parent
CUDA_LIB = HERE.parent.parent / "cuda_lib"
SOURCES = CUDA_LIB / "src"
PROGRAMS = HERE / "programs"


@pytest.fixture(scope="session")
def compiler():
    found = shutil.which("gcc")
    if found is None:
        pytest.skip("there is no gcc")
    return found


@pytest.fixture(scope="session")
def compiled(tmp_path_factory, compiler):
    """Builds a program of this folder once."""
    folder = tmp_path_factory.mktemp("programs")

    def build(name, *sources, library_sources=(), flags=(), compiler=compiler):
        program = folder / name
        if not program.exists():
            files = [*(PROGRAMS / one for one in sources), *(SOURCES / one for one in library_sources)]
            command = [compiler, "-O1", "-g", "-Wall", f"-I{SOURCES}", *map(str, files), "-o", str(program), *flags]
            subprocess.run(command, check=True)
        return program

    return build


def make(*arguments):
    """`make` in cuda_lib, one at a time on this machine."""
    target = CUDA_LIB / "build"
    target.mkdir(exist_ok=True)
    with (target / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(["make", "-s", "-C", str(CUDA_LIB), *arguments], check=True)


@pytest.fixture(scope="session")
def built(compiler):
    make()
    return Built(CUDA_LIB / "build" / "libscenario_cuda.so", CUDA_LIB / "build" / "stub")


@pytest.fixture(scope="session")
def steps(compiled):
    return compiled("steps", "steps.c", flags=("-w", "-pthread", "-ldl"))


@pytest.fixture(scope="session")
def virtual_time(compiled):
    """A library to preload: waiting costs no time, and how long a call was made to wait is exact."""
    return compiled("virtual_time.so", "virtual_time.c", flags=("-shared", "-fPIC"))


@pytest.fixture
def node(built, tmp_path, steps):
    made = Node(built, tmp_path, steps)
    yield made
    made.end()
