"""Would anybody feel the faults? Whether pods of the workloads under test hold the GPUs that will be hit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scenario_runner.core.faults import GpuSeat
from scenario_runner.core.ports import AgentReads, ClusterReads
from scenario_runner.core.seats import seat_of
from scenario_runner.core.targets import GpuTarget, Target, WorkloadTarget
from scenario_runner.errors import StepBroken, TargetRefused, TargetUnreachable
from scenario_runner.format.guards import Victim
from scenario_runner.format.lookup import MANY


@dataclass(frozen=True)
class Felt:
    """Why a run may not start, and what a person should know of faults that nobody will feel."""

    refusals: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def felt(hit: Sequence[Victim], targets: Mapping[str, Target], cluster: ClusterReads, agent: AgentReads) -> Felt:
    """
    Refuse faults on GPUs that there are not, and those of which no workload that the scenario names can feel one.

    A fault on a GPU is felt by the pod that holds it. A fault on a node, of which the platform drains that node, is
    felt by every pod there that holds a GPU. Where others are felt (each node in turn, say), one that is not is only
    remarked upon: which pods are where changes with every drain.
    """
    workloads = {name: one for name, one in targets.items() if isinstance(one, WorkloadTarget)}
    missing = list(dict.fromkeys(text for victim in hit if (text := _missing(victim, agent))))
    if missing or not workloads or not hit:
        return Felt(refusals=tuple(missing))
    pods = {
        f"{pod.namespace}/{pod.name}": pod.node
        for one in workloads.values()
        for pod in cluster.pods(one.namespace, one.selector)
        if pod.node and not pod.deleting
    }
    look = _Holders(" or ".join(workloads), pods, agent)
    idle = [(victim, why) for victim in hit if (why := look.idle(victim, targets))]
    if len(idle) < len(hit):
        return Felt(remarks=tuple(dict.fromkeys(why for _, why in idle)))
    return Felt(tuple(dict.fromkeys(f"{why}; {look.held(victim.node.name)}" for victim, why in idle)))


def _missing(victim: Victim, agent: AgentReads) -> str:
    """Why there is no such GPU; "" when there is."""
    seats = agent.gpus(victim.node.name)
    try:
        seat_of(victim.node.name, seats, victim.gpu)
    except StepBroken as error:
        return str(error)
    return ""


@dataclass(frozen=True)
class _Holders:
    """`pods` of the workloads called `names`, each with its node."""

    names: str
    pods: Mapping[str, str]
    agent: AgentReads

    def idle(self, victim: Victim, targets: Mapping[str, Target]) -> str:
        """Why nobody will feel the fault; "" when somebody will."""
        node = victim.node.name
        seats = self.agent.gpus(node)
        seat = seat_of(node, seats, victim.gpu)
        aimed = isinstance(targets.get(victim.target), GpuTarget)
        whole_node = not aimed and "drain" in victim.consequences
        if any(self._ours(one) for one in (seats if whole_node else [seat])):
            return ""
        what = f"a GPU of {node}" if whole_node else f"GPU {seat.index} of {node}"
        holder = f" ({', '.join(seat.held_by)} does)" if seat.held_by and not whole_node else ""
        return f"no pod of {self.names} holds {what}{holder}, so nobody would feel {victim.what} there"

    def _ours(self, seat: GpuSeat) -> bool:
        return any(holder in self.pods for holder in seat.held_by)

    def held(self, victim: str) -> str:
        """Who holds which GPU, of the workloads' pods."""
        held = [
            f"{pod} holds GPU {seat.index} of {node}"
            for node in sorted({*self.pods.values(), victim})
            for seat in self._known(node)
            for pod in seat.held_by
            if pod in self.pods
        ]
        more = f", and {len(held) - MANY} more" if len(held) > MANY else ""
        return ", ".join(held[:MANY]) + more if held else "the fault agents know no GPU that such a pod holds"

    def _known(self, node: str) -> tuple[GpuSeat, ...]:
        """A node whose agent does not answer only makes the sentence shorter: no fault goes there."""
        try:
            return self.agent.gpus(node)
        except (TargetRefused, TargetUnreachable):
            return ()
