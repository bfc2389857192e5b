"""What a run has come to so far: written by the engine's thread only, turned into the report at the end."""

from dataclasses import dataclass, field
from datetime import datetime

from scenario_runner.core.observations import ObservationLog
from scenario_runner.core.outcome import Outcome
from scenario_runner.core.plan import Plan
from scenario_runner.engine.broadcast import Broadcast
from scenario_runner.engine.ledger import Ledger
from scenario_runner.engine.undoing import Undone
from scenario_runner.engine.watches import Watches
from scenario_runner.engine.world import Settings, World


@dataclass
class RunState:
    """The parts of one run, and its growing results."""

    plan: Plan
    world: World
    settings: Settings
    emit: Broadcast
    log: ObservationLog
    ledger: Ledger
    watches: Watches
    started: datetime
    outcomes: list[Outcome] = field(default_factory=list)
    undone: dict[int, Undone] = field(default_factory=dict)  # by number of the promise; the newest attempt
    notes: list[str] = field(default_factory=list)
    trouble: str = ""  # what kept the engine itself from doing its work

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return self.world.clocks.undo.monotonic() - self.ledger.began
