"""Virtual time: nothing waits, and what is scheduled happens on the way."""

import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from scenario_runner.core.clock import Bell, Stop
from scenario_runner.errors import Stopped

START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeTime:
    """Virtual seconds, and what shall happen at which of them."""

    def __init__(self) -> None:
        self.elapsed = 0.0
        self.wall_offset = 0.0  # a jump of the wall clock
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def at(self, moment: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._numbers), call))

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        self.at(self.elapsed + seconds, call)

    def advance(self, end: float, until: Callable[[], bool] = lambda: False) -> None:
        """Go on to `end`, carrying out what is due on the way; stop early when `until` holds after an event."""
        while self._events and self._events[0][0] <= end:
            moment, _, call = heapq.heappop(self._events)
            self.elapsed = max(self.elapsed, moment)
            call()
            if until():
                return
        self.elapsed = max(self.elapsed, end)

    def freeze(self, seconds: float) -> None:
        """The process was stopped: time went on, and nothing of ours happened in it."""
        self.elapsed += seconds


class FakeClock:
    """A clock of virtual time; with a `stop` it ends like the clock of the steps."""

    def __init__(self, time: FakeTime | None = None, bell: Bell | None = None, stop: Stop | None = None) -> None:
        self.time = time or FakeTime()
        self.bell = bell or Bell()
        self._stop = stop

    def now(self) -> datetime:
        return START + timedelta(seconds=self.time.elapsed + self.time.wall_offset)

    def monotonic(self) -> float:
        return self.time.elapsed

    def sleep(self, seconds: float) -> None:
        self._raise_when_stopped()
        self.time.advance(self.time.elapsed + max(0.0, seconds), self._stopped)
        self._raise_when_stopped()

    def wait(self, heard: int, seconds: float) -> None:
        self._raise_when_stopped()
        if self.bell.rings == heard:
            end = self.time.elapsed + max(0.0, seconds)
            self.time.advance(end, lambda: self.bell.rings != heard or self._stopped())
        self._raise_when_stopped()

    def _stopped(self) -> bool:
        return self._stop is not None and self._stop.reason is not None

    def _raise_when_stopped(self) -> None:
        if self._stop is not None and self._stop.reason is not None:
            raise Stopped(self._stop.reason.text)


class FakeBeats:
    """Beats as events of virtual time, in the one thread that there is."""

    def __init__(self, time: FakeTime) -> None:
        self._time = time

    def every(self, seconds: float, call: Callable[[], None], name: str) -> Callable[[], None]:
        del name
        over: list[bool] = []

        def beat() -> None:
            if not over:
                self._time.after(seconds, beat)
                call()

        self._time.after(seconds, beat)
        return lambda: over.append(True)
