"""
The outside of one run, put together by the app or by a test.

    bell = Bell(); stop = Stop(bell); clocks = Clocks.system(bell, stop)
    with Signals(clocks.undo) as signals:                               # before any thread exists
        claim = take(state_dir, run_dir, card, UNDOS)                   # Refused, Orphaned
        world = World(run_id=..., backend="lab demo", clocks=clocks, bell=bell, stop=stop, cluster=..., agent=...,
                      loads=..., journal=claim.journal, run_dir=run_dir, listeners=(...))
        report = supervise(signals, stop, lambda: run(plan, world))     # LeftAtOnce: end the process now
        claim.release()
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from scenario_runner.core.clock import Bell, Clock, Stop, SystemClock
from scenario_runner.core.events import Event
from scenario_runner.core.faults import FAULT_TTL
from scenario_runner.core.plan import Plan, ResolvedTarget
from scenario_runner.core.ports import Agent, Cluster, CudaLibraries, CudaLibrary, LoadSource, Watch
from scenario_runner.engine.beats import Beats, ThreadBeats
from scenario_runner.engine.claim import ClusterClaim, LocalOnly
from scenario_runner.engine.journal import Journal
from scenario_runner.errors import StepBroken

REMEDIATIONS = (
    Watch("janitor.dgxc.nvidia.com/v1alpha1/rebootnodes"),
    Watch("janitor.dgxc.nvidia.com/v1alpha1/gpuresets"),
)


@dataclass(frozen=True)
class Clocks:
    """The clock of the steps ends with the stop latch, that of the undo never; `always` is the latter with a grace."""

    steps: Clock
    undo: Clock

    @classmethod
    def system(cls, bell: Bell, stop: Stop) -> "Clocks":
        return cls(SystemClock(bell, stop), SystemClock(bell))


class NoLibrary:
    """Stands where nobody said where the CUDA library is."""

    def library(self, machine: str) -> CudaLibrary:
        raise StepBroken(f"there is no CUDA library for {machine} here")


# Plan, workload target whose pods the run replaced, nodes that it has struck -> the targets that stand for something
# else now, owned by the run; raises Refused.
Rechoosing = Callable[[Plan, str, frozenset[str]], tuple[ResolvedTarget, ...]]


def stay(plan: Plan, workload: str, struck: frozenset[str]) -> tuple[ResolvedTarget, ...]:
    """Stands where nobody can choose again."""
    del plan, workload, struck
    return ()


@dataclass(frozen=True)
class World:
    """Everything a run touches."""

    run_id: str
    backend: str  # in words: "lab demo"
    clocks: Clocks
    bell: Bell
    stop: Stop
    cluster: Cluster
    agent: Agent
    loads: LoadSource
    journal: Journal
    run_dir: Path
    listeners: tuple[Callable[[Event], None], ...] = ()
    beats: Beats = field(default_factory=ThreadBeats)
    libraries: CudaLibraries = field(default_factory=NoLibrary)
    claim: ClusterClaim = field(default_factory=LocalOnly)
    rechoosing: Rechoosing = stay


@dataclass(frozen=True)
class Settings:
    """What a run does with its time. Seconds."""

    grace: float = 60.0  # for `always` steps and evidence once the run was asked to stop
    ttl: float = FAULT_TTL
    tick: float = 0.25
    hits: float = 0.5  # between two looks at what CUDA faults hit
    sync: float = 15.0  # for the first complete list of each watch
    remediations: tuple[Watch, ...] = REMEDIATIONS
