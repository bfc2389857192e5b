"""Dated state changes that the run's watches saw, kept from the claim to the report."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from scenario_runner.core.clock import Clock


@dataclass(frozen=True)
class Observation:
    """
    One fact about one subject became `value` (it was `was`) at `at`.

    Subjects are "node", "pod", "event", "resource", "fault" and "watch". Facts of a node: `ready`
    ("True"/"False"/"Unknown"), `schedulable` ("true"/"false"), `condition/TYPE`, `message/TYPE` (of a condition),
    `label/KEY`, `annotation/KEY`, `boot_id`, `gone`; of a pod: `ready` ("true"/"false"), `phase`, `node`, `deleting`,
    `restarts`, `waiting`, `died` (a container, with an error of its own), `uid`, `gone`; of an event, whose name is
    "KIND/NAME" of the object it is about: `reason` (its message is the detail); of a resource, "KIND/NAME": `state`,
    `node`, `gone`; of a fault: `status`, `evidence` ("hit": a process of the workload ran into it; "probe": only an
    exec probe did); of a watch: `gap`.
    A fact that vanished has the value "".
    """

    at: float  # seconds on the run's monotonic clock
    time: datetime
    subject: str
    name: str  # node name, "namespace/pod", fault id, ...
    fact: str
    value: str
    was: str = ""
    detail: str = ""
    initial: bool = False  # the state that a watch found when it began, not a change


class ObservationLog:
    """All observations of one run, oldest first. Safe for several threads; each addition rings the clock's bell."""

    def __init__(self, clock: Clock, listener: Callable[[Observation], None] = lambda _: None) -> None:
        self._clock = clock
        self._listener = listener
        self._lock = threading.Lock()
        self._all: list[Observation] = []
        self._latest: dict[tuple[str, str, str], Observation] = {}

    def note(self, subject: str, name: str, fact: str, value: str, *, detail: str = "", initial: bool = False) -> None:
        """Add an observation if the fact's value differs from the latest one."""
        self._add((subject, name, fact), value, detail, initial=initial, repeat=False)

    def happened(
        self, subject: str, name: str, fact: str, value: str, detail: str = "", *, initial: bool = False
    ) -> None:
        """Add an observation of something that may happen twice alike, such as an event."""
        self._add((subject, name, fact), value, detail, initial=initial, repeat=True)

    def _add(self, key: tuple[str, str, str], value: str, detail: str, *, initial: bool, repeat: bool) -> None:
        with self._lock:
            before = self._latest.get(key)
            if before is not None and before.value == value and not repeat:
                return
            was = "" if before is None else before.value
            seen = Observation(self._clock.monotonic(), self._clock.now(), *key, value, was, detail, initial)
            self._all.append(seen)
            self._latest[key] = seen
        self._listener(seen)
        self._clock.bell.ring()

    def latest(self, subject: str, name: str, fact: str) -> Observation | None:
        return self._latest.get((subject, name, fact))

    def value(self, subject: str, name: str, fact: str) -> str:
        """The fact's value now; "" when it is unknown or has vanished."""
        seen = self._latest.get((subject, name, fact))
        return "" if seen is None else seen.value

    def facts(self, subject: str, name: str) -> dict[str, str]:
        """Every fact of one subject as it is now."""
        with self._lock:
            latest = list(self._latest.items())
        return {key[2]: seen.value for key, seen in latest if key[:2] == (subject, name) and seen.value != ""}

    def names(self, subject: str) -> list[str]:
        with self._lock:
            return sorted({key[1] for key in self._latest if key[0] == subject})

    def all(self) -> tuple[Observation, ...]:
        with self._lock:
            return tuple(self._all)

    def select(
        self, subject: str, name: str | None = None, fact: str | None = None, since: float = float("-inf")
    ) -> list[Observation]:
        """Observations of a subject, oldest first, not older than `since` (monotonic seconds)."""
        return [seen for seen in self.all() if _matches(seen, subject, name, fact) and seen.at >= since]


def _matches(seen: Observation, subject: str, name: str | None, fact: str | None) -> bool:
    return seen.subject == subject and name in (None, seen.name) and fact in (None, seen.fact)


def first(seen: Iterable[Observation], accept: Callable[[Observation], bool]) -> Observation | None:
    """The first observation that `accept` takes, or None."""
    return next((one for one in seen if accept(one)), None)
