"""A clock for what must still be done after the run was asked to stop, but not for ever."""

from datetime import datetime

from scenario_runner.core.clock import Bell, Clock, Stop
from scenario_runner.errors import Stopped


class Grace:
    """Goes on for `seconds` after it first saw that the run was asked to stop; sleeping raises Stopped after that."""

    def __init__(self, clock: Clock, stop: Stop, seconds: float) -> None:
        """`clock` is one that nothing stops."""
        self._clock = clock
        self._stop = stop
        self._seconds = seconds
        self._end: float | None = None

    @property
    def bell(self) -> Bell:
        return self._clock.bell

    def now(self) -> datetime:
        return self._clock.now()

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        end = self.monotonic() + seconds
        while (left := end - self.monotonic()) > 0:
            self.wait(self.bell.rings, left)

    def wait(self, heard: int, seconds: float) -> None:
        self._clock.wait(heard, min(seconds, self._left()))

    def _left(self) -> float:
        """Seconds of grace; endless as long as nobody asked to stop (a stop rings the bell and ends a wait)."""
        reason = self._stop.reason
        if reason is None:
            return float("inf")
        if self._end is None:
            self._end = self.monotonic() + self._seconds
        if self.monotonic() >= self._end:
            raise Stopped(f"{reason.text}; {self._seconds:g}s of grace are over")
        return self._end - self.monotonic()
