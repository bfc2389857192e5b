"""Loads from real worker processes, each of which is gone when its test is over."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from scenario_runner.adapters.load_process import LoadProcess, LoadProcessRun
from scenario_runner.core.clock import Bell, Deadline, Look, SystemClock, wait_until
from scenario_runner.core.samples import LoadOrder, Selection
from scenario_runner.load.protocol import Decoder, Message

WORKER = (sys.executable, "-m", "scenario_runner.load")
PATIENCE = 30.0  # seconds; only a hang is ever that slow


@pytest.fixture
def clock() -> SystemClock:
    return SystemClock(Bell())


def trouble(run: LoadProcessRun) -> str:
    """Why the load is broken; that this machine was too busy to start requests on time is no matter in most tests."""
    return "" if "after their schedule for want of our own CPU" in run.broken else run.broken


class Loads:
    """Starts loads and waits for them."""

    def __init__(self, clock: SystemClock) -> None:
        self.clock = clock
        self.started: list[LoadProcessRun] = []

    def start(self, order: LoadOrder) -> LoadProcessRun:
        run = LoadProcess(self.clock).start(order)
        self.started.append(run)
        return run

    def until(self, what: str, done: Callable[[], bool]) -> None:
        """Wait until it is so, as the engine would."""
        wait_until(what, lambda: Look(done(), "not yet", None), Deadline.after(self.clock, PATIENCE), every=0.05)

    def finish(self, run: LoadProcessRun) -> Selection:
        self.until("the load to finish", lambda: run.finished)
        return run.samples.select()

    def carry_out(self, url: str, **changes: object) -> Selection:
        """Three requests unless the changes say otherwise; the load must not be broken."""
        defaults = {"rate": None if "every" in changes else 100.0, "count": 3, "request_timeout": 10.0}
        order = replace(LoadOrder("traffic", url), **(defaults | changes))  # type: ignore[arg-type]
        run = self.start(order)
        selection = self.finish(run)
        assert trouble(run) == ""
        assert selection.pending == 0
        return selection


@pytest.fixture
def loads(clock: SystemClock) -> Iterator[Loads]:
    loads = Loads(clock)
    yield loads
    for run in loads.started:
        run.close()


def worker_says(line: bytes) -> list[Message]:
    """All that a worker says to one line on its stdin, which stays open until the worker ends by itself."""
    with subprocess.Popen(WORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(line)
        process.stdin.flush()
        return Decoder().feed(process.stdout.read())
