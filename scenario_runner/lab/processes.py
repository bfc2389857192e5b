"""The processes of a lab: found by a mark in their environment, and ended for good."""

import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

LAB_MARK = "SCENARIO_RUNNER_LAB"
NODE_MARK = "SCENARIO_RUNNER_NODE"

_PROC = Path("/proc")
_KEEPER = b"scenario_runner.lab.keeper"


def marked(lab_id: str, node: str | None = None) -> set[int]:
    """Pids of all living processes that were started inside the lab (in pods of `node`, if given)."""
    marks = [f"\0{LAB_MARK}={lab_id}\0".encode()]
    if node is not None:
        marks.append(f"\0{NODE_MARK}={node}\0".encode())
    return {pid for pid in _pids() if all(mark in _environment(pid) for mark in marks)}


def lab_of(folder: Path) -> str:
    """The id of the lab that runs with its files in this folder, as the command line of its keeper says; "" if none."""
    for pid in _pids():
        arguments = _read(pid, "cmdline").split(b"\0")
        if _KEEPER in arguments and bytes(folder) in arguments:
            variables = dict(one.partition(b"=")[::2] for one in _read(pid, "environ").split(b"\0"))
            if lab_id := variables.get(LAB_MARK.encode()):
                return lab_id.decode()
    return ""


def descendants(ancestor: int) -> set[int]:
    """Pids of everything that descends from a process, zombies left out."""
    parents = {pid: _parent(pid) for pid in _pids()}
    found: set[int] = set()
    fresh = {ancestor}
    while fresh:
        fresh = {pid for pid, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return {pid for pid in found if start_time(pid)}


def start_time(pid: int) -> str:
    """When a process was started, in ticks since boot; "" when it is gone or a zombie. With the pid it is unique."""
    rest = _stat(pid)
    return "" if not rest or rest[0] in {"Z", "X"} else rest[19]


def end_all(find: Callable[[], Iterable[int]], grace: float, reap: Callable[[], None] = lambda: None) -> None:
    """TERM to every process that `find` names, KILL after `grace` to what is there then; waits until none is."""
    for pid in find():
        send(pid, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while True:
        reap()
        left = set(find())
        if not left:
            return
        if time.monotonic() >= deadline:
            for pid in left:
                send(pid, signal.SIGKILL)
        time.sleep(0.01)


def send(pid: int, number: int) -> None:
    """Send a signal to a process that may be gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _pids() -> list[int]:
    return [int(one.name) for one in _PROC.iterdir() if one.name.isdigit()]


def _environment(pid: int) -> bytes:
    return b"\0" + _read(pid, "environ")


def _read(pid: int, name: str) -> bytes:
    try:
        return (_PROC / str(pid) / name).read_bytes()
    except OSError:  # gone, or somebody else's
        return b""


def _parent(pid: int) -> int:
    rest = _stat(pid)
    return int(rest[1]) if rest else 0


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; the name before them may hold anything."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()
