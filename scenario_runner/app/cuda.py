"""`cuda build`: the library for machines that the package brought none for."""

from scenario_runner.adapters.cuda_library import CudaLibraryFiles, read_library
from scenario_runner.app.files import state_folder


def build(compiler: str) -> str:
    """Where it is and for which kind of machine; raise StepBroken where it can not be built."""
    path = CudaLibraryFiles(state_folder()).build(compiler)
    return f"{path}, for {read_library(path).machine}"
