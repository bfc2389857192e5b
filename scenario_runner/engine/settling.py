"""Waits for what the platform does because of us. It is not ours to undo: it is reported, and never a leftover."""

from scenario_runner.core.clock import Clock, Deadline, Look, wait_until
from scenario_runner.core.faults import Fault
from scenario_runner.core.observations import ObservationLog
from scenario_runner.core.plan import Plan
from scenario_runner.core.targets import WorkloadTarget
from scenario_runner.engine.ledger import Ledger
from scenario_runner.engine.watches import Watches
from scenario_runner.engine.windows import STATE_LABEL, healed, reaction
from scenario_runner.errors import DeadlineExceeded, Stopped


def settle(ledger: Ledger, log: ObservationLog, watches: Watches, plan: Plan, deadline: Deadline) -> tuple[str, ...]:
    """Sentences about what the platform has not finished at the deadline; none when all is as it was."""
    if not ledger.faults:
        return ()

    def look() -> Look[None]:
        open_ = unsettled(ledger, log, watches, plan)
        return Look(not open_, "; ".join(open_), None)

    clock: Clock = deadline.clock
    before = clock.monotonic()
    try:
        wait_until("the platform is not finished", look, deadline, every=1.0)
    except (DeadlineExceeded, Stopped):
        waited = clock.monotonic() - before
        return tuple(f"{text} {waited:.0f}s after the undo" for text in unsettled(ledger, log, watches, plan))
    return ()


def unsettled(ledger: Ledger, log: ObservationLog, watches: Watches, plan: Plan) -> list[str]:
    first: dict[str, Fault] = {}
    for fault in ledger.faults:
        first.setdefault(fault.node, fault)
    nodes = [text for node, fault in first.items() if (text := _node(log, node, ledger.started(fault)))]
    return nodes + [text for name, target in plan.targets.items() if (text := _workload(watches, name, target))]


def _node(log: ObservationLog, node: str, since: float) -> str:
    if log.value("node", node, "ready") not in {"True", ""}:
        return f"node {node} is still not ready"
    if healed(log, node, since) is not None:
        since = healed(log, node, since) or since
    signs = [text for one in reaction(log, node, since) if (text := _sign(one.fact, one.value))]
    return f"node {node} still has " + ", ".join(signs) if signs else ""


def _sign(fact: str, value: str) -> str:
    if fact == "schedulable":
        return "a cordon" if value == "false" else ""
    if fact == STATE_LABEL:
        return f"the state {value}" if value else ""
    return f"the condition {fact.partition('/')[2]}" if value == "True" else ""


def _workload(watches: Watches, name: str, target: object) -> str:
    if not isinstance(target, WorkloadTarget):
        return ""
    ready = sum(pod.ready and not pod.deleting for pod in watches.pods(target))
    return f"{name} has still only {ready} of {target.replicas} pods ready" if ready < target.replicas else ""
