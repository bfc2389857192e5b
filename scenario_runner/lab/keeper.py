"""
The keeper: the first process of a lab and the ancestor of all others.

It forks every component, restarts what crashes, reboots nodes, and ends everything when it is told to, when its
owner has gone, or when it can not go on. A second process, the sexton, does the last part if the keeper itself dies.
"""

import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from scenario_runner.lab import control, forking, imports
from scenario_runner.lab.components import API_SERVER, KUBELET, SETUP, Blueprint, Component, lay_out
from scenario_runner.lab.ending import bury, remove_files
from scenario_runner.lab.hardware import boot
from scenario_runner.lab.layout import Layout
from scenario_runner.lab.number import LabNumber, draw_number
from scenario_runner.lab.options import Order, read_order
from scenario_runner.lab.orders import Orders
from scenario_runner.lab.processes import descendants, send
from scenario_runner.lab.staff import Staff
from scenario_runner.lab.times import scaled

_START_LIMIT = 90.0  # seconds
_TURN = 0.01  # seconds between two looks at a component that is starting
_IDLE = 0.25


class CannotStart(Exception):
    """The lab did not come up; says why."""


@dataclass
class Lifelines:
    """What ties the keeper to others: the owner's pipe, the sexton's pipe, the control socket."""

    owner: int | None
    sexton: int = -1
    control: socket.socket | None = None
    descriptors: list[int] = field(default_factory=list)

    def drop(self) -> None:
        """In a fork: let go of everything that only the keeper may hold."""
        for one in {self.owner, self.sexton, *self.descriptors} - {None, -1}:
            os.close(one)  # type: ignore[arg-type]
        if self.control is not None:
            self.control.close()


class Keeper:
    """One lab from its start to its end. Single-threaded: it forks."""

    def __init__(self, layout: Layout, owner: int | None) -> None:
        self._layout = layout
        self._order: Order = read_order(layout)
        self._lines = Lifelines(owner)
        self._ending = ""
        self._sexton = 0
        self._staff = Staff(layout, self._lines.drop)
        self._wakeup, wakeup_in = os.pipe()
        os.set_blocking(wakeup_in, False)
        os.set_blocking(self._wakeup, False)
        self._lines.descriptors += [self._wakeup, wakeup_in]
        signal.set_wakeup_fd(wakeup_in, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.end("it was told to end by a signal"))

    def end(self, why: str) -> None:
        self._ending = self._ending or why

    def run(self, tell: Callable[[str], None]) -> None:
        """Bring the lab up, tell `ready INFO` or `failed SENTENCE`, keep it until its end, and clear it away."""
        forking.adopt_orphans()
        self._start_sexton()
        try:
            blueprint = self._bring_up(draw_number())
            tell(f"ready {blueprint.info.text()}")
            while not self._ending:
                self._turn(_IDLE)
                if self._staff.is_lost:
                    self.end("its API server has ended")
                if not self._layout.root.exists():  # nobody could find it any more, to end it
                    self.end("its folder is gone")
        except Exception as error:  # noqa: BLE001 - the last handler: it must say why, and then clear away
            tell(f"failed {error}")
        self._clear_away()

    def _start_sexton(self) -> None:
        """Forked before anything is imported, so it is small."""
        reading, writing = os.pipe()
        order, layout = self._order, self._layout

        def work() -> int:
            os.close(writing)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while os.read(reading, 1):
                pass
            bury(order, layout, spare=frozenset({os.getpid()}))
            return 0

        self._sexton = forking.fork(work, "lab-sexton", self._layout.log("sexton"), self._lines.drop)
        os.close(reading)
        self._lines.sexton = writing

    def _bring_up(self, number: LabNumber) -> Blueprint:
        blueprint = lay_out(self._order, self._layout, number, os.getpid())
        self._lines.control = control.listen(Path(self._order.control))
        components = blueprint.components
        deadline = time.monotonic() + _START_LIMIT
        # Each stage is imported while the stage before it starts. The pods, which take longest, come early.
        for stage, modules in (
            (_is_api_server, imports.FIRST),
            (_makes_pods, imports.SECOND),
            (_is_other, imports.REST),
        ):
            imports.load(modules)
            for component in filter(stage, components):
                self._staff.start(component)
        self._await_ready([one.name for one in components], deadline)
        self._staff.is_keeping = True
        blueprint.info.write()
        return blueprint

    def _await_ready(self, names: list[str], deadline: float) -> None:
        while missing := [name for name in names if not self._staff.is_ready(name)]:
            if self._ending:
                raise CannotStart(f"The lab was ended while it started: {self._ending}.")
            if failed := self._staff.failure():
                raise CannotStart(failed)
            if time.monotonic() > deadline:
                raise CannotStart(f"The lab did not start in time: waiting for {', '.join(missing)}.")
            self._turn(_TURN)

    def _turn(self, longest: float) -> None:
        """Wait for something to happen, and deal with it."""
        owner, listener = self._lines.owner, self._lines.control
        waited = [one for one in (self._wakeup, owner, listener) if one is not None]
        ready, _, _ = select.select(waited, [], [], min(longest, self._staff.soonest()))
        if self._wakeup in ready:
            os.read(self._wakeup, 4096)
        if owner is not None and owner in ready:
            self._hear_owner(owner)
        if listener is not None and listener in ready:
            Orders(self._staff, self._reboot, self.end).serve(listener)
        self._reap()
        self._staff.start_due()

    def _hear_owner(self, owner: int) -> None:
        """`keep` lets the lab outlive its owner; the end of the pipe without it ends the lab."""
        if os.read(owner, 16):
            os.close(owner)
            self._lines.owner = None
        else:
            self.end("its owner has gone")

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._sexton and not self._ending:
                self._start_sexton_again()
            self._staff.ended(pid, os.waitstatus_to_exitcode(status))

    def _start_sexton_again(self) -> None:
        os.close(self._lines.sexton)
        self._lines.sexton = -1
        self._start_sexton()

    def _reboot(self, node: str) -> None:
        self._staff.take_down(node, self._order.lab_id)
        boot(self._layout.node(node))
        self._staff.bring_back(node, after=scaled(self._order.options.scale).reboot)

    def _clear_away(self) -> None:
        self._staff.is_keeping = False
        spare = frozenset({os.getpid(), self._sexton})
        bury(self._order, self._layout, spare, lambda: descendants(os.getpid()), self._reap)
        remove_files(self._order, self._layout)
        send(self._sexton, signal.SIGKILL)
        os.waitpid(self._sexton, 0)


def _is_api_server(component: Component) -> bool:
    return component.name == API_SERVER


def _makes_pods(component: Component) -> bool:
    return component.name == SETUP or component.name.startswith(KUBELET)


def _is_other(component: Component) -> bool:
    return not _is_api_server(component) and not _makes_pods(component)


def main(argv: list[str]) -> int:
    """`keeper STATE_DIR OWNER_FD owned|kept`: the first line on stdout is `ready JSON` or `failed SENTENCE`."""
    layout, owner = Layout(Path(argv[0])), int(argv[1])
    if argv[2] == "kept" and os.fork():
        os._exit(0)  # whoever started a kept lab need not wait for it
    forking.name_process("lab-keeper")

    def tell(line: str) -> None:
        text = " ".join(line.splitlines()) if line.startswith("ready") else line.replace("\n", "\\n")
        try:
            print(text, flush=True)  # noqa: T201 - the contract with `up`
        except BrokenPipeError:
            return
        finally:
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, 1)
            os.close(nothing)

    Keeper(layout, owner).run(tell)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
