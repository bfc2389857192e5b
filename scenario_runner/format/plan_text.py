"""A plan as text: what was chosen, what will be done, what it will cost and what may happen."""

from collections.abc import Iterable, Iterator

from scenario_runner.core.outcome import Phase
from scenario_runner.core.plan import Plan, PlannedStep
from scenario_runner.core.quantities import format_seconds
from scenario_runner.core.targets import EndpointTarget
from scenario_runner.format.profile import shipped_profile
from scenario_runner.gpu.xids import xid_table

_TITLES = {
    Phase.HEALTH: "Health, before the first step and after undo",
    Phase.STEPS: "Steps",
    Phase.ALWAYS: "Always, before undo",
    Phase.AFTER: "After undo",
}

_WAYS = {
    "api-proxy": (
        "latency includes the API server, which picks a ready pod for each request; what DNS and kube-proxy do is not "
        "measured, and while the API server is away every request fails"
    ),
    "node-port": "requests enter through one node and fail with it, whatever the service does",
    "load-balancer": "latency includes the load balancer, and its own checks decide which nodes it asks",
}


def render(plan: Plan) -> str:
    """Several lines, without a line break at the end."""
    lines = [f"{plan.scenario} ({plan.file})", *([plan.description.strip()] if plan.description else [])]
    lines += _section("Variables", (f"{one.name} = {one.value} ({one.source})" for one in plan.variables))
    lines += _section("Targets", _targets(plan))
    lines += _section("What the way of requests does", _ways(plan))
    for phase, title in _TITLES.items():
        lines += _section(title, _steps(plan.of_phase(phase)))
    lines += _section("Guards", _guards(plan))
    lines += _section("Changes, taken back at the end", plan.changes)
    lines += _section("Consequences, left to the platform", plan.consequences)
    lines += _section("Times", _times(plan))
    lines += _section("Stops early when", (_abort(one.load, one.below, one.window) for one in plan.abort_when))
    return "\n".join(lines)


def _section(title: str, rows: Iterable[str]) -> list[str]:
    indented = [f"  {row}" for row in rows]
    return ["", f"{title}:", *indented] if indented else []


def _targets(plan: Plan) -> Iterator[str]:
    width = max((len(one.name) for one in plan.resolved), default=0)
    for one in plan.resolved:
        yield f"{one.name:<{width}}  {one.chosen}   {one.declared}"
        if one.also:
            yield f"{'':<{width}}  also matched: {'; '.join(one.also)}"


def _ways(plan: Plan) -> Iterator[str]:
    for one in plan.resolved:
        if isinstance(one.target, EndpointTarget) and one.target.way in _WAYS:
            yield f"{one.name}: {_WAYS[one.target.way]}"


def _steps(steps: tuple[PlannedStep, ...]) -> Iterator[str]:
    width = max((len(one.number) for one in steps), default=0)
    scope: tuple[str, ...] = ()
    for one in steps:
        for depth, group in enumerate(one.scope):
            if one.scope[: depth + 1] != scope[: depth + 1]:
                yield f"{'':<{width}}  {'  ' * depth}group {group}, taken back at its end:"
        scope = one.scope
        notes = [f"at most {format_seconds(one.step.longest(one.timeout))}"]
        notes += ["in the background"] if one.background else []
        notes += ["skipped, its when is false"] if not one.when else []
        notes += [f"{one.retry.attempts} attempts, {format_seconds(one.retry.every)} apart"] if one.retry else []
        notes += ["a failure does not stop the run"] if one.continue_on_failure else []
        inside = "  " * len(one.scope)
        name = f"{one.name} [{one.id}]" if not one.id.startswith(one.number.replace(" ", "-")) else one.name
        yield f"{one.number:<{width}}  {inside}{name} ({', '.join(notes)})"


def _guards(plan: Plan) -> Iterator[str]:
    guards = plan.guards
    yield f"at most {guards.max_nodes} nodes and {guards.max_gpus} GPUs are hit"
    yield f"the platform may: {', '.join(guards.allow) or 'nothing'}"
    for name, ready in guards.min_ready.items():
        yield f"{name} has at least {ready} ready pods before the first fault"
    if guards.allow_sick:
        yield "a victim may be ill already"


def _abort(load: str, below: float, window: float) -> str:
    return f"success of {load} is below {below:g} over {format_seconds(window)}"


def _times(plan: Plan) -> Iterator[str]:
    yield f"worst case {format_seconds(plan.worst_case)}, then undo within {format_seconds(plan.undo_budget)}"
    if plan.deadline is not None:
        yield f"deadline {format_seconds(plan.deadline)}"
    phases = ", ".join(f"{name} {format_seconds(value)}" for name, value in vars(plan.profile).items())
    yield f"the platform may take: {phases}"
    yield from _settling(plan)
    yield f"seed {plan.seed}"


def _settling(plan: Plan) -> Iterator[str]:
    numbers = {getattr(one.step, "xid", None) for one in plan.steps}
    table, after = xid_table(), shipped_profile().settle_after_recovery
    for number in sorted(xid for xid in numbers if isinstance(xid, int)):
        known = table.find(number)
        severity = "critical" if known is None else known.severity
        shows = f"XID {number} ({severity}) shows within {_span(table.severities[severity].settle_seconds)}"
        yield f"{shows}, is recovered after {_span(table.recovery_seconds(number))}, stable {_span(after)} later"


def _span(seconds: tuple[float, float]) -> str:
    return " to ".join(map(format_seconds, seconds))
