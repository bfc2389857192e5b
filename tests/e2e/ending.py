"""Takes a cluster away, whatever is left of it: also after its starter was killed in the middle of something."""

import shutil
import time
from contextlib import suppress
from pathlib import Path

from tests.e2e import network, owner, watchers
from tests.e2e.cgroups import Group
from tests.e2e.place import CLUSTERS, Place, Trouble


def down(place: Place) -> None:
    """Raises Trouble naming what could not be removed. Nothing happens where there is no cluster."""
    Group(place.group).kill()  # whatever the cluster started is in there; mounts end with their processes
    network.remove(place)
    Group(place.group).remove()
    _remove_folder(place.state)
    watchers.restore()
    with suppress(OSError):  # others may have clusters too
        CLUSTERS.rmdir()
    if left := leftovers(place):
        raise Trouble(f"These parts of cluster {place.name} are left: {', '.join(left)}.")


def leftovers(place: Place) -> list[str]:
    """What there is of the cluster on this machine, in words."""
    found = [f"process {number}" for number in Group(place.group).processes()]
    found += [f"control group {folder}" for folder in Group(place.group).folders()]
    found += [f"network namespace {path.name}" for path in network.namespaces(place)]
    found += [f"mount {point}" for point in _mounts() if _belongs_to(point, place)]
    found += [f"folder {place.state}"] if place.state.exists() else []
    return found


def is_orphaned(place: Place) -> bool:
    """Nobody will take this cluster away: whoever started it for itself, or was still starting it, is gone."""
    if not place.state.exists():
        return False
    found = owner.read(place)
    return found is None or (not found.lives and (not found.kept or not place.ready.exists()))


def _mounts() -> list[str]:
    return [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]


def _belongs_to(point: str, place: Place) -> bool:
    return point == str(place.state) or point.startswith(f"{place.state}/")


def _remove_folder(folder: Path, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)  # a mount of a process that has just ended may be in the way
