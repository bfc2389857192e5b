"""The scenario after variables, targets and references are resolved: flat, printable, nothing is looked up later."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scenario_runner.core.outcome import Phase
from scenario_runner.core.step import Step
from scenario_runner.core.targets import GpuTarget, Target


@dataclass(frozen=True)
class Retry:
    """How often a read or a request is attempted, and the seconds between."""

    attempts: int
    every: float


@dataclass(frozen=True)
class PlannedStep:
    """One step, ready to run. `scope` names the groups it lies in, outermost first; a group's changes end with it."""

    id: str
    number: str  # "02"
    step: Step
    name: str
    line: int
    timeout: float  # seconds
    phase: Phase = Phase.STEPS
    when: bool = True
    retry: Retry | None = None
    background: bool = False
    continue_on_failure: bool = False
    scope: tuple[str, ...] = ()


@dataclass(frozen=True)
class Variable:
    """A variable of the scenario, and where its value came from."""

    name: str
    value: Any
    source: str  # "--var", "--vars-file FILE", "SCENARIO_VAR_X", "file"


@dataclass(frozen=True)
class AbortRule:
    """The run is stopped (failed) when the success ratio of `load` is below `below` in a full `window` (seconds)."""

    load: str
    below: float
    window: float


@dataclass(frozen=True)
class Guards:
    """What a run may do to a cluster at most."""

    max_nodes: int = 1
    max_gpus: int = 1
    allow: tuple[str, ...] = ()  # consequences that are accepted: cordon, drain, reboot, gpu-reset
    min_ready: Mapping[str, int] = field(
        default_factory=dict
    )  # workload target -> ready pods needed before the first fault
    allow_sick: bool = False


@dataclass(frozen=True)
class PlatformProfile:
    """How long the platform may take for each phase, in seconds."""

    detected: float = 60.0
    cordoned: float = 120.0
    drained: float = 300.0
    remediated: float = 600.0
    uncordoned: float = 600.0


@dataclass(frozen=True)
class Through:
    """The other declared target through which one was found, and how it was picked: to find it again."""

    target: str  # a workload, or a node
    pick: str = "first"
    index: int | None = None  # of the GPU, where the scenario names one


@dataclass(frozen=True)
class ResolvedTarget:
    """A target as the plan prints it: what was declared, what was chosen, what else matched."""

    name: str
    declared: str
    target: Target
    chosen: str
    also: tuple[str, ...] = ()
    through: Through | None = None

    @property
    def place(self) -> str:
        """What stays the same while the target does not move: a GPU's UUID, the uid of a node, pod or workload."""
        target = self.target
        return target.uuid if isinstance(target, GpuTarget) else str(getattr(target, "uid", ""))


@dataclass(frozen=True)
class Plan:
    """One scenario, ready to run."""

    scenario: str
    description: str
    file: Path
    digest: str  # sha256 of the file
    tags: tuple[str, ...]
    namespace: str
    control: bool
    variables: tuple[Variable, ...]
    resolved: tuple[ResolvedTarget, ...]
    steps: tuple[PlannedStep, ...]  # all phases, in order of execution within each
    guards: Guards
    profile: PlatformProfile
    abort_when: tuple[AbortRule, ...]
    deadline: float | None  # seconds for the steps together
    undo_budget: float  # seconds
    settle_timeout: float  # seconds to wait for the platform's own consequences
    worst_case: float  # seconds, undo excluded
    seed: int  # of `pick: random`
    changes: tuple[str, ...] = ()
    consequences: tuple[str, ...] = ()

    @property
    def targets(self) -> Mapping[str, Target]:
        return {one.name: one.target for one in self.resolved}

    def of_phase(self, phase: Phase) -> tuple[PlannedStep, ...]:
        return tuple(step for step in self.steps if step.phase is phase)
