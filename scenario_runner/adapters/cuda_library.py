"""Finds the CUDA library: the one that was named, that came with the package, or built from the sources beside it."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import scenario_runner
from scenario_runner.core.ports import CudaLibrary
from scenario_runner.errors import StepBroken

VARIABLE = "SCENARIO_RUNNER_CUDA_LIBRARY"
_FILE = "libscenario_cuda.so"
_MACHINES = {62: "x86_64", 183: "aarch64"}  # e_machine of an ELF header


class CudaLibraryFiles:
    """Implements `core.ports.CudaLibraries`."""

    def library(self, machine: str) -> CudaLibrary:
        found = self._read(self._path(machine))
        if found.machine != machine:
            raise StepBroken(
                f"the CUDA library is built for {found.machine}, and the nodes are {machine}: build it for them "
                f"(cuda_lib/README.md) and say where it is with {VARIABLE}"
            )
        return found

    def _path(self, machine: str) -> Path:
        named = os.environ.get(VARIABLE)
        if named:
            return Path(named)
        package = Path(scenario_runner.__file__).parent
        packed = package / "cuda" / machine / _FILE
        return packed if packed.is_file() else self._built(package.parent / "cuda_lib", machine)

    def _built(self, sources: Path, machine: str) -> Path:
        if not (sources / "build.py").is_file():
            raise StepBroken(f"this installation has no CUDA library: build one and say where it is with {VARIABLE}")
        if machine != platform.machine():
            return sources / "build" / machine / _FILE
        done = subprocess.run(  # noqa: S603 - our own script
            [sys.executable, str(sources / "build.py")], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise StepBroken(done.stderr.strip() or f"the CUDA library could not be built in {sources}")
        return Path(done.stdout.strip())

    def _read(self, path: Path) -> CudaLibrary:
        try:
            content = path.read_bytes()
        except OSError as exc:
            raise StepBroken(f"the CUDA library {path} can not be read: {exc.strerror}") from exc
        if content[:4] != b"\x7fELF":
            raise StepBroken(f"the CUDA library {path} is no shared object")
        machine = int.from_bytes(content[18:20], "little")
        return CudaLibrary(content, _MACHINES.get(machine, f"machine {machine}"))
