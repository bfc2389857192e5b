"""Where the sources of the CUDA library are, what the package brought along, and where new builds go."""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import scenario_runner

LIBRARY = "libscenario_cuda.so"
PACKAGE = Path(scenario_runner.__file__).parent


@dataclass(frozen=True)
class CudaPlaces:
    """`package` is the folder of the installed package, `state` where the program keeps what outlives a run."""

    state: Path
    package: Path = PACKAGE

    @property
    def sources(self) -> Path:
        """In a clone they lie beside the package, an installed package has a copy."""
        beside = self.package.parent / "cuda_lib"
        return beside if self._is_clone else self.package / "cuda" / "sources"

    def packed(self, machine: str) -> Path:
        """What came built with an installed package, for that machine: the library, and `stub/` with a driver."""
        return self.package / "cuda" / machine

    def builds(self, machine: str, here: str) -> Path:
        """Where what is built for a machine goes; `here` is the machine that we are."""
        if self._is_clone:
            return self.sources / "build" if machine == here else self.sources / "build" / machine
        return self.state / "cuda" / version("scenario-runner") / machine

    @property
    def _is_clone(self) -> bool:
        return (self.package.parent / "cuda_lib" / "build.py").is_file()
