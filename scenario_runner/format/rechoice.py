"""Chooses targets again that were found through pods which are others by now: where they were if that can be."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from scenario_runner.core.plan import Plan, ResolvedTarget
from scenario_runner.core.ports import AgentReads, ClusterReads
from scenario_runner.core.targets import GpuTarget, NodeTarget, PodTarget, Target, WorkloadTarget, node_names
from scenario_runner.errors import Refused
from scenario_runner.format.guards import guard, victims
from scenario_runner.format.lookup import Lookup


@dataclass(frozen=True)
class _Candidate:
    """What a target may stand for from now on."""

    target: Target
    words: str
    node: NodeTarget


@dataclass(frozen=True)
class _Aim:
    """Nodes that the run has struck, and targets that are still to be chosen again: where they are counts no more."""

    struck: frozenset[str]
    later: frozenset[str]


@dataclass(frozen=True)
class Rechoice:
    """
    Implements `engine.world.Rechoosing`.

    `own` claims one more node for the run; it raises Refused when that belongs to another run.
    """

    cluster: ClusterReads
    agent: AgentReads
    own: Callable[[NodeTarget], None]

    def __call__(self, plan: Plan, workload: str, struck: frozenset[str]) -> tuple[ResolvedTarget, ...]:
        """Targets on a node that was struck stay. Raise Refused where nothing is left that may be hit."""
        found: dict[str, ResolvedTarget] = {}
        waiting = _found_through(plan, workload, struck)
        for at, one in enumerate(waiting, start=1):
            now = _replaced(plan, found)
            found[one.name] = self._again(now, one, _Aim(struck, frozenset(later.name for later in waiting[at:])))
        return tuple(found.values())

    def _again(self, plan: Plan, one: ResolvedTarget, aim: "_Aim") -> ResolvedTarget:
        reasons = []
        for candidate in self._candidates(plan, one):
            new = replace(one, target=candidate.target, chosen=candidate.words)
            stays = candidate.node.name == _on(one.target)
            refused = "" if stays else self._refused(_replaced(plan, {one.name: new}), candidate.node, aim)
            if not refused:
                return new
            reasons.append(refused)
        raise Refused(
            f"target {one.name}, which was {one.chosen}, has left {_on(one.target)}, and nothing else may be hit: "
            + "; ".join(dict.fromkeys(reasons))
        )

    def _candidates(self, plan: Plan, one: ResolvedTarget) -> list[_Candidate]:
        """The best first: what it was, what lies on the same node, then as the scenario picks."""
        assert one.through is not None
        look = Lookup(one.name, self.cluster, self.agent, plan.seed)
        through = plan.targets[one.through.target]
        found = list(self._of_pods(look, one, through) if isinstance(through, WorkloadTarget) else
                     self._of_node(look, one, through))  # fmt: skip
        if not found:
            raise look.miss(f"the fault agents know no pod of {one.through.target} that holds such a GPU")
        at = look.place(one.through.pick, len(found))
        picked = [*found[at:], *found[:at]]
        node = _on(one.target)
        return sorted(picked, key=lambda it: (replace(one, target=it.target).place != one.place, it.node.name != node))

    def _of_pods(self, look: Lookup, one: ResolvedTarget, workload: WorkloadTarget) -> Iterator[_Candidate]:
        assert one.through is not None
        for pod in look.pods(workload.namespace, workload.selector, f"of {one.through.target}"):
            state = look.node(pod.node)
            node = NodeTarget(state.name, state.uid)
            if isinstance(one.target, GpuTarget):
                for seat in look.held_by(pod, one.through.target):
                    if one.through.index in {None, seat.gpu.index}:
                        yield _Candidate(seat.gpu, seat.words, node)
            elif isinstance(one.target, PodTarget):
                words = f"{pod.namespace}/{pod.name} on {pod.node}"
                yield _Candidate(PodTarget(pod.namespace, pod.name, pod.uid, pod.node), words, node)
            else:
                yield _Candidate(node, f"{node.name}, runs {pod.name}", node)

    def _of_node(self, look: Lookup, one: ResolvedTarget, through: Target) -> Iterator[_Candidate]:
        assert one.through is not None
        assert isinstance(through, NodeTarget), "GPUs are found through workloads and single nodes only"
        for seat in look.seats(look.node(through.name)):
            if one.through.index in {None, seat.gpu.index}:
                yield _Candidate(seat.gpu, seat.words, through)

    def _refused(self, plan: Plan, node: NodeTarget, aim: "_Aim") -> str:
        """Why what would be hit then may not be; "" when it may, and the node is the run's."""
        hit = [one for one in victims(plan.steps, plan.targets) if one.target not in aim.later]
        refusals = guard(plan.guards, hit, plan.targets, self.cluster, self.agent, aim.struck)
        if refusals:
            return "; ".join(refusals)
        try:
            self.own(node)
        except Refused as exc:
            return str(exc)
        return ""


def _found_through(plan: Plan, name: str, struck: frozenset[str]) -> list[ResolvedTarget]:
    """Targets found through one target, and those found through them (a GPU of the node of a pod), in that order."""
    found: list[ResolvedTarget] = []
    for one in plan.resolved:
        if one.through and one.through.target == name and not struck & set(node_names([one.target])):
            found += [one, *_found_through(plan, one.name, struck)]
    return found


def _replaced(plan: Plan, new: Mapping[str, ResolvedTarget]) -> Plan:
    return replace(plan, resolved=tuple(new.get(one.name, one) for one in plan.resolved))


def _on(target: Target) -> str:
    """The node that a target lies on."""
    return target.node if isinstance(target, PodTarget) else "".join(node_names([target]))
