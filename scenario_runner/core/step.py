"""
The two things a step author writes: a `Step` and, where no undo fits that exists, an `Undo`.

Both are data first (so that they have a schema, can be planned, journalled and shown) and know how to carry
themselves out through the context, never through a client library.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from scenario_runner.core.clock import Clock, Deadline
from scenario_runner.core.cuda import CudaHits
from scenario_runner.core.faults import Fault, Interval, Strike
from scenario_runner.core.loads import LoadHandle
from scenario_runner.core.observations import ObservationLog
from scenario_runner.core.outcome import Finding, Role
from scenario_runner.core.permissions import Permission
from scenario_runner.core.ports import (
    Agent,
    AgentReads,
    Cluster,
    ClusterReads,
    CudaLibraries,
    LoadRun,
    LoadSource,
    ObjectRef,
)
from scenario_runner.core.samples import LoadOrder
from scenario_runner.core.targets import Target

if TYPE_CHECKING:
    from scenario_runner.core.plan import Plan, PlatformProfile


@dataclass(frozen=True)
class TargetKinds:
    """Annotation of a step's field: the name of a declared target of one of these kinds ("gpu", "node", ...)."""

    kinds: tuple[str, ...]


@dataclass(frozen=True)
class LoadName:
    """Annotation of a step's field: the id of an earlier `send_requests`."""


@dataclass(frozen=True)
class StepName:
    """Annotation of a step's field: the id of an earlier step of one of these kinds."""

    kinds: tuple[str, ...]


class UndoPhase(IntEnum):
    """The order in which changes are taken back; newest first within a phase."""

    FAULTS = 1
    NETWORK = 2
    TEMPLATES = 3
    SCALE = 4
    OBJECTS = 5


class Undo(BaseModel):
    """
    Takes one change back. Written to the journal *before* the change is made.

    Both halves must be safe when the change never happened, and safe twice: after a crash nobody knows.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    phase: ClassVar[UndoPhase]
    undo: str  # every subclass: `undo: Literal["recover_fault"] = "recover_fault"`

    def take_back(self, ctx: "UndoContext") -> str:
        """Order the change back without waiting; return a sentence. Raise TargetUnreachable to be tried again."""
        raise NotImplementedError

    def leftover(self, ctx: "UndoContext") -> str | None:
        """Read what is still left of the change, as a sentence; None when nothing is."""
        raise NotImplementedError

    def subject(self) -> str:
        """What is taken back, for people: "XID 79 on gpu-1"."""
        raise NotImplementedError

    def touches(self) -> ObjectRef:
        """
        What is acted on: a node, or an object (with its uid unless the change creates it).

        A recovery holds it against the plan of the run, and an Event on it tells who changed it.
        """
        raise NotImplementedError

    def differences(self) -> tuple[str, ...]:
        """What exactly will be set back, a line each, for people who are asked; none where the subject says it all."""
        return ()


@dataclass(frozen=True)
class UndoContext:
    """Everything an undo may touch: its clock is not stopped by the signal that stops the steps."""

    clock: Clock
    deadline: Deadline
    agent: Agent
    cluster: Cluster
    claim: str = ""  # of the promise that is kept, as it stands on the objects that it changed
    began: float = 0.0  # when the undo of that promise did; monotonic seconds of the clock
    answered: bool = True  # whether anybody knows that the change was made; otherwise it may still be under way


@dataclass(frozen=True)
class Act:
    """The ports that change something; exists only inside `ctx.changing(undo)`."""

    agent: Agent
    cluster: Cluster
    claim: str = ""  # "<run>/<number of the promise>": what every object that is changed or created must carry


class Run(Protocol):
    """What the engine keeps across steps: loads, faults and the windows that they open."""

    @property
    def run_id(self) -> str: ...
    def add_load(self, step_id: str, order: LoadOrder, run: LoadRun) -> LoadHandle: ...
    def load(self, step_id: str) -> LoadHandle:
        """Raise StepBroken when that load never started."""
        ...

    def joined(self, step_id: str) -> None: ...
    def add_fault(self, fault: Fault) -> None: ...
    def hits(self, fault_id: str) -> CudaHits:
        """What a CUDA fault was seen to hit until now; nothing if nobody looked yet."""
        ...

    def rolled_out(self, workload: str) -> None:
        """The run itself has replaced the pods of that workload target: a pod of it may be another one by now."""
        ...

    @property
    def replaced(self) -> frozenset[str]:
        """Names of the workload targets whose pods the run has replaced."""
        ...

    @property
    def faults(self) -> tuple[Fault, ...]: ...
    def started(self, fault: Fault) -> float:
        """When the fault was ordered: nothing that was seen before can be its effect."""
        ...

    def evidence(self, fault: Fault) -> Literal["written", "noticed", "hit"]:
        """How far the fault is proved to have taken effect until now."""
        ...

    def window(self, name: str) -> tuple[Interval, ...]:
        """The intervals of "fault", "baseline", "recovery" or of one fault step's id; empty when it never opened."""
        ...

    def evidence_file(self, name: str, text: str) -> str:
        """Keep a text (capped and redacted) among the run's evidence; return its path relative to the run's folder."""
        ...


