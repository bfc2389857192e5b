"""
Takes back what a dead run left, from its folder alone.

    past = recover.look(run_dir, UNDOS)                    # reads only: what would be done
    result = recover.recover(run_dir, state_dir, Reach(clock, agent, cluster), UNDOS)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scenario_runner.core.clock import Clock, Deadline
from scenario_runner.core.ports import Agent, Cluster
from scenario_runner.core.report import UndoSummary
from scenario_runner.core.step import Undo, UndoContext
from scenario_runner.engine import claim
from scenario_runner.engine.appending import Disk
from scenario_runner.engine.journal import Journal
from scenario_runner.engine.records import Replay, replay
from scenario_runner.engine.run_card import JOURNAL, RunCard, read_card
from scenario_runner.engine.undoing import take_back_all
from scenario_runner.errors import ExitCode, Refused


@dataclass(frozen=True)
class Reach:
    """How a recovery reaches the world; the clock is one that nothing stops, or that a person may stop."""

    clock: Clock
    agent: Agent
    cluster: Cluster


@dataclass(frozen=True)
class Recovery:
    """What came of the promises of a dead run, and lines of its journal that nobody can read."""

    run_id: str
    undo: tuple[UndoSummary, ...]
    bad: tuple[str, ...]

    @property
    def exit_code(self) -> ExitCode:
        left = any(one.outcome == "left" for one in self.undo)
        return ExitCode.LEFTOVER if left or self.bad else ExitCode.PASSED


def look(run_dir: Path, undos: Mapping[str, type[Undo]]) -> tuple[RunCard, Replay]:
    """What a recovery would do. Raise Refused when there is no such run, or when it is still running."""
    card = read_card(run_dir)
    try:
        if claim.is_owned(run_dir / JOURNAL):
            raise Refused(f"run {card.run_id} is still running; end it, and it takes everything back itself")
        return card, replay(run_dir / JOURNAL, undos)
    except FileNotFoundError:
        raise Refused(f"the journal of run {card.run_id} in {run_dir} is gone: nothing is known to take back") from None


def recover(
    run_dir: Path, state_dir: Path, reach: Reach, undos: Mapping[str, type[Undo]], disk: Disk | None = None
) -> Recovery:
    """
    Take everything back that is open in the run's journal; what is left stays open.

    Raise Refused while the run's owner lives, when another run owns one of its nodes, or for another cluster.
    """
    card, _ = look(run_dir, undos)
    found = reach.cluster.identity()
    if found != card.identity:
        raise Refused(f"run {card.run_id} belongs to another cluster: {card.identity}, and this one is {found}")
    cluster = claim.folder(state_dir, card.identity)
    with claim.gate(cluster):
        journal = Journal.own(run_dir / JOURNAL, card.run_id, undos, disk)
        try:
            locks = claim.lock_targets(cluster, card.run_id, card.targets)
        except Refused:
            journal.close()
            raise
    held = claim.Claim(journal, cluster / "runs" / card.run_id, locks)
    try:
        return Recovery(card.run_id, _take_back(journal, reach, card.undo_budget), journal.bad)
    finally:
        held.release()


def _take_back(journal: Journal, reach: Reach, budget: float) -> tuple[UndoSummary, ...]:
    ctx = UndoContext(reach.clock, Deadline.after(reach.clock, budget), reach.agent, reach.cluster)
    undone = take_back_all(journal.outstanding, ctx, journal, lambda _: None)
    return tuple(
        UndoSummary(
            seq=one.promise.seq,
            subject=one.promise.subject(),
            step_id=one.promise.step_id,
            outcome="kept" if one.kept else "left",
            detail=one.detail,
            seconds=one.seconds,
        )
        for one in undone
    )
