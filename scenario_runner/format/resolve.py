"""Decides once, before the first step, what each declared target stands for in this cluster."""

from collections.abc import Mapping
from dataclasses import dataclass

from scenario_runner.core.plan import ResolvedTarget, Through
from scenario_runner.core.ports import AgentReads, ClusterReads
from scenario_runner.core.states import PodState
from scenario_runner.core.targets import NodesTarget, NodeTarget, PodTarget, Target, WorkloadTarget
from scenario_runner.errors import Refused
from scenario_runner.format.endpoints import endpoint
from scenario_runner.format.lookup import Lookup, Seat
from scenario_runner.format.targets import (
    DECLARATIONS,
    Declared,
    Endpoint,
    GpuBy,
    GpuDeclared,
    GpuOfDeclared,
    NodeDeclared,
    NodeOfDeclared,
    NodesDeclared,
    PodBy,
    PodDeclared,
    WorkloadDeclared,
)


@dataclass(frozen=True)
class Choice:
    """What a target stands for, in words, and what else would have matched."""

    target: Target
    words: str
    also: tuple[str, ...] = ()


def resolve(
    declared: Mapping[str, Declared], namespace: str, cluster: ClusterReads, agent: AgentReads, seed: int
) -> tuple[ResolvedTarget, ...]:
    """Raise Refused with a sentence for every target that matches nothing or too much; ports raise as they do."""
    resolver = _Resolver(declared, namespace, cluster, agent, seed)
    resolved: list[ResolvedTarget] = []
    problems: list[str] = []
    for name, one in declared.items():
        try:
            choice = resolver.choice(name)
        except Refused as refusal:
            problems.append(str(refusal))
            continue
        fields = one.model_dump(exclude_unset=True)
        written = dict(sorted(fields.items(), key=lambda field: field[0] not in DECLARATIONS))
        if "headers" in written:
            written["headers"] = dict.fromkeys(written["headers"], "...")  # may hold a token
        words = _words(written)
        resolved.append(ResolvedTarget(name, words, choice.target, choice.words, choice.also, _through(one)))
    if problems:
        raise Refused("\n".join(dict.fromkeys(problems)))
    return tuple(resolved)


def _through(one: Declared) -> Through | None:
    """How to find the target again when the pods of a workload, or a node, are others."""
    if isinstance(one, GpuOfDeclared):
        by = one.by()
        return Through(by.workload or by.node or "", by.pick, by.index)
    if isinstance(one, NodeOfDeclared | PodDeclared) and (name := one.uses()) is not None:
        by_pod = one.node_of if isinstance(one, NodeOfDeclared) else one.pod
        pick = by_pod.pick if isinstance(by_pod, PodBy) else getattr(one, "pick", "first")
        return Through(name, pick)
    return None


def _words(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_words(inner)}" for key, inner in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)