class TakeBack(Protocol):
    """Takes back what a step changed, and waits until it is gone."""

    def __call__(self, step_id: str, only: str | None = None) -> Finding:
        """All of it, or its promises of one kind of undo `only`; StepBroken when there are none, or when it fails."""
        ...


@dataclass(frozen=True)
class Context:
    """Everything a running step may touch. Ports here only read."""

    step_id: str
    clock: Clock
    deadline: Deadline
    plan: "Plan"
    cluster: ClusterReads
    agent: AgentReads
    loads: LoadSource
    libraries: CudaLibraries
    observations: ObservationLog
    run: Run
    changing: Callable[[Undo], AbstractContextManager[Act]]
    choose_again: Callable[[str], tuple[str, ...]]  # workload target whose pods we replaced -> which targets moved
    take_back: "TakeBack"
    progress: Callable[[str], None]  # one short line for the live view
    background: bool = False  # return as soon as it has begun; `Step.finish` says later what came of it

    def target(self, name: str) -> Target:
        return self.plan.targets[name]


class Step(BaseModel):
    """
    One kind of step. A subclass is one file in `steps/`, its kind is the file's name.

    The class docstring is the documentation; every field has a description.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: ClassVar[Role]
    example: ClassVar[str]  # a whole entry of `steps:`, as YAML
    bare: ClassVar[str | None] = None  # the field that a bare value fills: `join: traffic`
    reads_only: ClassVar[bool] = False  # may stand in `health`, `after` and `always`, and may be retried
    can_run_in_background: ClassVar[bool] = False
    default_timeout: ClassVar[float] = 60.0  # seconds

    @classmethod
    def kind(cls) -> str:
        return cls.__module__.rpartition(".")[2]

    def run(self, ctx: Context) -> Finding:
        raise NotImplementedError

    def finish(self, ctx: Context) -> Finding:
        """
        What came of a step in the background: asked once, when it was joined or when the steps are over.

        Its load has sent everything by then. Raise like `run`.
        """
        raise NotImplementedError

    def longest(self, timeout: float) -> float:
        """
        Seconds that this step may take in the worst case; a load that is waited for says more than its timeout.

        `longest(0)` is what it takes at least: an explicit timeout below that is a mistake.
        """
        return timeout

    def patience(self, profile: "PlatformProfile") -> float:
        """The step's timeout in seconds where the scenario gives none; waits for the platform ask the profile."""
        del profile
        return self.longest(self.default_timeout)

    def endless(self) -> bool:
        """True for a step that never ends by itself: it must stand in the background and be joined."""
        return False

    def check(self, peers: Mapping[str, "Step"]) -> list[str]:
        """Sentences about what is wrong with this step beside the steps before it (by id); none by default."""
        del peers
        return []

    def changes(self, targets: Mapping[str, Target]) -> list[str]:
        """What this step will change, for the plan: "gpu-1: a kernel log line with XID 79 for GPU 0"; default none."""
        del targets
        return []

    def needs(self, targets: Mapping[str, Target]) -> list[Permission]:
        """What the cluster must permit for this step and its undo, beside what every run reads; default nothing."""
        del targets
        return []

    def objections(
        self, targets: Mapping[str, Target], cluster: ClusterReads, libraries: CudaLibraries
    ) -> Iterable[str]:
        """Sentences about why the cluster will not let this step do its work, before the first step; default none."""
        del targets, cluster, libraries
        return ()

    def replaces(self) -> str | None:
        """The workload target whose pods this step replaces: what was found through them is chosen again then."""
        return None

    def pins(self) -> str | None:
        """The workload target whose pods this step keeps on the nodes where they are: none of them can move then."""
        return None

    def strikes(self) -> Strike | None:
        """What a fault does to the nodes of its `target`, for guards and consequences; None: this is no fault."""
        return None

    @property
    def part(self) -> Role:
        """The role of this very step: one that strikes is a fault, whatever its kind is otherwise."""
        return self.role if self.strikes() is None else Role.FAULT

    def title(self) -> str:
        """What people read when the scenario gives no name; the kind and its bare value by default."""
        value: Any = getattr(self, self.bare) if self.bare else None
        return self.kind() if value is None else f"{self.kind()} {value}"
