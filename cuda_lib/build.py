"""Builds the library from Python: `python build.py [DIRECTORY [COMPILER]]` prints the path of what was built.

The Makefile is the one place that knows how; this only calls it and turns what is missing into one sentence.
"""

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


class CannotBuild(Exception):
    """The message is one sentence that says what is missing or wrong."""


def build(directory: Path = HERE / "build", compiler: str = "gcc", what: str = "library") -> Path:
    """Build the library (or "all": the stand-in driver too) in `directory`, return its path; raises CannotBuild."""
    for tool in ("make", compiler):
        if shutil.which(tool) is None:
            raise CannotBuild(f"There is no {tool} on this machine, which building the CUDA library needs.")
    command = ["make", "-s", "-C", str(HERE), what, f"BUILD={directory.resolve()}", f"CC={compiler}"]
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two builds in one folder would read each other's half-written files
        done = subprocess.run([*command, f"PYTHON={sys.executable}"], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        last = (done.stderr.strip() or "it said nothing").splitlines()[-1]
        raise CannotBuild(f"The CUDA library could not be built with {compiler}: {last}")
    return directory / "libscenario_cuda.so"


def main(arguments: list[str]) -> int:
    try:
        folder, compiler = (*arguments, *(str(HERE / "build"), "gcc")[len(arguments) :])
        sys.stdout.write(f"{build(Path(folder), compiler)}\n")
    except CannotBuild as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
