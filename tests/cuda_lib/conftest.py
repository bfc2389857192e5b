import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCES = HERE.parent.parent / "cuda_lib" / "src"


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """Builds a program of this folder; without a compiler the test is skipped, as is what it would have tested."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    folder = tmp_path_factory.mktemp("programs")

    def build(name, source, library_sources=()):
        program = folder / name
        sources = [HERE / source, *(SOURCES / one for one in library_sources)]
        subprocess.run(
            [compiler, "-O1", "-g", "-Wall", "-Wextra", "-Werror", f"-I{SOURCES}", *sources, "-o", program], check=True
        )
        return program

    return build
