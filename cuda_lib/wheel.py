"""Packs the library into the wheel of scenario-runner where a compiler is at hand; without one the wheel has none."""

import importlib.util
import platform
import shutil
from pathlib import Path
from types import ModuleType

from setuptools.command.build_py import build_py

HERE = Path(__file__).parent


class BuildPy(build_py):
    """Builds as usual, then adds `scenario_runner/cuda/<machine>/libscenario_cuda.so`."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return  # an installation from a clone builds it when it is needed
        builder = _neighbour("build")
        try:
            library = builder.build(HERE / "build")
        except builder.CannotBuild as error:
            self.announce(f"The wheel gets no CUDA library: {error}", level=4)
            return
        place = Path(self.build_lib) / "scenario_runner" / "cuda" / platform.machine()
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, place / library.name)


def _neighbour(name: str) -> ModuleType:
    """A file beside this one: setuptools loads this file alone, outside of any package."""
    spec = importlib.util.spec_from_file_location(f"cuda_lib_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
