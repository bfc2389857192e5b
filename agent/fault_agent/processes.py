"""Which processes of this machine use CUDA, with or without our library, and which pods they belong to."""

import os
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from fault_agent.clock import Clock

LIBRARY = "libscenario_cuda.so"
OWNER_VARIABLE = "SCENARIO_RUNNER_CUDA_OWNER"

_HOST_PID_NAMESPACE = 4026531836  # the kernel's constant for the first one
_DRIVER = re.compile(rb"/libcuda\.so[.0-9]*(?: \(deleted\))?$", re.MULTILINE)
_OURS = re.compile(rb"/%s[^/\n]*$" % re.escape(LIBRARY.encode()), re.MULTILINE)
_POD = re.compile(r"pod([0-9a-f]{8}[-_](?:[0-9a-f]{4}[-_]){3}[0-9a-f]{12})")
_CONTAINER = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Process:
    """One process; `namespace_pid` is its number in its own pid namespace, `start_ticks` since boot."""

    pid: int
    parent: int
    start_ticks: int
    name: str
    namespace_pid: int
    pid_namespace: int
    pod_uid: str | None
    container_id: str | None
    owner: str
    uses_cuda: bool
    has_library: bool

    @property
    def group(self) -> str:
        """Equal for the processes of one container, empty where nothing tells.

        Without a pod in its control group a process may still be a lab's, whose pods are told by their owner's name.
        """
        return self.container_id if self.pod_uid and self.container_id else self.owner


@dataclass(frozen=True)
class Scan:
    """All processes that could be looked at; `unreadable` counts the others."""

    processes: tuple[Process, ...]
    unreadable: int
    host_pid_namespace: bool

    def find(self, pid_namespace: int, namespace_pid: int, start_ticks: int) -> Process | None:
        """The process that knows itself by these numbers, None if it does not run any more."""
        wanted = (pid_namespace, namespace_pid, start_ticks)
        for one in self.processes:
            if (one.pid_namespace, one.namespace_pid, one.start_ticks) == wanted:
                return one
        return None

    def came_by_exec(self, process: Process) -> bool:
        """True if it does not descend from the first process of its container: a probe, or `kubectl exec`."""
        if not process.group:
            return False
        family = (one for one in self.processes if one.group == process.group)
        first = min(family, key=lambda one: (one.start_ticks, one.pid))
        return first.pid not in self._ancestry(process)

    def descends_with_us(self, pid_namespace: int, root_pid: int) -> bool:
        """True if that is an ancestor of the agent itself: whoever else descends from it came by no exec either.

        So it is in a lab that was started through the `exec` of some container runtime.
        """
        own = next((one for one in self.processes if one.pid == os.getpid()), None)
        return own is not None and own.pid_namespace == pid_namespace and root_pid in self._ancestry(own)

    def _ancestry(self, process: Process) -> set[int]:
        parents = {one.pid: one.parent for one in self.processes}
        found: set[int] = set()
        pid = process.pid
        while pid and pid not in found:
            found.add(pid)
            pid = parents.get(pid, 0)
        return found


class Scans:
    """The newest scan: with thousands of processes one takes a second of CPU time, and callers poll."""

    def __init__(self, clock: Clock, look: Callable[[], Scan]) -> None:
        self._clock = clock
        self._look = look
        self._lock = threading.Lock()
        self._newest: tuple[float, Scan] | None = None

    def since(self, moment: float) -> Scan:
        """A scan that was begun at `moment` or later, in seconds since boot."""
        with self._lock:
            if self._newest is None or self._newest[0] < moment:
                self._newest = (self._clock.since_boot(), self._look())
            return self._newest[1]


def scan(proc: Path = Path("/proc")) -> Scan:
    """Look at every process once; those that end meanwhile are left out."""
    processes: list[Process] = []
    unreadable = 0
    for folder in _numbered(proc):
        try:
            processes.append(_process(folder))
        except PermissionError:
            unreadable += 1
        except (OSError, ValueError, IndexError):
            continue  # it has ended
    return Scan(tuple(processes), unreadable, _namespace(proc / "self") == _HOST_PID_NAMESPACE)


def _numbered(proc: Path) -> Iterable[Path]:
    return sorted((path for path in proc.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))


def _process(folder: Path) -> Process:
    head, _, tail = (folder / "stat").read_text(errors="replace").rpartition(")")
    fields = tail.split()
    maps = (folder / "maps").read_bytes()
    uses_cuda, has_library = _DRIVER.search(maps) is not None, _OURS.search(maps) is not None
    cgroup = (folder / "cgroup").read_text(errors="replace")
    pod, container = _POD.search(cgroup), _CONTAINER.findall(cgroup)
    pid = int(folder.name)
    return Process(
        pid=pid,
        parent=int(fields[1]),
        start_ticks=int(fields[19]),
        name=head.partition("(")[2],
        namespace_pid=_namespace_pid(folder, pid),
        pid_namespace=_namespace(folder) if maps else 0,
        pod_uid=pod.group(1).replace("_", "-") if pod else None,
        container_id=container[-1] if container else None,
        owner=_owner(folder) if uses_cuda or has_library else "",
        uses_cuda=uses_cuda,
        has_library=has_library,
    )


def _namespace(folder: Path) -> int:
    return int((folder / "ns" / "pid").readlink().name.strip("pid:[]"))


def _namespace_pid(folder: Path, pid: int) -> int:
    status = (folder / "status").read_text(errors="replace")
    line = next((line for line in status.splitlines() if line.startswith("NSpid:")), f"NSpid: {pid}")
    return int(line.split()[-1])


def _owner(folder: Path) -> str:
    prefix = f"{OWNER_VARIABLE}=".encode()
    for entry in (folder / "environ").read_bytes().split(b"\0"):
        if entry.startswith(prefix):
            return entry.removeprefix(prefix).decode(errors="replace")
    return ""
