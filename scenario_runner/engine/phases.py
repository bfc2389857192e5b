"""How long the platform took for each phase of its reaction, read from the observations of a run."""

from collections.abc import Callable, Iterator

from scenario_runner.core.faults import Fault
from scenario_runner.core.observations import Observation, first
from scenario_runner.core.outcome import Status
from scenario_runner.core.report import PhaseTime
from scenario_runner.engine.state import RunState
from scenario_runner.engine.windows import STATE_LABEL, noticed

Accept = Callable[[Observation], bool]


def phase_times(state: RunState) -> tuple[PhaseTime, ...]:
    """For each node with a fault, since its first fault was ordered, in the order in which the phases come."""
    nodes: dict[str, Fault] = {}
    for fault in sorted(state.ledger.faults, key=lambda one: bool(one.cuda)):  # the platform reacts to XIDs
        nodes.setdefault(fault.node, fault)
    return tuple(phase for fault in nodes.values() for phase in _of(state, fault))


def _of(state: RunState, fault: Fault) -> Iterator[PhaseTime]:
    profile, log, since = state.plan.profile, state.log, state.ledger.started(fault)
    seen = log.select("node", fault.node, since=since)
    cordoned = first(seen, lambda one: one.fact == "schedulable" and one.value == "false")
    by_platform = not fault.cuda  # which sees the kernel's log

    def phase(name: str, found: Observation | None, budget: float | None) -> Iterator[PhaseTime]:
        if not by_platform:
            return
        seconds = None if found is None else found.at - since
        detail = "" if found is None else f"{found.fact} {found.value}".strip()
        yield PhaseTime(name, fault.node, seconds, budget, detail)

    yield PhaseTime("inject", fault.node, fault.at - since, None, f"{fault.words} acknowledged")
    alone = sum(one.node == fault.node and not one.cuda for one in state.ledger.faults) == 1
    yield from phase("noticed", noticed(log, fault, since, alone=alone), profile.detected)
    crashed = first(log.select("pod", since=since), _crashed(state, fault.node))
    if crashed is not None:
        yield PhaseTime("crashed", fault.node, crashed.at - since, None, crashed.name)
    yield from phase("cordoned", cordoned, profile.cordoned)
    yield from phase("drained", first(seen, _state("drain-succeeded")), profile.drained)
    yield from phase("remediated", first(seen, _state("remediation-succeeded")), profile.remediated)
    yield from _rescheduled(state, fault, since)
    yield from _serving(state, fault)
    after = cordoned.at if cordoned else float("inf")
    back = first(seen, lambda one: one.at >= after and one.fact == "schedulable" and one.value == "true")
    yield from phase("uncordoned", back, profile.uncordoned)


def _state(value: str) -> Accept:
    return lambda one: one.fact == STATE_LABEL and one.value == value


def _crashed(state: RunState, node: str) -> Accept:
    """A pod that was on the node crash-loops or restarts (an evicted pod is no crash)."""
    on_node = {one.name for one in state.log.select("pod", fact="node") if one.value == node}
    return lambda one: (
        one.name in on_node
        and not one.initial
        and (
            (one.fact == "restarts" and "" not in {one.was, one.value})
            or (one.fact == "waiting" and one.value == "CrashLoopBackOff")
        )
    )


def _rescheduled(state: RunState, fault: Fault, since: float) -> Iterator[PhaseTime]:
    """When the pods that took the place of those that left the node were ready."""
    pods = state.log.select("pod")
    lost = {one.name for one in pods if one.fact == "node" and one.value == fault.node}
    gone = [one for one in pods if one.fact == "gone" and one.value and one.name in lost and one.at >= since]
    if not gone:
        return
    new = {one.name for one in pods if one.fact == "uid" and one.value and not one.initial and one.at >= since}
    ready = [one for one in pods if one.fact == "ready" and one.value == "true" and one.name in new and one.at >= since]
    times = sorted({one.name: one.at for one in reversed(ready)}.values())
    at = times[len(gone) - 1] if len(times) >= len(gone) else None
    seconds = None if at is None else at - since
    yield PhaseTime("rescheduled", fault.node, seconds, None, f"{min(len(times), len(gone))} of {len(gone)} pods")


def _serving(state: RunState, fault: Fault) -> Iterator[PhaseTime]:
    """When a `wait_for_recovery` found the service well again."""
    offset = state.ledger.started(fault) - state.ledger.began
    for one in state.outcomes:
        if one.kind == "wait_for_recovery" and one.status is Status.PASSED and one.offset + one.seconds >= offset:
            yield PhaseTime("serving", fault.node, one.offset + one.seconds - offset, one.timeout, one.summary)
            return
