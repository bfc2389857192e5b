"""Control groups: everything that a cluster starts lives in one group of each hierarchy, so that nothing gets lost."""

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.place import Trouble

_MOUNTS = Path("/sys/fs/cgroup")
_WANTED = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "systemd")
_NEEDED = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "pids")
_SHARES = 1024  # what a group gets that says nothing

# A shell joins the groups and becomes the program: a function between fork and exec would be unsafe with threads.
_JOIN = (
    'group=$1; shift; for one in {}; do echo 0 > /sys/fs/cgroup/$one/$group/cgroup.procs || exit 97; done; exec "$@"'
)


def hierarchies() -> tuple[str, ...]:
    """Those of this machine that a node uses."""
    return tuple(name for name in _WANTED if (_MOUNTS / name).is_dir())


def require_v1(mounts: Path = _MOUNTS) -> None:
    """Raises Trouble on a machine that has not got the hierarchies of version 1."""
    missing = [name for name in _NEEDED if not (mounts / name).is_dir()]
    if (mounts / "cgroup.controllers").exists():
        raise Trouble(
            "This machine has control groups of version 2 only, and the nodes are built from version 1: boot it with "
            "systemd.unified_cgroup_hierarchy=0."
        )
    if missing:
        raise Trouble(f"These control group hierarchies are not mounted under {mounts}: {', '.join(missing)}.")


@dataclass(frozen=True)
class Group:
    """`path` is relative to every hierarchy."""

    path: str

    def below(self, name: str) -> "Group":
        return Group(f"{self.path}/{name}")

    def make(self, shares: int = 1) -> None:
        """With so many of the usual shares when others want the processors, too."""
        for hierarchy in hierarchies():
            folder = _MOUNTS / hierarchy / self.path
            folder.mkdir(parents=True, exist_ok=True)
            if hierarchy == "cpu":
                (folder / "cpu.shares").write_text(str(_SHARES * shares))
            if hierarchy == "cpuset":  # a new one has no processors, and nobody can join it
                for name in ("cpuset.cpus", "cpuset.mems"):
                    if not (folder / name).read_text().strip():
                        (folder / name).write_text((folder.parent / name).read_text())

    def joined(self, command: Sequence[str | Path]) -> list[str]:
        """A command line that joins the group in every hierarchy and then is `command`."""
        return ["sh", "-c", _JOIN.format(" ".join(hierarchies())), "sh", self.path, *(str(part) for part in command)]

    def processes(self) -> tuple[int, ...]:
        """Of this group and all below, as the machine counts them."""
        found: list[int] = []
        for folder, _, _ in os.walk(_MOUNTS / "pids" / self.path):
            with suppress(OSError):  # a group may vanish while it is looked at
                found += [int(line) for line in Path(folder, "cgroup.procs").read_text().split()]
        return tuple(found)

    def kill(self, seconds: float = 20.0) -> None:
        """End every process in it, those forked meanwhile too; raises Trouble if some outlive it."""
        deadline = time.monotonic() + seconds
        while left := [one for one in self.processes() if one != os.getpid()]:
            for one in left:
                with suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise Trouble(f"These processes of group {self.path} do not end: {left}.")
            time.sleep(0.05)

    def remove(self, seconds: float = 20.0) -> None:
        """It and all below it in every hierarchy; a group stays busy for a moment after its last process."""
        deadline = time.monotonic() + seconds
        while left := self.folders():
            for top in left:
                for folder, _, _ in os.walk(top, topdown=False):
                    with suppress(OSError):
                        Path(folder).rmdir()
            if time.monotonic() > deadline:
                raise Trouble(f"These control groups can not be removed: {', '.join(map(str, left))}.")
            time.sleep(0.02)

    def folders(self) -> list[Path]:
        """What there is of it."""
        return [path for name in hierarchies() if (path := _MOUNTS / name / self.path).exists()]


def processes(group: Group) -> list[tuple[int, str]]:
    """The number and the program (its file name) of each process in `group`."""
    found = []
    for number in group.processes():
        with suppress(OSError):
            command = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")[0].decode("utf-8", "replace")
            found.append((number, Path(command).name))
    return found
