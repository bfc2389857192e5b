"""Time as a dependency: the only module that reads a clock or sleeps."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from scenario_runner.errors import DeadlineExceeded, Stopped

T = TypeVar("T")

# CLOCK_BOOTTIME also counts the time that a machine was suspended; elsewhere the monotonic clock must do.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Bell:
    """Rings when anything that a wait may look at has changed: a new observation, new samples, a stop."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._rings = 0

    @property
    def rings(self) -> int:
        """How often it rang; taken before a look, so that no ring between look and wait is missed."""
        return self._rings

    def ring(self) -> None:
        with self._changed:
            self._rings += 1
            self._changed.notify_all()

    def wait(self, heard: int, seconds: float) -> None:
        """Return when it rang more than `heard` times, at the latest after `seconds`."""
        with self._changed:
            self._changed.wait_for(lambda: self._rings != heard, timeout=max(0.0, seconds))


class StopKind(StrEnum):
    """Who asked the run to stop; decides the verdict."""

    SIGNAL = "signal"  # interrupted
    ABORT = "abort"  # abort_when held: failed
    DEADLINE = "deadline"  # the scenario took too long: failed
    BROKEN = "broken"  # a background step broke, or the run was fenced: broken


@dataclass(frozen=True)
class StopReason:
    """Why a run was asked to stop, in a sentence."""

    kind: StopKind
    text: str


class Stop:
    """A latch: the first reason wins and stays. Never set by a signal handler itself (see `engine.signals`)."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._lock = threading.Lock()
        self._reason: StopReason | None = None

    @property
    def reason(self) -> StopReason | None:
        return self._reason

    def trip(self, reason: StopReason) -> None:
        with self._lock:
            if self._reason is None:
                self._reason = reason
        self._bell.ring()


class Clock(Protocol):
    """What the rest of the package knows about time. Seconds everywhere."""

    @property
    def bell(self) -> Bell: ...
    def now(self) -> datetime:
        """Wall time in UTC, for people."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump, suspended time included; for every duration and order."""
        ...

    def sleep(self, seconds: float) -> None:
        """Raise `Stopped` as soon as the run is asked to stop."""
        ...

    def wait(self, heard: int, seconds: float) -> None:
        """Return when the bell rang more than `heard` times or after `seconds`; raise `Stopped` like `sleep`."""
        ...


class SystemClock:
    """The real time. With a `stop`, sleeping ends with `Stopped` once that latch is set; without, nothing ends it."""

    def __init__(self, bell: Bell, stop: Stop | None = None) -> None:
        self._bell = bell
        self._stop = stop

    @property
    def bell(self) -> Bell:
        return self._bell

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.clock_gettime(_CLOCK)

    def sleep(self, seconds: float) -> None:
        end = self.monotonic() + seconds
        while (left := end - self.monotonic()) > 0:
            self.wait(self._bell.rings, left)

    def wait(self, heard: int, seconds: float) -> None:
        self._raise_when_stopped()
        self._bell.wait(heard, seconds)
        self._raise_when_stopped()

    def _raise_when_stopped(self) -> None:
        if self._stop is not None and self._stop.reason is not None:
            raise Stopped(self._stop.reason.text)


@dataclass(frozen=True)
class Deadline:
    """A moment on the monotonic clock, passed down instead of a timeout that every layer restarts."""

    clock: Clock
    at: float

    @classmethod
    def after(cls, clock: Clock, seconds: float) -> "Deadline":
        return cls(clock, clock.monotonic() + seconds)

    @property
    def left(self) -> float:
        return max(0.0, self.at - self.clock.monotonic())


@dataclass(frozen=True)
class Look(Generic[T]):
    """One look at the world: `done` when the wait is over; `seen` tells people what is there now."""

    done: bool
    seen: str
    value: T


def wait_until(what: str, look: Callable[[], Look[T]], deadline: Deadline, *, every: float = 5.0) -> T:
    """
    Look at each ring of the bell (and every `every` seconds, for what rings no bell) until `look` is done.

    On a miss raise `DeadlineExceeded` with what was seen last.
    """
    clock = deadline.clock
    while True:
        heard = clock.bell.rings
        seen = look()
        if seen.done:
            return seen.value
        if deadline.left == 0:
            raise DeadlineExceeded(f"{what}: {seen.seen}")
        clock.wait(heard, min(every, deadline.left))
