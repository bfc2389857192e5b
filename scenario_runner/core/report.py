"""A finished run as one value; every report format is a pure function of it."""

from dataclasses import dataclass
from datetime import datetime

from scenario_runner.core.cuda import ProcessHits
from scenario_runner.core.faults import KernelRecord
from scenario_runner.core.observations import Observation
from scenario_runner.core.outcome import Outcome, Status


@dataclass(frozen=True)
class PlanSummary:
    """What of the plan a report keeps."""

    scenario: str
    description: str
    file: str
    digest: str  # sha256 of the scenario file
    tags: tuple[str, ...]
    control: bool
    variables: dict[str, str]
    targets: dict[str, str]  # name -> what was chosen
    changes: tuple[str, ...]
    undo_budget: float  # seconds
    worst_case: float  # seconds
    seed: int


@dataclass(frozen=True)
class LoadPiece:
    """The requests of a load that were due in one stretch of time; seconds since the run began."""

    start: float
    end: float
    requests: int
    succeeded: int
    p50: float | None
    p95: float | None


@dataclass(frozen=True)
class LoadSummary:
    """One load in figures; times in seconds, None where there is none."""

    step_id: str
    requests: int
    succeeded: int
    ratio: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    longest: float | None
    first_token_p95: float | None
    inter_token_p50: float | None
    inter_token_p95: float | None
    failures: dict[str, int]  # reason -> count
    late_starts: float  # share of requests that started late for want of our own CPU
    broken: str = ""
    pieces: tuple[LoadPiece, ...] = ()  # how it went over time


@dataclass(frozen=True)
class FaultSummary:
    """One injected fault: its proof, its window (seconds since the run began) and its end."""

    fault_id: str
    step_id: str
    xid: int
    node: str
    gpu: str
    evidence: str  # written, noticed, hit
    record: KernelRecord | None
    start: float
    end: float | None
    end_reason: str
    cuda: str = ""  # of a CUDA fault: its profile
    hits: tuple[ProcessHits, ...] = ()  # what a CUDA fault did to processes
    ordered: str = ""  # when its agent took the order, by the clock that dates its hits; ISO 8601, UTC


@dataclass(frozen=True)
class PhaseTime:
    """One phase of the platform's reaction: seconds since the fault, and its budget; None: never seen."""

    phase: str  # inject, noticed, crashed, cordoned, drained, remediated, rescheduled, serving, uncordoned
    node: str
    seconds: float | None
    budget: float | None
    detail: str = ""


@dataclass(frozen=True)
class UndoSummary:
    """One promise: what was to be taken back and what came of it."""

    seq: int
    subject: str
    step_id: str
    outcome: str  # kept, left, withdrawn
    detail: str
    seconds: float


@dataclass(frozen=True)
class Verdict:
    """How the run ended, and why in one sentence."""

    status: Status
    exit_code: int
    reason: str


@dataclass(frozen=True)
class Report:
    """One finished run."""

    run_id: str
    backend: str
    started: datetime
    seconds: float  # wall time of the whole run
    plan: PlanSummary
    verdict: Verdict
    outcomes: tuple[Outcome, ...]
    loads: tuple[LoadSummary, ...]
    faults: tuple[FaultSummary, ...]
    phases: tuple[PhaseTime, ...]
    undo: tuple[UndoSummary, ...]
    observations: tuple[Observation, ...]
    residue: tuple[str, ...] = ()  # what stays and is known to stay: lines in the kernel's ring
    notes: tuple[str, ...] = ()
    version: str = ""
    host: str = ""  # where the runner ran
