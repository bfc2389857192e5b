"""Builds the stand-in for NVIDIA's driver, which lets the pods of a lab really use CUDA without any GPU."""

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

import scenario_runner

_SOURCES = Path(scenario_runner.__file__).parents[1] / "cuda_lib"


def build_driver(sources: Path = _SOURCES) -> tuple[str, str]:
    """Its folder and "", or "" and a sentence why there is none. Only what has changed is built, by one at a time."""
    missing = [tool for tool in ("make", "gcc") if shutil.which(tool) is None]
    if not (sources / "Makefile").is_file():
        return "", "This installation came without the sources of the CUDA library."
    if missing:
        return "", f"There is no {' and no '.join(missing)} on this machine."
    folder = sources / "build"
    try:
        folder.mkdir(exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            command = ["make", "-s", "-C", str(sources), "stub", f"PYTHON={sys.executable}"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return "", f"The stand-in driver can not be built in {folder}: {error.strerror}."
    if done.returncode != 0:
        last = (done.stderr.strip() or "make said nothing").splitlines()[-1]
        return "", f"The stand-in driver could not be built: {last}"
    return str(folder / "stub"), ""