class _Resolver:
    """Each target is chosen once, also when others are found through it."""

    def __init__(
        self, declared: Mapping[str, Declared], namespace: str, cluster: ClusterReads, agent: AgentReads, seed: int
    ) -> None:
        self._declared = declared
        self._namespace = namespace
        self._cluster = cluster
        self._agent = agent
        self._seed = seed
        self._known: dict[str, Choice] = {}

    def choice(self, name: str) -> Choice:
        if name not in self._known:
            look = Lookup(name, self._cluster, self._agent, self._seed)
            self._known[name] = self._choose(look, self._declared[name])
        return self._known[name]

    def _choose(self, look: Lookup, one: Declared) -> Choice:
        if isinstance(one, NodeDeclared):
            return _node(look, one)
        if isinstance(one, NodeOfDeclared):
            return self._node_of(look, one)
        if isinstance(one, NodesDeclared):
            return _nodes(look, one)
        if isinstance(one, GpuOfDeclared):
            return self._gpu_of(look, one.by())
        if isinstance(one, PodDeclared):
            return self._pod(look, one)
        return self._other(look, one)

    def _other(self, look: Lookup, one: Declared) -> Choice:
        if isinstance(one, GpuDeclared):
            seat = look.seat(look.node(one.gpu.node), one.gpu.index)
            return Choice(seat.gpu, seat.words)
        if isinstance(one, WorkloadDeclared):
            kind, _, name = one.workload.partition("/")
            state = look.workload(one.namespace or self._namespace, kind, name)
            target = WorkloadTarget(
                kind, state.namespace, name, state.uid, state.selector, state.replicas, state.api_version
            )
            return Choice(target, f"{state.namespace}/{one.workload}, {state.replicas} pods wanted")
        assert isinstance(one, Endpoint), "every other kind was looked at"
        return Choice(*endpoint(look, one, self._namespace))

    def _node_of(self, look: Lookup, one: NodeOfDeclared) -> Choice:
        by = PodBy(workload=one.node_of, pick=one.pick) if isinstance(one.node_of, str) else one.node_of
        pod, also = self._one_pod(look, by, one.namespace)
        node = look.node(pod.node)
        return Choice(NodeTarget(node.name, node.uid), f"{node.name}, runs {pod.name}", also)

    def _pod(self, look: Lookup, one: PodDeclared) -> Choice:
        also: tuple[str, ...] = ()
        if isinstance(one.pod, str):
            pod = look.pod(one.namespace or self._namespace, one.pod)
        else:
            pod, also = self._one_pod(look, one.pod, one.namespace)
        target = PodTarget(pod.namespace, pod.name, pod.uid, pod.node)
        return Choice(target, f"{pod.namespace}/{pod.name} on {pod.node or 'no node yet'}", also)

    def _one_pod(self, look: Lookup, by: PodBy, namespace: str | None) -> tuple[PodState, tuple[str, ...]]:
        if by.workload is not None:
            found = self._pods_of(look, by.workload)
        else:
            where, selector = namespace or self._namespace, by.selector or ""
            found = look.pods(where, selector, f"with {selector} in namespace {where}")
        return look.pick(by.pick, found, [f"{pod.node}, runs {pod.name}" for pod in found])

    def _pods_of(self, look: Lookup, name: str) -> list[PodState]:
        workload = self.choice(name).target
        assert isinstance(workload, WorkloadTarget), "the plan refuses any other kind"
        if workload.replicas == 0:
            raise look.miss(f"{name} has zero replicas, so that no pod of it runs on a node: scale it up first")
        return look.pods(workload.namespace, workload.selector, f"of {name}")

    def _gpu_of(self, look: Lookup, by: GpuBy) -> Choice:
        found = self._gpus_held(look, by) if by.workload is not None else self._gpus_of_node(look, by)
        seat, also = look.pick(by.pick, found, [one.words for one in found])
        return Choice(seat.gpu, seat.words, also)

    def _gpus_of_node(self, look: Lookup, by: GpuBy) -> list[Seat]:
        target = self.choice(by.node or "").target
        assert isinstance(target, NodeTarget), "the plan refuses any other kind"
        node = look.node(target.name)
        return look.seats(node) if by.index is None else [look.seat(node, by.index)]

    def _gpus_held(self, look: Lookup, by: GpuBy) -> list[Seat]:
        pods = self._pods_of(look, by.workload or "")
        held = (seat for pod in pods for seat in look.held_by(pod, by.workload or ""))
        found = [seat for seat in held if by.index in {None, seat.gpu.index}]
        if not found:
            which = "a GPU" if by.index is None else f"GPU {by.index} of its node"
            where = ", ".join(f"{pod.name} on {pod.node}" for pod in pods)
            raise look.miss(f"the fault agents know no pod of {by.workload} that holds {which}; there is {where}")
        return found


def _node(look: Lookup, one: NodeDeclared) -> Choice:
    if isinstance(one.node, str):
        node = look.node(one.node)
        return Choice(NodeTarget(node.name, node.uid), node.name)
    found = look.nodes(one.node.selector)
    node, also = look.pick(one.node.pick, found, [state.name for state in found])
    return Choice(NodeTarget(node.name, node.uid), node.name, also)


def _nodes(look: Lookup, one: NodesDeclared) -> Choice:
    found = look.nodes(one.nodes.selector)
    also: tuple[str, ...] = ()
    if one.nodes.pick != "all":
        node, also = look.pick(one.nodes.pick, found, [state.name for state in found])
        found = [node]
    targets = tuple(NodeTarget(node.name, node.uid) for node in found)
    return Choice(NodesTarget(targets), ", ".join(node.name for node in found), also)
