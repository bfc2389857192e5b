"""Finds the CUDA library: the one that was named, that was built, that came with the package; or builds it."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from scenario_runner.adapters.cuda_places import LIBRARY, PACKAGE, CudaPlaces
from scenario_runner.core.ports import CudaLibrary
from scenario_runner.errors import StepBroken

VARIABLE = "SCENARIO_RUNNER_CUDA_LIBRARY"
_MACHINES = {62: "x86_64", 183: "aarch64"}  # e_machine of an ELF header
_BUILD = "`scenario-runner cuda build` does that where gcc and make are"


class CudaLibraryFiles:
    """Implements `core.ports.CudaLibraries`."""

    def __init__(self, state: Path, package: Path = PACKAGE) -> None:
        self._places = CudaPlaces(state, package)

    def library(self, machine: str) -> CudaLibrary:
        found = read_library(self._path(machine))
        if found.machine != machine:
            raise StepBroken(
                f"the CUDA library is built for {found.machine}, and the nodes are {machine}: build it for them "
                f"(cuda_lib/README.md) and say where it is with {VARIABLE}"
            )
        return found

    def build(self, compiler: str) -> Path:
        """Build it for the machine that `compiler` compiles for, and say where; StepBroken with a sentence."""
        folder = self._places.builds(_target_of(compiler), platform.machine())
        script = self._places.sources / "build.py"
        if not script.is_file():
            raise StepBroken("this installation has no sources of the CUDA library")
        command = [sys.executable, str(script), str(folder), compiler]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own script
        if done.returncode != 0:
            raise StepBroken(done.stderr.strip() or f"the CUDA library could not be built in {folder}")
        return Path(done.stdout.strip())

    def _path(self, machine: str) -> Path:
        named = os.environ.get(VARIABLE)
        if named:
            return Path(named)
        here = platform.machine()
        built, packed = self._places.builds(machine, here) / LIBRARY, self._places.packed(machine) / LIBRARY
        in_clone = built.is_relative_to(self._places.sources)
        if in_clone and machine == here:
            return self.build("gcc")  # does nothing where it is up to date
        if in_clone or built.is_file():
            return built
        if not packed.is_file():
            raise StepBroken(f"this installation has no CUDA library for {machine}: build one ({_BUILD})")
        return packed


def read_library(path: Path) -> CudaLibrary:
    """Raise StepBroken for what is no shared object."""
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise StepBroken(f"the CUDA library {path} can not be read: {exc.strerror}") from exc
    if content[:4] != b"\x7fELF":
        raise StepBroken(f"the CUDA library {path} is no shared object")
    machine = int.from_bytes(content[18:20], "little")
    return CudaLibrary(content, _MACHINES.get(machine, f"machine {machine}"))


def _target_of(compiler: str) -> str:
    """The machine that a compiler compiles for; ours where there is no such compiler, which building will tell."""
    found = shutil.which(compiler)
    if found is None:
        return platform.machine()
    done = subprocess.run([found, "-dumpmachine"], capture_output=True, text=True, check=False)  # noqa: S603 - asked for
    return done.stdout.partition("-")[0].strip() or platform.machine()
