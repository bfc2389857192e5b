"""The components that the keeper runs: which are up, which are to be started when, and what their logs say."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from scenario_runner.lab import forking
from scenario_runner.lab.components import API_SERVER, SETUP, Component
from scenario_runner.lab.layout import Layout
from scenario_runner.lab.processes import marked, send, start_time

_RESTART_AFTER = 0.5  # seconds after a crash
_TAIL = 12  # lines of a log in an error


@dataclass
class Member:
    """One component. `pid` is 0 while it does not run, `due` the moment it is to be started (None: not)."""

    component: Component
    pid: int = 0
    log_from: int = 0
    due: float | None = None
    restarts: int = 0
    code: int | None = None


@dataclass(frozen=True)
class MemberState:
    """What `status` tells about one component."""

    name: str
    pid: int
    state: str  # starting, up, down, done
    restarts: int


class Staff:
    """While `is_keeping`, what ends without being asked to is started again; the API server can not be."""

    def __init__(self, layout: Layout, let_go: Callable[[], None]) -> None:
        self._layout = layout
        self._let_go = let_go
        self._members: dict[str, Member] = {}
        self.is_keeping = False
        self.is_lost = False

    def start(self, component: Component) -> None:
        member = self._members.setdefault(component.name, Member(component))
        log = self._layout.log(component.name)
        log.touch(0o600)
        member.log_from = log.stat().st_size
        member.due, member.code = None, None
        member.pid = forking.fork_component(component, log, self._let_go)

    def start_due(self) -> None:
        now = time.monotonic()
        for member in self._members.values():
            if member.due is not None and member.due <= now:
                self.start(member.component)

    def soonest(self) -> float:
        """Seconds until something is to be started."""
        dues = [member.due for member in self._members.values() if member.due is not None]
        return max(0.0, min(dues, default=float("inf")) - time.monotonic())

    def ended(self, pid: int, code: int) -> None:
        member = next((one for one in self._members.values() if one.pid == pid), None)
        if member is None:  # an orphan, or taken down by us
            return
        member.pid, member.code = 0, code
        if not self.is_keeping or member.component.name == SETUP:
            return
        if member.component.name == API_SERVER:
            self.is_lost = True
        else:
            member.restarts += 1
            member.due = time.monotonic() + _RESTART_AFTER

    def is_ready(self, name: str) -> bool:
        member = self._members[name]
        if name == SETUP:
            return member.code == 0
        return member.pid != 0 and self._said_ready(member)

    def failure(self) -> str:
        """A sentence with the log of a component that ended during the start; "" if none did."""
        for name, member in self._members.items():
            if member.code is not None and not (name == SETUP and member.code == 0):
                how = f"ended with code {member.code}" if member.code >= 0 else f"was ended by signal {-member.code}"
                return f"The lab's {name} {how}. The end of its log:\n{self._tail(name)}"
        return ""

    def signal(self, name: str, number: int) -> None:
        """Raises KeyError for an unknown component, ProcessLookupError if it does not run."""
        if not self._members[name].pid:
            raise ProcessLookupError(name)
        os.kill(self._members[name].pid, number)

    def stop(self, name: str) -> None:
        """End it and do not start it again. Raises KeyError for an unknown component."""
        member = self._members[name]
        member.due = None
        self._kill(member)

    def start_again(self, name: str) -> None:
        """Raises KeyError for an unknown component."""
        if not self._members[name].pid:
            self._members[name].due = time.monotonic()

    def take_down(self, node: str, lab_id: str) -> None:
        """End everything that runs on a node at once, as a machine that loses its power. Raises KeyError."""
        mine = [one for one in self._members.values() if one.component.node == node]
        if not mine:
            raise KeyError(node)
        for member in mine:
            member.due = None
            self._kill(member)
        while pods := marked(lab_id, node):
            for pid in pods:
                send(pid, signal.SIGKILL)
            time.sleep(0.005)

    def bring_back(self, node: str, after: float) -> None:
        for member in self._members.values():
            if member.component.node == node:
                member.due = time.monotonic() + after

    def _kill(self, member: Member) -> None:
        pid, member.pid = member.pid, 0
        if pid:
            send(pid, signal.SIGKILL)
            while start_time(pid):
                time.sleep(0.005)

    def states(self) -> list[MemberState]:
        return [MemberState(name, one.pid, self._state(one), one.restarts) for name, one in self._members.items()]

    def _state(self, member: Member) -> str:
        if member.pid:
            return "up" if self._said_ready(member) else "starting"
        return "done" if member.component.name == SETUP and member.code == 0 else "down"

    def _said_ready(self, member: Member) -> bool:
        with self._layout.log(member.component.name).open("rb") as log:
            log.seek(member.log_from)
            text = log.read(65536)
        return any(line.split(b" ")[0].strip() == b"ready" for line in text.splitlines(keepends=True))

    def _tail(self, name: str) -> str:
        lines = self._layout.log(name).read_text(errors="replace").splitlines()
        return "\n".join(lines[-_TAIL:]) or "(nothing)"
