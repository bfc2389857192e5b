"""How often the API server is asked: never faster than a limit, and again only where that is safe."""

import threading

from scenario_runner.adapters.kubernetes_errors import NoAnswer
from scenario_runner.core.clock import Clock, Deadline

PER_SECOND, AT_ONCE = 50.0, 100  # what kubectl allows itself is the same order: 50 a second
_FIRST, _LONGEST = 0.1, 1.0  # seconds between tries


class RateLimit:
    """A bucket that holds `AT_ONCE` requests and fills with `PER_SECOND`; threads may share it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._free = float(AT_ONCE)
        self._at = clock.monotonic()

    def wait(self) -> None:
        """Return when the next request is due."""
        with self._lock:
            now = self._clock.monotonic()
            self._free = min(float(AT_ONCE), self._free + (now - self._at) * PER_SECOND) - 1
            self._at = now
            due = max(0.0, -self._free / PER_SECOND)
        if due:
            self._clock.sleep(due)


class Tries:
    """The tries of one request, all within one deadline."""

    def __init__(self, deadline: Deadline, *, reads: bool) -> None:
        self._deadline = deadline
        self._reads = reads
        self._pause = _FIRST

    def again(self, trouble: NoAnswer) -> bool:
        """Wait and return True when another try is safe, makes sense and can end in time."""
        if trouble.again_after is None or (trouble.sent and not self._reads):
            return False
        wait = max(trouble.again_after, self._pause)
        if wait >= self._deadline.left:
            return False
        self._pause = min(_LONGEST, self._pause * 2)
        self._deadline.clock.sleep(wait)
        return True
