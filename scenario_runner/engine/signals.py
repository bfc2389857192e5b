"""
Signals become a latch; the engine lives in one worker thread and the main thread only waits for it.

Signatures: `with Signals(clock) as signals:` before any thread exists, then `supervise(signals, stop, work)`.
An exception out of a handler would strike anywhere, even inside `Thread.join`: handlers only set attributes.
"""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Generic, TypeVar

from scenario_runner.core.clock import Clock, Stop, StopKind, StopReason
from scenario_runner.errors import Stopped

T = TypeVar("T")

_SLICE = 0.2  # seconds that the main thread waits before it looks at the latch again
_DELIBERATE = 1.0  # seconds after which a second SIGINT is meant, not sent twice by a terminal and its shell
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class LeftAtOnce(Stopped):
    """A person insisted: nothing was waited for. The process must end now, `scenario-runner recover` does the rest."""


class Signals:
    """The latch: which signal came first, and whether a person insists. An inherited SIG_IGN stays."""

    def __init__(self, clock: Clock) -> None:
        self.caught: int | None = None
        self.insists = False
        self._clock = clock
        self._interrupted: float | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Signals":
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """Only SIGINT, at least a second after the first SIGINT, insists: CI systems send TERM after INT by habit."""
        del frame
        if self.caught is None:
            self.caught = number
        if number == signal.SIGINT:
            now = self._clock.monotonic()
            if self._interrupted is None:
                self._interrupted = now
            elif now - self._interrupted >= _DELIBERATE:
                self.insists = True


class _Work(Generic[T]):
    """What the worker thread does, and what came of it."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._result: list[T] = []
        self._error: BaseException | None = None

    def __call__(self) -> None:
        try:
            self._result.append(self._work())
        except BaseException as exc:  # noqa: BLE001 - it is raised again in the main thread
            self._error = exc

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._result[0]


def supervise(signals: Signals, stop: Stop, work: Callable[[], T]) -> T:
    """
    Do `work` in a worker thread and return its result; trip `stop` when a signal came.

    Raise what `work` raises, and LeftAtOnce when a person insists (the worker is a daemon and may still run then).
    """
    wrapped = _Work(work)
    thread = threading.Thread(target=wrapped, name="engine", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_SLICE)
        if signals.caught is not None:
            name = signal.Signals(signals.caught).name
            stop.trip(StopReason(StopKind.SIGNAL, f"interrupted by {name}"))
        if signals.insists and thread.is_alive():
            raise LeftAtOnce("left at once: what was changed is not taken back")
    return wrapped.result()
