"""Looks again at targets that were found through pods which the run itself has replaced since."""

from collections.abc import Iterable
from dataclasses import replace

from scenario_runner.core.clock import Clock, Deadline, Look, wait_until
from scenario_runner.core.plan import Plan, ResolvedTarget
from scenario_runner.core.ports import ObjectRef
from scenario_runner.core.targets import WorkloadTarget
from scenario_runner.core.undo.revert_edits import RevertEdits
from scenario_runner.engine.state import RunState
from scenario_runner.engine.undoing import Undone
from scenario_runner.errors import DeadlineExceeded, Refused, StepBroken

_PATIENCE = 10.0  # seconds until the agents know who holds which GPU


def choose_again(state: RunState, clock: Clock, workload: str) -> tuple[str, ...]:
    """
    From now on the plan names what the targets found through `workload` stand for; a sentence for each that moved.

    What this run has struck stays. Raise StepBroken when nothing is left that may be hit instead.
    """
    struck = _struck(state)

    def look() -> Look[tuple[ResolvedTarget, ...]]:
        try:
            return Look(done=True, seen="", value=state.world.rechoosing(state.plan, workload, struck))
        except Refused as exc:
            return Look(done=False, seen=str(exc), value=())

    try:
        found = wait_until(f"the pods of {workload} are others now", look, Deadline.after(clock, _PATIENCE), every=1.0)
    except DeadlineExceeded as exc:
        raise StepBroken(str(exc)) from None
    before = {one.name: one for one in state.plan.resolved}
    state.plan = _with(state.plan, found)
    state.watches.widen(state.plan, Deadline.after(clock, state.settings.sync))
    return tuple(
        f"{one.name} is {one.chosen} now, it was {before[one.name].chosen}"
        for one in found
        if one.place != before[one.name].place
    )


def after_undo(state: RunState, clock: Clock, undone: Iterable[Undone]) -> tuple[str, ...]:
    """The same after a rollout back in mid-run. Where nothing may be hit instead, only a later fault minds."""
    back = {one.promise.undo.uid for one in undone if one.kept and isinstance(one.promise.undo, RevertEdits)}
    told: list[str] = []
    for resolved in state.plan.resolved:
        if isinstance(resolved.target, WorkloadTarget) and resolved.target.uid in back:
            try:
                told += choose_again(state, clock, resolved.name)
            except StepBroken as exc:
                told.append(str(exc))
    return tuple(told)


def _with(plan: Plan, found: tuple[ResolvedTarget, ...]) -> Plan:
    new = {one.name: one for one in found}
    return replace(plan, resolved=tuple(new.get(one.name, one) for one in plan.resolved))


def _struck(state: RunState) -> frozenset[str]:
    """Nodes on which the run has changed anything, whether that was taken back or not."""
    touched = (one.undo.touches() for one in state.world.journal.promises if one.undo is not None)
    return frozenset(ref.name for ref in touched if _is_node(ref))


def _is_node(ref: ObjectRef) -> bool:
    return ref.kind == "Node"
