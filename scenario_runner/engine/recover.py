"""
Takes back what a dead run left: from its folder, or from another machine by what the cluster remembers.

    card, past = recover.look(run_dir, UNDOS)                    # reads only: what would be done
    result = recover.recover(run_dir, state_dir, Reach(clock, agent, cluster), UNDOS)
    read = recover.look_copy(seat, run_id)                       # the same without the folder
    result = recover.recover_copy(read, Reach(clock, agent, cluster, seat))
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from scenario_runner.core.clock import Clock, Deadline
from scenario_runner.core.ports import Agent, Cluster
from scenario_runner.core.report import UndoSummary
from scenario_runner.core.step import Undo, UndoContext
from scenario_runner.engine import claim, cluster_claim
from scenario_runner.engine.appending import Disk
from scenario_runner.engine.beats import Beats, ThreadBeats
from scenario_runner.engine.cluster_claim import ClusterHold
from scenario_runner.engine.copies import ReadCopy, beyond, read_copy
from scenario_runner.engine.journal import Journal
from scenario_runner.engine.leases import Seat
from scenario_runner.engine.records import Promise, Replay, replay
from scenario_runner.engine.run_card import JOURNAL, RunCard, Scope, read_card
from scenario_runner.engine.undoing import Undone, take_back_all
from scenario_runner.errors import ExitCode, Refused


@dataclass(frozen=True)
class Reach:
    """How a recovery reaches the world; the clock is one that nothing stops, or that a person may stop."""

    clock: Clock
    agent: Agent
    cluster: Cluster
    seat: Seat | None = None  # None: nobody but this machine knows of the run
    takeover: bool = False  # take Leases that nobody renews
    beats: Beats = field(default_factory=ThreadBeats)


@dataclass(frozen=True)
class Recovery:
    """What came of the promises of a dead run, and lines of its journal that nobody can read."""

    run_id: str
    undo: tuple[UndoSummary, ...]
    bad: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        left = any(one.outcome == "left" for one in self.undo)
        return ExitCode.LEFTOVER if left or self.bad else ExitCode.PASSED


class CopyJournal:
    """The promises of a copy while they are taken back by somebody who has no journal."""

    def __init__(self, run: str, past: Replay) -> None:
        self.run = run
        self.bad = past.bad
        self._promises = dict(past.promises)

    @property
    def promises(self) -> tuple[Promise, ...]:
        return tuple(self._promises.values())

    @property
    def outstanding(self) -> tuple[Promise, ...]:
        """Open promises, newest first."""
        return tuple(one for one in reversed(self.promises) if one.open)

    def mark(self, seq: int, kind: str, detail: str = "") -> None:
        self._promises[seq] = replace(self._promises[seq], state=kind, detail=detail)


def look(run_dir: Path, undos: Mapping[str, type[Undo]]) -> tuple[RunCard, Replay]:
    """What a recovery would do. Raise Refused when there is no such run, or when it is still running."""
    card = read_card(run_dir)
    try:
        if claim.is_owned(run_dir / JOURNAL):
            raise Refused(f"run {card.run_id} is still running; end it, and it takes everything back itself")
        return card, replay(run_dir / JOURNAL, undos)
    except FileNotFoundError:
        raise Refused(f"the journal of run {card.run_id} in {run_dir} is gone: nothing is known to take back") from None


def look_copy(seat: Seat, run_id: str) -> ReadCopy:
    """What a recovery without the run's folder would do; Refused when the cluster knows nothing to be believed."""
    found = seat.store.copy(run_id)
    if found is None:
        raise Refused(f"the cluster knows of no run {run_id} that has anything left to take back")
    return read_copy(found, seat.undos)


def recover(
    run_dir: Path, state_dir: Path, reach: Reach, undos: Mapping[str, type[Undo]], disk: Disk | None = None
) -> Recovery:
    """
    Take everything back that is open in the run's journal; what is left stays open.

    Raise Refused while the run's owner lives, when another run owns one of its nodes, or for another cluster.
    """
    card, _ = look(run_dir, undos)
    _must_be_its_cluster(card, reach)
    cluster = claim.folder(state_dir, card.identity)
    with claim.gate(cluster):
        journal = Journal.own(run_dir / JOURNAL, card.run_id, undos, disk)
        try:
            locks = claim.lock_targets(cluster, card.run_id, card.targets)
        except Refused:
            journal.close()
            raise
    held = claim.Claim(journal, run_dir, cluster / "runs" / card.run_id, locks)
    try:
        with ExitStack() as ending:
            hold = _hold(ending, card, reach, owner_is_dead=True)
            undone = _take_back(card, journal, reach, hold)
        return Recovery(card.run_id, undone, journal.bad, hold.notes if hold else ())
    finally:
        held.release()


def recover_copy(read: ReadCopy, reach: Reach) -> Recovery:
    """
    Take everything back that the cluster's copy says is open; what is left stays in it.

    Raise Refused for another cluster, and while the run's Leases are there unless `reach.takeover` and nobody renews
    them for their whole duration.
    """
    card = replace(read.card, scope=read.card.scope or Scope())
    _must_be_its_cluster(card, reach)
    assert reach.seat is not None
    with ExitStack() as ending:
        hold = _hold(ending, card, reach, owner_is_dead=False)
        assert hold is not None
        # Only now nobody else writes it.
        past = read_copy(hold.copy, reach.seat.undos).past if hold.copy else read.past
        journal = CopyJournal(card.run_id, past)
        undone = _take_back(card, journal, reach, hold)
    return Recovery(card.run_id, undone, past.bad, hold.notes)


def _must_be_its_cluster(card: RunCard, reach: Reach) -> None:
    found = reach.cluster.identity()
    if found != card.identity:
        raise Refused(f"run {card.run_id} belongs to another cluster: {card.identity}, and this one is {found}")


def _hold(ending: ExitStack, card: RunCard, reach: Reach, *, owner_is_dead: bool) -> ClusterHold | None:
    if reach.seat is None:
        return None
    hold = cluster_claim.take_over(reach.seat, card, takeover=reach.takeover, owner_is_dead=owner_is_dead)
    ending.callback(reach.beats.every(hold.every, hold.renew, "lease"))
    return hold


def _take_back(
    card: RunCard, journal: Journal | CopyJournal, reach: Reach, hold: ClusterHold | None
) -> tuple[UndoSummary, ...]:
    ctx = UndoContext(reach.clock, Deadline.after(reach.clock, card.undo_budget), reach.agent, reach.cluster)
    refused = {one.seq: why for one in journal.outstanding if (why := beyond(one, card))}
    for seq, why in refused.items():
        journal.mark(seq, "left", why)
    allowed = [one for one in journal.outstanding if one.seq not in refused]
    try:
        undone = take_back_all(allowed, ctx, journal, owned=hold.check if hold else lambda: None)
    finally:
        if hold is not None:
            hold.release(journal.promises, unreadable=bool(journal.bad))
    return (*map(_summary, undone), *(_refused(one) for one in journal.promises if one.seq in refused))


def _summary(one: Undone) -> UndoSummary:
    return UndoSummary(
        seq=one.promise.seq,
        subject=one.promise.subject(),
        step_id=one.promise.step_id,
        outcome="kept" if one.kept else "left",
        detail=one.detail,
        seconds=one.seconds,
    )


def _refused(one: Promise) -> UndoSummary:
    return UndoSummary(one.seq, one.subject(), one.step_id, "left", one.detail, 0.0)
