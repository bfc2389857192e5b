"""Packs the library, the stand-in driver of labs and the sources of both into the wheel of scenario-runner.

Without a compiler the wheel has the sources only, of which `scenario-runner cuda build` makes the library.
"""

import importlib.util
import platform
import shutil
from pathlib import Path
from types import ModuleType

from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
SOURCES = ("Makefile", "build.py", "generate.py", "metadata/*.csv", "src/*", "stub/*")
DRIVER = ("libcuda.so.1", "libnvidia-ml.so.1")


class BuildPy(build_py):
    """Builds as usual, then adds `scenario_runner/cuda/`: `<machine>/` with what is built, and `sources/`."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return  # an installation from a clone builds it when it is needed
        place = Path(self.build_lib) / "scenario_runner" / "cuda"
        for pattern in SOURCES:
            for file in HERE.glob(pattern):
                _copy(file, place / "sources" / file.relative_to(HERE))
        builder = _neighbour("build")
        try:
            library = builder.build(HERE / "build", what="all")
        except builder.CannotBuild as error:
            self.announce(f"The wheel gets no CUDA library: {error}", level=4)
            return
        machine = place / platform.machine()
        _copy(library, machine / library.name)
        for name in DRIVER:
            _copy(library.parent / "stub" / name, machine / "stub" / name)


def _copy(file: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, to)


def _neighbour(name: str) -> ModuleType:
    """A file beside this one: setuptools loads this file alone, outside of any package."""
    spec = importlib.util.spec_from_file_location(f"cuda_lib_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
