"""Implements `core.step.Run`: the loads and faults of a run, how far faults are proved, and the windows they open."""

import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from scenario_runner.core.clock import Clock
from scenario_runner.core.cuda import CudaHits, merged
from scenario_runner.core.faults import Fault, FaultRecord, Interval
from scenario_runner.core.loads import LoadHandle
from scenario_runner.core.observations import ObservationLog
from scenario_runner.core.ports import LoadRun
from scenario_runner.core.samples import LoadOrder
from scenario_runner.engine.windows import around, healed, noticed, union
from scenario_runner.errors import StepBroken

_LONGEST_TEXT = 256 * 1024  # characters of one piece of evidence; of a longer one the end is kept
_SECRET = re.compile(
    r"(?i)((?:bearer|basic)\s+|(?:token|password|passwd|secret|api[_-]?key)[\"']?\s*[:=]\s*[\"']?)[^\s\"',;]+"
)
_SECRET_VARIABLE = re.compile(r"(?i)(name: \S*(?:token|password|secret|key)\S*\s+value: ).+")
_NAME = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class FaultEnd:
    """When and why a fault stopped being in force. `spoiled`: nobody asked for that, so its window proves nothing."""

    at: float  # seconds on the run's clock
    reason: str
    spoiled: bool = False


class Ledger:
    """Written by the engine's thread and by renewals; read by any."""

    def __init__(self, run_id: str, run_dir: Path, clock: Clock, log: ObservationLog) -> None:
        self.began = clock.monotonic()
        self.files: list[str] = []  # evidence files, in the order in which they came
        self.refresh: Callable[[], None] = lambda: None  # asks the agents whether the faults still are in force
        self._run_id = run_id
        self._run_dir = run_dir
        self._clock = clock
        self._log = log
        self._lock = threading.RLock()
        self._loads: dict[str, LoadHandle] = {}
        self._earlier_loads: list[LoadHandle] = []  # of attempts before the last, and of `health` before the steps
        self._faults: list[Fault] = []
        self._acting: dict[str, float] = {}  # step id -> when it began its latest change
        self._ordered: dict[str, float] = {}  # fault id -> when it was ordered
        self._ends: dict[str, FaultEnd] = {}
        self._records: dict[str, FaultRecord] = {}
        self._hits: dict[str, CudaHits] = {}
        self._overlooked: dict[str, None] = {}
        self._replaced: set[str] = set()  # workload targets whose pods the run itself has replaced

    @property
    def run_id(self) -> str:
        return self._run_id

    # Loads

    def add_load(self, step_id: str, order: LoadOrder, run: LoadRun) -> LoadHandle:
        started = self._clock.monotonic()
        handle = LoadHandle(step_id, run, order.request_timeout, started, _until(order, started))
        with self._lock:
            if step_id in self._loads:
                self._earlier_loads.append(self._loads[step_id])
            self._loads[step_id] = handle
        return handle

    def load(self, step_id: str) -> LoadHandle:
        handle = self._loads.get(step_id)
        if handle is None:
            raise StepBroken(f"load {step_id} never started")
        return handle

    def joined(self, step_id: str) -> None:
        handle, now = self.load(step_id), self._clock.monotonic()
        until = now if handle.scheduled_until is None else min(now, handle.scheduled_until)
        with self._lock:
            self._loads[step_id] = replace(handle, joined=True, scheduled_until=until)

    @property
    def loads(self) -> tuple[LoadHandle, ...]:
        """Every load of the run, those of earlier attempts first."""
        with self._lock:
            return (*self._earlier_loads, *self._loads.values())

    # Faults

    def acting(self, step_id: str) -> None:
        """A step is about to change something: the platform may notice before the answer is here."""
        with self._lock:
            self._acting[step_id] = self._clock.monotonic()

    def add_fault(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)
            self._ordered[fault.fault_id] = min(fault.at, self._acting.get(fault.step_id, fault.at))
        self._log.note("fault", fault.fault_id, "status", "active")

    @property
    def faults(self) -> tuple[Fault, ...]:
        with self._lock:
            return tuple(self._faults)

    def record(self, fault_id: str) -> FaultRecord | None:
        """What the agent said last about a fault."""
        return self._records.get(fault_id)

    def keep_record(self, record: FaultRecord) -> None:
        with self._lock:
            before = self._records.get(record.fault_id)
            kept = record.evidence or (before.evidence if before else None)
            self._records[record.fault_id] = replace(record, evidence=kept)
        self._log.note("fault", record.fault_id, "status", record.status, detail=record.end_reason)

    def ended(self, fault_id: str, end: FaultEnd) -> None:
        """A fault is over; the earliest end counts."""
        with self._lock:
            before = self._ends.get(fault_id)
            if before is None or end.at < before.at:
                self._ends[fault_id] = end

    def end_of(self, fault: Fault) -> FaultEnd | None:
        """The earliest of: taken back, over at the agent, healed by the platform."""
        told = self._ends.get(fault.fault_id)
        at = None if fault.cuda else healed(self._log, fault.node, self.started(fault))
        if at is None or (told is not None and told.at <= at):
            return told
        return FaultEnd(max(at, fault.at), "healed by the platform")

    def keep_hits(self, fault_id: str, hits: CudaHits) -> None:
        """What the agent says now about the processes that a CUDA fault hit."""
        with self._lock:
            self._hits[fault_id] = merged(self.hits(fault_id), hits)

    def keep_overlooked(self, sentences: Iterable[str]) -> None:
        """Processes that use CUDA and could not run into a fault while it was in force."""
        with self._lock:
            self._overlooked |= dict.fromkeys(sentences)

    @property
    def overlooked(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(self._overlooked)

    def hits(self, fault_id: str) -> CudaHits:
        return self._hits.get(fault_id, CudaHits(()))

    def rolled_out(self, workload: str) -> None:
        with self._lock:
            self._replaced.add(workload)

    @property
    def replaced(self) -> frozenset[str]:
        with self._lock:
            return frozenset(self._replaced)

    @property
    def in_force(self) -> tuple[Fault, ...]:
        """Faults that no agent and no undo has ended yet (a healed node may still hold one)."""
        return tuple(fault for fault in self.faults if fault.fault_id not in self._ends)

    def evidence(self, fault: Fault) -> Literal["written", "noticed", "hit"]:
        hits = self._log.select("fault", fault.fault_id, "evidence", since=self.started(fault))
        if any(one.value == "hit" for one in hits):
            return "hit"
        if fault.cuda:
            return "written"  # the platform sees the kernel's log, which tells nothing of it
        alone = [one.node for one in self.faults if not one.cuda].count(fault.node) == 1
        return "noticed" if noticed(self._log, fault, self.started(fault), alone=alone) else "written"

    def window(self, name: str) -> tuple[Interval, ...]:
        """Raise StepBroken for the window of a fault that ended by itself: nothing was asserted under that fault."""
        self.refresh()
        chosen = [fault for fault in self.faults if name in {"fault", "baseline", "recovery", fault.step_id}]
        ends = [(fault, self.end_of(fault)) for fault in chosen]
        if name in {"baseline", "recovery"}:
            return around(union(_interval(fault, end) for fault, end in ends), name, self.began)
        for fault, end in ends:
            if end is not None and end.spoiled:
                raise StepBroken(f"the window of {name} proves nothing: fault {fault.fault_id} {end.reason}")
        return union(_interval(fault, end) for fault, end in ends)

    def started(self, fault: Fault) -> float:
        """When the fault was ordered: nothing that was seen before can be its effect."""
        return self._ordered[fault.fault_id]

    # Evidence

    def evidence_file(self, name: str, text: str) -> str:
        folder = self._run_dir / "evidence"
        folder.mkdir(exist_ok=True)
        path = folder / (_NAME.sub("-", name).strip(".-") or "unnamed")
        path.write_text(redacted(text), encoding="utf-8")
        relative = str(path.relative_to(self._run_dir))
        with self._lock:
            self.files.append(relative)
        return relative


def redacted(text: str) -> str:
    """The end of a text, without what looks like a secret."""
    if len(text) > _LONGEST_TEXT:
        text = f"[{len(text) - _LONGEST_TEXT} characters left out]\n{text[-_LONGEST_TEXT:]}"
    return _SECRET.sub(r"\1[redacted]", _SECRET_VARIABLE.sub(r"\1[redacted]", text))


def age(record: FaultRecord) -> float | None:
    """Seconds that a fault was in force, by the agent's own clock; None when the agent did not say."""
    try:
        return (datetime.fromisoformat(record.ended_at) - datetime.fromisoformat(record.injected_at)).total_seconds()
    except ValueError:
        return None


def _interval(fault: Fault, end: FaultEnd | None) -> Interval:
    return Interval(fault.at, None if end is None else max(end.at, fault.at))


def _until(order: LoadOrder, started: float) -> float | None:
    """When the last request starts."""
    ends = []
    if order.duration is not None:
        ends.append(order.duration)
    if order.count is not None:
        ends.append(order.count * (order.every or 1.0 / (order.rate or 1.0)))
    return started + min(ends) if ends else None
