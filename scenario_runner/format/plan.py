"""Makes the plan of a scenario: flat steps, resolved targets, budgets, and what will happen to the cluster."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from scenario_runner.core.outcome import Phase
from scenario_runner.core.plan import AbortRule, Guards, Plan, PlannedStep, PlatformProfile, ResolvedTarget, Retry
from scenario_runner.core.ports import AgentReads, ClusterReads
from scenario_runner.core.targets import Target
from scenario_runner.errors import InvalidScenario, Refused, Unmet
from scenario_runner.format.consequences import consequences
from scenario_runner.format.entries import StepEntry
from scenario_runner.format.guards import Victim, guard, protected, unmet, victims
from scenario_runner.format.holders import felt
from scenario_runner.format.lint import lint
from scenario_runner.format.profile import platform_profile
from scenario_runner.format.resolve import resolve
from scenario_runner.format.scenario import PHASES, Scenario
from scenario_runner.gpu.xids import xid_table

NO_FAULT_UNDO = 60.0  # seconds for undo where no fault is in force


def make_plan(scenario: Scenario, cluster: ClusterReads, agent: AgentReads, *, seed: int) -> Plan:
    """
    Nothing is changed. `seed` decides about `pick: random`.

    Raise InvalidScenario for what lint calls an error, Unmet for a requirement, Refused for a target or a guard, and
    TargetUnreachable or TargetRefused when the API server or the agents do.
    """
    errors = [finding.problem for finding in lint(scenario) if finding.is_error]
    if errors:
        raise InvalidScenario(errors)
    missing = unmet(scenario.header.requires, cluster, agent)
    if missing:
        raise Unmet("\n".join(missing))
    resolved = resolve(scenario.targets, scenario.header.namespace, cluster, agent, seed)
    profile = platform_profile(scenario.header.platform)
    steps = tuple(flatten(scenario, profile))
    targets = {one.name: one.target for one in resolved}
    hit = victims(steps, targets)
    sense = felt(hit, targets, cluster, agent)
    refusals = [*guard(_guards(scenario), hit, targets, cluster, agent), *protected(steps, targets), *sense.refusals]
    if refusals:
        raise Refused("\n".join(refusals))
    follows = (*consequences(hit, cluster), *sense.remarks, *_chosen_again(steps, resolved))
    return _plan(scenario, seed, steps, profile, _Looked(resolved, hit, follows))


def _chosen_again(steps: Iterable[PlannedStep], resolved: Iterable[ResolvedTarget]) -> Iterator[str]:
    """Which targets a step of ours may move, as it replaces the pods through which they were found."""
    for step in steps:
        workload = step.step.replaces() if step.when else None
        moved = [one for one in resolved if workload and one.through and one.through.target == workload]
        for one in moved:
            yield (
                f"{one.name} is chosen again once step {step.id} has replaced the pods of {workload}: it stays on its"
                " node if one of them comes back there, else it is on another one that the guards let us hit"
            )


def _guards(scenario: Scenario) -> Guards:
    return Guards(**dict(scenario.header.guards))


@dataclass(frozen=True)
class _Looked:
    """What was found out about the cluster."""

    resolved: tuple[ResolvedTarget, ...]
    hit: tuple[Victim, ...]
    consequences: tuple[str, ...]


def _plan(
    scenario: Scenario, seed: int, steps: tuple[PlannedStep, ...], profile: PlatformProfile, looked: _Looked
) -> Plan:
    header = scenario.header
    budget = header.undo_budget if header.undo_budget is not None else undo_budget(looked.hit)
    return Plan(
        scenario=header.name,
        description=header.description,
        file=scenario.file,
        digest=scenario.digest,
        tags=header.tags,
        namespace=header.namespace,
        control=header.control,
        variables=scenario.variables,
        resolved=looked.resolved,
        steps=steps,
        guards=_guards(scenario),
        profile=profile,
        abort_when=tuple(AbortRule(rule.load, rule.success, rule.window) for rule in header.abort_when),
        deadline=header.deadline,
        undo_budget=budget,
        settle_timeout=header.settle_timeout,
        worst_case=worst_case(steps, header.deadline, budget),
        seed=seed,
        changes=_changes(steps, {one.name: one.target for one in looked.resolved}),
        consequences=looked.consequences,
    )


def flatten(scenario: Scenario, profile: PlatformProfile) -> Iterator[PlannedStep]:
    """The steps of all phases in the order of the file's keys; a group's steps stand in its place, with its scope."""
    for phase in PHASES.values():
        prefix = "" if phase is Phase.STEPS else f"{phase} "
        names: dict[int, str] = {}  # a group without an id is named after its first step
        for at, (entry, around) in enumerate(scenario.entries(phase), start=1):
            number = f"{prefix}{at:02}"
            for depth, group in enumerate(around):
                name = f"{number.replace(' ', '-')}-group" + (f"-{depth}" if depth else "")
                names.setdefault(id(group), group.common.id or name)
            scope = tuple(names[id(group)] for group in around)
            yield replace(_planned(entry, around, scope, number, profile), phase=phase)


def _planned(
    entry: StepEntry, around: Sequence[StepEntry], scope: tuple[str, ...], number: str, profile: PlatformProfile
) -> PlannedStep:
    common, step = entry.common, entry.step
    assert step is not None, "only groups have none"
    return PlannedStep(
        id=common.id or f"{number.replace(' ', '-')}-{entry.kind}",
        number=number,
        step=step,
        name=common.name or step.title(),
        line=entry.mark.line,
        timeout=common.timeout if common.timeout is not None else step.patience(profile),
        when=common.when and all(group.common.when for group in around),
        retry=None if common.retry is None else Retry(common.retry.attempts, common.retry.every),
        background=common.background,
        continue_on_failure=common.continue_on_failure,
        scope=scope,
    )


def undo_budget(hit: Iterable[Victim]) -> float:
    """Seconds: the upper recovery time of the severest XID in force."""
    return max((xid_table().recovery_seconds(victim.xid)[1] for victim in hit), default=NO_FAULT_UNDO)


def worst_case(steps: Sequence[PlannedStep], deadline: float | None, budget: float) -> float:
    """Seconds from the claim to the beginning of undo: every step as slow as it may be, every group's end included."""
    groups = len({name for step in steps for name in step.scope})
    seconds = {
        phase: sum(_longest(step) for step in steps if step.phase is phase and step.when)
        for phase in (Phase.HEALTH, Phase.STEPS, Phase.ALWAYS)
    }
    within = seconds[Phase.STEPS] + groups * budget
    return seconds[Phase.HEALTH] + seconds[Phase.ALWAYS] + (within if deadline is None else min(within, deadline))


def _longest(step: PlannedStep) -> float:
    """A background step costs its own time at most where it is joined, so it counts like any other."""
    once = step.step.longest(step.timeout)
    return once if step.retry is None else once * step.retry.attempts + step.retry.every * (step.retry.attempts - 1)


def _changes(steps: Iterable[PlannedStep], targets: Mapping[str, Target]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for step in steps if step.when for text in step.step.changes(targets)))
