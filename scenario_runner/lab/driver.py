"""Builds the stand-in for NVIDIA's driver, which lets the pods of a lab really use CUDA without any GPU."""

import fcntl
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from scenario_runner.adapters.cuda_places import CudaPlaces
from scenario_runner.lab.layout import labs_folder


def find_driver() -> tuple[str, str]:
    """Its folder and "": the one that came with the package, or one that is built; or "" and why there is none."""
    places, machine = CudaPlaces(labs_folder(os.environ).parent), platform.machine()
    packed = places.packed(machine) / "stub"
    if (packed / "libcuda.so.1").is_file():
        return str(packed), ""
    return build_driver(places.sources, places.builds(machine, machine))


def build_driver(sources: Path, folder: Path) -> tuple[str, str]:
    """The same of a build. Only what has changed is built, by one at a time."""
    missing = [tool for tool in ("make", "gcc") if shutil.which(tool) is None]
    if not (sources / "Makefile").is_file():
        return "", "This installation came without the sources of the CUDA library."
    if missing:
        return "", f"There is no {' and no '.join(missing)} on this machine."
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            command = ["make", "-s", "-C", str(sources), "stub", f"BUILD={folder.resolve()}"]
            done = subprocess.run([*command, f"PYTHON={sys.executable}"], capture_output=True, text=True, check=False)
    except OSError as error:
        return "", f"The stand-in driver can not be built in {folder}: {error.strerror}."
    if done.returncode != 0:
        last = (done.stderr.strip() or "make said nothing").splitlines()[-1]
        return "", f"The stand-in driver could not be built: {last}"
    return str(folder / "stub"), ""
