"""Sends a load from a process of its own and takes its samples in."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

import scenario_runner
from scenario_runner.adapters.service_ways import Entrance
from scenario_runner.core.clock import Clock
from scenario_runner.core.samples import MOST_LATE, LoadOrder, Sample, Samples, starved
from scenario_runner.errors import StepBroken
from scenario_runner.load.protocol import (
    STOP,
    Decoder,
    Due,
    Message,
    Statistics,
    Trouble,
    encode_order,
)

_COMMAND = (sys.executable, "-P", "-m", "scenario_runner.load")  # -P: never import from the current directory
_PIECE = 2**18  # bytes read at once
_SILENCE = 5.0  # seconds; the worker speaks every second
_GOODBYE = 2.0  # seconds that it has to end by itself


class LoadProcess:
    """A `LoadSource`: each load is a process (`python -m scenario_runner.load`)."""

    def __init__(self, clock: Clock, entrance: Entrance | None = None) -> None:
        """
        `clock` must count like the machine's own (`SystemClock`); its bell rings for new samples.

        `entrance` is for orders that go through the API server.
        """
        self._clock = clock
        self._entrance = entrance

    def start(self, order: LoadOrder) -> "LoadProcessRun":
        """Raise StepBroken if no process can be started; what goes wrong later is what the run's `broken` says."""
        door = self._entrance
        if door is not None and door.covers(order.url):
            order = replace(order, headers={**order.headers, **door.headers()}, tls=door.tls())
        try:
            return LoadProcessRun(order, self._clock)
        except OSError as error:
            raise StepBroken(f"the load worker can not be started: {error.strerror}") from error


class LoadProcessRun:
    """A `LoadRun`. The thread that reads the worker's records also sees it off, so nobody needs to close a load."""

    def __init__(self, order: LoadOrder, clock: Clock) -> None:
        self._order = order
        self._clock = clock
        self._samples = Samples(order.late_after)
        self._starts = self._late = 0
        self._trouble = ""
        self._statistics: Statistics | None = None
        self._over = False  # the worker is gone and all that it said was heard
        self._closed = False
        self._heard = clock.monotonic()
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - the reader thread closes it
        try:
            self._process = _spawn(self._complaints)
        except OSError:
            self._complaints.close()
            raise
        self._say(encode_order(order))
        self._reader = threading.Thread(target=self._read, name=f"load {order.step_id}", daemon=True)
        self._reader.start()

    @property
    def samples(self) -> Samples:
        return self._samples

    @property
    def statistics(self) -> Statistics | None:
        """What the worker knows of its own work; None until it ended."""
        return self._statistics

    @property
    def process_id(self) -> int:
        return self._process.pid

    @property
    def finished(self) -> bool:
        """The worker has ended; unless the load is broken or was closed, all samples are here."""
        return self._over

    @property
    def broken(self) -> str:
        return self._trouble or self._silence() or self._lateness()

    def stop(self) -> None:
        self._say(STOP)

    def close(self) -> None:
        """End it at once, samples of requests in flight will never come. Safe twice, and from any thread."""
        self._closed = True
        self._hang_up()
        self._reader.join(_GOODBYE)
        if self._reader.is_alive():
            self._process.kill()
            self._reader.join()

    def _say(self, line: bytes) -> None:
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):  # it has ended, or was closed: the reader knows, and knows why
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def _hang_up(self) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # what it was not told any more
            self._process.stdin.close()

    # The reader thread.

    def _read(self) -> None:
        assert self._process.stdout is not None
        decoder = Decoder()
        try:
            with self._process.stdout as records:
                while piece := os.read(records.fileno(), _PIECE):
                    self._heard = self._clock.monotonic()
                    for message in decoder.feed(piece):
                        self._take(message)
                    self._clock.bell.ring()
        except Exception as error:  # noqa: BLE001 - whatever it is, the load must not look as if it went on
            self._trouble = f"the load worker said what nobody understands: {error!r}"
        self._see_off()
        self._over = True
        self._clock.bell.ring()

    def _take(self, message: Message) -> None:
        if isinstance(message, Sample):
            self._samples.add(message)
        elif isinstance(message, Due):
            self._starts += 1
            self._late += message.started - message.scheduled > self._order.late_after
            self._samples.scheduled(message.scheduled)
        elif isinstance(message, Trouble):
            self._trouble = self._trouble or message.text
        elif isinstance(message, Statistics):
            self._statistics = message

    def _see_off(self) -> None:
        """Wait for the process, which has closed its end of the pipe, and note how it ended."""
        self._hang_up()
        try:
            code = self._process.wait(_GOODBYE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        with self._complaints as complaints:
            complaints.seek(0)
            lines = complaints.read().decode(errors="replace").split("\n")
        said = next((line for line in reversed(lines) if line.strip()), "")
        if not (self._statistics or self._trouble or self._closed):
            self._trouble = f"the load worker died ({_ending(code)})" + (f": {said.strip()}" if said else "")

    # Why a load can not be trusted.

    def _silence(self) -> str:
        silent = self._clock.monotonic() - self._heard
        if self._over or silent <= _SILENCE:
            return ""
        return f"the load worker has been silent for {silent:.0f}s"

    def _lateness(self) -> str:
        starts, late = self._starts, self._late
        # As long as it goes on, later starts may make up for some that were late.
        if not starved(late, starts if self._over else max(starts, self._order.planned_starts)):
            return ""
        return (
            f"{late} of {starts} requests started more than {self._order.late_after * 1000:.0f}ms after their"
            f" schedule for want of our own CPU, at most {MOST_LATE:.0%} may"
        )


def _spawn(complaints: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - our own program; nothing of the order is on the command line
        _COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=complaints,
        env=_environment(),
        start_new_session=True,  # Ctrl-C is for the engine alone: the load ends when the engine says so
    )


def _environment() -> dict[str, str]:
    """Ours, with the package found where this one was, however it was found."""
    root = str(Path(scenario_runner.__file__).parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
