"""Takes promises back for somebody: one step's (`ctx.take_back`), those of a group at its end, or all at the end."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from functools import partial

from scenario_runner.core.clock import Clock, Deadline
from scenario_runner.core.events import StepEnded
from scenario_runner.core.outcome import Finding, Outcome, Phase, Role, Status
from scenario_runner.core.step import UndoContext
from scenario_runner.core.undo.disarm_cuda import DisarmCuda
from scenario_runner.core.undo.recover_fault import RecoverFault
from scenario_runner.engine.ledger import FaultEnd
from scenario_runner.engine.rechoosing import after_undo
from scenario_runner.engine.records import Promise
from scenario_runner.engine.state import RunState
from scenario_runner.engine.undoing import Undone, take_back_all
from scenario_runner.errors import StepBroken


def take_back_step(state: RunState, clock: Clock, deadline: Deadline, step_id: str, only: str | None = None) -> Finding:
    """
    All that a step changed, or what undos of the kind `only` take back.

    Raise StepBroken when the step changed nothing of that, or when something is left at the deadline.
    """
    ours = [one for one in state.world.journal.promises if one.step_id == step_id and one.state != "withdrawn"]
    ours = [one for one in ours if only is None or (one.undo is not None and one.undo.undo == only)]
    if not ours:
        raise StepBroken(f"step {step_id} changed nothing that could be taken back")
    before = clock.monotonic()
    undone = _revert(state, clock, deadline, [one for one in ours if one.open])
    found = _finding(undone, clock.monotonic() - before)
    return replace(found, summary="; ".join((found.summary, *after_undo(state, clock, undone))))


def leave_scope(state: RunState, scope: tuple[str, ...], number: str, clock: Clock) -> Outcome:
    """The outcome of a group's end. `number` is that of its last step."""
    at, before = clock.now(), clock.monotonic()
    inside = [one for one in state.world.journal.outstanding if one.scope[: len(scope)] == scope]
    undone = _revert(state, clock, Deadline.after(clock, state.plan.undo_budget), inside)
    left = [f"{one.promise.subject()}: {one.detail}" for one in undone if not one.kept]
    subjects = ", ".join(one.promise.subject() for one in undone)
    gone = f"taken back: {subjects}" if undone else "nothing was left to take back"
    moved = after_undo(state, clock, undone)
    outcome = Outcome(
        number=f"{number} end",
        step_id=scope[-1],
        kind="group",
        name=f"end of group {scope[-1]}",
        role=Role.GROUP,
        phase=Phase.STEPS,
        status=Status.BROKEN if left else Status.PASSED,
        summary=f"still to be taken back: {'; '.join(left)}" if left else "; ".join((gone, *moved)),
        started=at,
        offset=before - state.ledger.began,
        seconds=clock.monotonic() - before,
        timeout=state.plan.undo_budget,
    )
    state.outcomes.append(outcome)
    state.emit(StepEnded(outcome))
    return outcome


def take_everything_back(state: RunState) -> None:
    """Keep every open promise and add an outcome for each; what is left stays open in the journal."""
    clock = state.world.clocks.undo
    deadline = Deadline.after(clock, state.plan.undo_budget)
    for number, one in enumerate(_revert(state, clock, deadline, state.world.journal.outstanding), start=1):
        outcome = _outcome(state, number, one)
        state.outcomes.append(outcome)
        state.emit(StepEnded(outcome))


def _revert(state: RunState, clock: Clock, deadline: Deadline, promises: Iterable[Promise]) -> tuple[Undone, ...]:
    ctx = UndoContext(clock, deadline, state.world.agent, state.world.cluster)
    ordered = partial(_ordered, state, clock)
    undone = take_back_all(promises, ctx, state.world.journal, ordered, state.world.claim.check)
    state.undone |= {one.promise.seq: one for one in undone}
    return undone


def _ordered(state: RunState, clock: Clock, promise: Promise) -> None:
    if isinstance(promise.undo, RecoverFault | DisarmCuda):
        state.ledger.ended(promise.undo.fault_id, FaultEnd(clock.monotonic(), "taken back"))


def _finding(undone: tuple[Undone, ...], seconds: float) -> Finding:
    left = [f"{one.promise.subject()}: {one.detail}" for one in undone if not one.kept]
    if left:
        raise StepBroken("still to be taken back: " + "; ".join(left))
    told = "; ".join(one.detail for one in undone) or "it had been taken back before"
    return Finding(told, {"seconds": seconds})


def _outcome(state: RunState, number: int, one: Undone) -> Outcome:
    began = state.ledger.began
    return Outcome(
        number=f"undo {number:02d}",
        step_id=one.promise.step_id,
        kind=one.promise.kind,
        name=f"take back {one.promise.subject()}",
        role=Role.UNDO,
        phase=Phase.UNDO,
        status=Status.PASSED if one.kept else Status.BROKEN,
        summary=one.detail if one.kept else f"still to be taken back: {one.detail}",
        started=state.started + timedelta(seconds=one.started - began),
        offset=one.started - began,
        seconds=one.seconds,
        timeout=state.plan.undo_budget,
        trace=one.trace,
    )
