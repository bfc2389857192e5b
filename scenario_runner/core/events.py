"""What the engine tells its listeners; together enough to rebuild the report after kill -9."""

from dataclasses import dataclass
from datetime import datetime

from scenario_runner.core.observations import Observation
from scenario_runner.core.outcome import Outcome
from scenario_runner.core.report import PlanSummary, Report


@dataclass(frozen=True)
class RunStarted:
    """The claim is held; nothing was changed yet."""

    run_id: str
    started: datetime
    started_at: float  # seconds on the run's clock
    backend: str  # "lab NAME" or the cluster
    plan: PlanSummary


@dataclass(frozen=True)
class StepStarted:
    """A step begins; `timeout` in seconds."""

    number: str
    step_id: str
    name: str
    timeout: float


@dataclass(frozen=True)
class StepProgress:
    """One short line about a running step."""

    step_id: str
    text: str


@dataclass(frozen=True)
class StepEnded:
    """A step (or an undo) has an outcome."""

    outcome: Outcome


@dataclass(frozen=True)
class Observed:
    """A watch saw something change."""

    observation: Observation


@dataclass(frozen=True)
class Tick:
    """Four times a second: how the loads and the pods are doing, for the live view."""

    elapsed: float
    loads: dict[str, tuple[int, int, int]]  # id -> (requests that ended, of these successful, in flight)
    pods_ready: dict[str, tuple[int, int]]  # workload target -> (ready, wanted)


@dataclass(frozen=True)
class StopRequested:
    """The run was asked to stop."""

    kind: str
    text: str


@dataclass(frozen=True)
class RunEnded:
    """The run is over; everything is in the report."""

    report: Report


Event = RunStarted | StepStarted | StepProgress | StepEnded | Observed | Tick | StopRequested | RunEnded
