"""What stands between a plan and a cluster: requirements, victims, guards. Everything here only looks."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from scenario_runner.core.plan import Guards, PlannedStep
from scenario_runner.core.ports import AgentReads, ClusterReads
from scenario_runner.core.seats import seat_of
from scenario_runner.core.states import NodeState
from scenario_runner.core.targets import GpuTarget, NodesTarget, NodeTarget, PodTarget, Target, WorkloadTarget, nodes_of
from scenario_runner.errors import StepBroken, TargetUnreachable
from scenario_runner.gpu.xids import xid_table

ALLOW_LABEL = "scenario-runner/allow"
STATE_LABEL = "dgxc.nvidia.com/nvsentinel-state"
PLATFORM_NAMESPACE = "nvsentinel"
PROTECTED = ("kube-system", PLATFORM_NAMESPACE)
GPU_LABEL = "nvidia.com/gpu.present=true"
BREAKER = 0.5  # share of nodes with GPUs that are cordoned within 5 minutes at which the platform stops


@dataclass(frozen=True)
class Victim:
    """One node that a fault step will hit, and which of its GPUs."""

    what: str  # "XID 79"
    xid: int  # that its kernel log will show; 0: none
    node: NodeTarget
    gpu: str
    target: str  # the declared one

    @property
    def consequences(self) -> tuple[str, ...]:
        """What the platform is expected to do: nothing where no kernel log tells it."""
        return xid_table().consequences(self.xid) if self.xid else ()


def victims(steps: Iterable[PlannedStep], targets: Mapping[str, Target]) -> tuple[Victim, ...]:
    """Every node and GPU that the fault steps hit, in their order."""
    return tuple(victim for planned in steps if planned.when for victim in _victims_of(planned, targets))


def _victims_of(planned: PlannedStep, targets: Mapping[str, Target]) -> Iterator[Victim]:
    strike = planned.step.strikes()
    if strike is None:
        return
    name = strike.target or str(getattr(planned.step, "target", ""))
    target = targets.get(name)
    if isinstance(target, GpuTarget):
        yield Victim(strike.words, strike.xid, target.node, str(target.index), name)
    elif isinstance(target, NodeTarget | NodesTarget):
        for node in nodes_of(target):
            yield Victim(strike.words, strike.xid, node, str(getattr(planned.step, "gpu", 0)), name)


def unmet(requires: Sequence[str], cluster: ClusterReads, agent: AgentReads) -> list[str]:
    """Sentences about what the scenario requires and the cluster does not have."""
    missing: list[str] = []
    if "agent" in requires:
        missing += [f"requires agent, and {why}" for why in _missing_agents(agent)]
    if "sentinel" in requires and PLATFORM_NAMESPACE not in cluster.namespaces():
        missing.append(f"requires sentinel, and the cluster has no namespace {PLATFORM_NAMESPACE}")
    return missing


def _missing_agents(agent: AgentReads) -> list[str]:
    try:
        return [f"a fault agent does not answer: {one}" for one in agent.faults().unreachable]
    except TargetUnreachable as error:
        return [f"the fault agents do not answer: {error}"]


def guard(
    guards: Guards,
    hit: Sequence[Victim],
    targets: Mapping[str, Target],
    cluster: ClusterReads,
    agent: AgentReads,
    struck: frozenset[str] = frozenset(),
) -> list[str]:
    """
    Sentences about why this run may not start, or not go on with these victims; none when it may.

    Nodes that it has `struck` itself are ill for that reason.
    """
    problems = [*_sizes(guards, hit), *_forbidden_consequences(guards, hit), *_breaker(guards, hit, cluster)]
    for name in sorted({victim.node.name for victim in hit} - struck):
        node = cluster.node(name)
        if node is not None:
            problems += _node_problems(node, allow_sick=guards.allow_sick)
    return list(dict.fromkeys([*problems, *_protected_holders(hit, agent), *_too_few_ready(guards, targets, cluster)]))


def _sizes(guards: Guards, hit: Sequence[Victim]) -> Iterator[str]:
    nodes = sorted({victim.node.name for victim in hit})
    gpus = sorted({f"GPU {victim.gpu} of {victim.node.name}" for victim in hit})
    for word, found, most in (("nodes", nodes, guards.max_nodes), ("gpus", gpus, guards.max_gpus)):
        if len(found) > most:
            yield f"the faults hit {len(found)} {word} ({', '.join(found)}), and guards.max_{word} is {most}"


def _forbidden_consequences(guards: Guards, hit: Sequence[Victim]) -> Iterator[str]:
    for victim in hit:
        for consequence in victim.consequences:
            if consequence not in guards.allow:
                what = f"{victim.what} makes the platform {_verb(consequence)} {victim.node.name}"
                yield f"{what}, and guards.allow does not name {consequence}"


def _breaker(guards: Guards, hit: Sequence[Victim], cluster: ClusterReads) -> Iterator[str]:
    """Cordons one after the other count together: the platform looks at the last five minutes."""
    cordoned = {victim.node.name for victim in hit if "cordon" in victim.consequences}
    if not cordoned or "breaker" in guards.allow:
        return
    gone = cordoned | {node.name for node in cluster.nodes(GPU_LABEL, cordoned=True)}
    count = max(len(cluster.node_names(GPU_LABEL)), len(gone))
    if len(gone) >= BREAKER * count:
        share = f"{len(gone)} of {count} nodes with GPUs ({len(gone) / count:.0%}) would be cordoned"
        stops = f"at {BREAKER:.0%} within 5m the platform's circuit breaker stops everything, uncordoning too"
        yield f"{share}: {stops}, and guards.allow does not name breaker"


def _protected_holders(hit: Sequence[Victim], agent: AgentReads) -> Iterator[str]:
    """Also where the scenario names the GPU by its place, or a whole node of which it is the GPU that is hit."""
    for victim in hit:
        try:
            seat = seat_of(victim.node.name, agent.gpus(victim.node.name), victim.gpu)
        except StepBroken:
            continue  # there is no such GPU, which is another sentence
        for holder in seat.held_by:
            if holder.partition("/")[0] in PROTECTED:
                yield f"GPU {victim.gpu} of {victim.node.name} is held by {holder}, which is protected"


def protected(steps: Iterable[PlannedStep], targets: Mapping[str, Target]) -> list[str]:
    """Sentences about steps that change what lies in a protected namespace."""
    problems: list[str] = []
    for planned in steps:
        name = str(getattr(planned.step, "target", ""))
        target = targets.get(name)
        space = target.namespace if isinstance(target, WorkloadTarget | PodTarget) else ""
        if space in PROTECTED and planned.when and planned.step.changes(targets):
            problems.append(f"step {planned.id} changes {name} in namespace {space}, which is protected")
    return problems


def _verb(consequence: str) -> str:
    return "reset a GPU of" if consequence == "gpu-reset" else consequence


def _node_problems(node: NodeState, *, allow_sick: bool) -> Iterator[str]:
    if node.labels.get(ALLOW_LABEL) != "true":
        yield f"node {node.name} is not labelled {ALLOW_LABEL}=true"
    if not allow_sick:
        for why in _sick(node):
            yield f"node {node.name} {why} already; allow_sick: true in guards accepts that"


def _sick(node: NodeState) -> Iterator[str]:
    if node.unschedulable:
        yield "is cordoned"
    if not node.ready:
        yield "is not ready"
    if node.labels.get(STATE_LABEL):
        yield f"is in state {node.labels[STATE_LABEL]}"
    for kind, condition in sorted(node.conditions.items()):
        if kind != "Ready" and condition.status == "True":
            yield f"has condition {kind}"


def _too_few_ready(guards: Guards, targets: Mapping[str, Target], cluster: ClusterReads) -> Iterator[str]:
    for name, wanted in guards.min_ready.items():
        target = targets.get(name)
        if isinstance(target, WorkloadTarget):
            ready = sum(pod.ready and not pod.deleting for pod in cluster.pods(target.namespace, target.selector))
            if ready < wanted:
                yield f"{name} has {ready} ready pods, and guards.min_ready asks for {wanted}"
