"""Claims of a cluster in dictionaries, which outlive a process like the rest of the fake world."""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, TypeVar

from scenario_runner.core.claims import Lease, RunCopy
from scenario_runner.core.ports import ObjectRef
from scenario_runner.errors import Refused, ScenarioRunnerError, TargetRefused, TargetUnreachable
from tests.fake_kept import Kept, no_crash

T = TypeVar("T", Lease, RunCopy)


class FakeClaimStore:
    """
    Implements `core.claims.ClaimStore`. What is written is kept with the world; versions are counted.

    `unreachable`: why no request gets through; `lose_answers`: writes are carried out and their answers lost.
    """

    def __init__(self, kept: Kept | None = None) -> None:
        self.kept = kept or Kept()
        self.raw: dict[str, dict[str, Any]] = self.kept.load().setdefault("claims", {})
        self.events: list[tuple[ObjectRef, str, str]] = []
        self.requests: list[str] = []
        self.unreachable = ""
        self.lose_answers = False
        self.no_namespace = False
        self.no_events: ScenarioRunnerError | None = None
        self.crashing: Callable[[str], Any] = no_crash

    def leases(self) -> tuple[Lease, ...]:
        self._reach("list leases")
        return tuple(Lease(**raw) for key, raw in sorted(self.raw.items()) if key.startswith("lease "))

    def lease(self, target: str) -> Lease | None:
        self._reach("get lease")
        raw = self.raw.get(f"lease {target}")
        return None if raw is None else Lease(**raw)

    def add_lease(self, lease: Lease) -> Lease:
        return self._add(f"lease {lease.target}", lease)

    def write_lease(self, lease: Lease) -> Lease:
        return self._write(f"lease {lease.target}", lease)

    def drop_lease(self, lease: Lease) -> None:
        self._drop(f"lease {lease.target}", lease.version)

    def copies(self) -> tuple[RunCopy, ...]:
        self._reach("list copies")
        return tuple(RunCopy(**raw) for key, raw in sorted(self.raw.items()) if key.startswith("copy "))

    def copy(self, run_id: str) -> RunCopy | None:
        self._reach("get copy")
        raw = self.raw.get(f"copy {run_id}")
        return None if raw is None else RunCopy(**raw)

    def add_copy(self, copy: RunCopy) -> RunCopy:
        return self._add(f"copy {copy.run_id}", copy)

    def write_copy(self, copy: RunCopy) -> RunCopy:
        return self._write(f"copy {copy.run_id}", copy)

    def drop_copy(self, copy: RunCopy) -> None:
        self._drop(f"copy {copy.run_id}", copy.version)

    def announce(self, about: ObjectRef, reason: str, message: str) -> None:
        self._reach("event")
        if self.no_events is not None:
            raise self.no_events
        self.events.append((about, reason, message))

    def _add(self, key: str, value: T) -> T:
        self._reach(f"add {key}")
        if self.no_namespace:
            raise Refused("runs claim their targets in namespace scenario-runner, which does not exist")
        if key in self.raw:
            raise TargetRefused(f"{key} already exists", code="AlreadyExists")
        return self._put(f"add {key}", key, value)

    def _write(self, key: str, value: T) -> T:
        self._reach(f"write {key}")
        self._same(key, value.version)
        return self._put(f"write {key}", key, value)

    def _drop(self, key: str, version: str) -> None:
        self._reach(f"drop {key}")
        self._same(key, version)
        with self.crashing(f"drop {key}"):
            del self.raw[key]
            self.kept.save()

    def _same(self, key: str, version: str) -> None:
        if key not in self.raw:
            raise TargetRefused(f"{key} does not exist", code="NotFound")
        if self.raw[key]["version"] != version:
            raise TargetRefused(f"{key} has changed", code="Conflict")

    def _put(self, what: str, key: str, value: T) -> T:
        count = self.kept.load().get("claim versions", 0) + 1
        self.kept.load()["claim versions"] = count
        written: T = replace(value, version=f"v{count}")
        with self.crashing(what):
            self.raw[key] = asdict(written)
            self.kept.save()
        if self.lose_answers:
            raise TargetUnreachable("the API server did not answer within 5s", sent=True)
        return written

    def _reach(self, what: str) -> None:
        self.requests.append(what)
        if self.unreachable:
            raise TargetUnreachable(f"the API server is not reachable: {self.unreachable}")
