"""Would anybody feel the faults? Whether pods of the workloads under test hold the GPUs that will be hit."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from scenario_runner.core.faults import GpuSeat
from scenario_runner.core.ports import AgentReads, ClusterReads
from scenario_runner.core.seats import seat_of
from scenario_runner.core.targets import GpuTarget, Target, WorkloadTarget
from scenario_runner.errors import StepBroken, TargetRefused, TargetUnreachable
from scenario_runner.format.guards import Victim
from scenario_runner.format.lookup import MANY
from scenario_runner.gpu.xids import xid_table


def unfelt(hit: Sequence[Victim], targets: Mapping[str, Target], cluster: ClusterReads, agent: AgentReads) -> list[str]:
    """
    Sentences about faults that no workload of the scenario can feel; none where it names no workload.

    A fault on a GPU is felt by the pod that holds it. A fault on a node, of which the platform drains that node, is
    felt by every pod there that holds a GPU.
    """
    workloads = {name: one for name, one in targets.items() if isinstance(one, WorkloadTarget)}
    if not workloads or not hit:
        return []
    pods = {
        f"{pod.namespace}/{pod.name}": pod.node
        for one in workloads.values()
        for pod in cluster.pods(one.namespace, one.selector)
        if pod.node and not pod.deleting
    }
    look = _Holders(" or ".join(workloads), pods, agent)
    return list(dict.fromkeys(problem for victim in hit for problem in look.problems(victim, targets)))


@dataclass(frozen=True)
class _Holders:
    """`pods` of the workloads called `names`, each with its node."""

    names: str
    pods: Mapping[str, str]
    agent: AgentReads

    def problems(self, victim: Victim, targets: Mapping[str, Target]) -> Iterator[str]:
        node = victim.node.name
        seats = self.agent.gpus(node)
        try:
            seat = seat_of(node, seats, victim.gpu)
        except StepBroken as missing:
            yield str(missing)
            return
        aimed = isinstance(targets.get(str(getattr(victim.step.step, "target", ""))), GpuTarget)
        whole_node = not aimed and "drain" in xid_table().consequences(victim.xid)
        if not any(self._ours(one) for one in (seats if whole_node else [seat])):
            what = f"a GPU of {node}" if whole_node else f"GPU {seat.index} of {node}"
            holder = f" ({', '.join(seat.held_by)} does)" if seat.held_by and not whole_node else ""
            why = f"no pod of {self.names} holds {what}{holder}, so nobody would feel XID {victim.xid}"
            yield f"{why}; {self._held(node)}"

    def _ours(self, seat: GpuSeat) -> bool:
        return any(holder in self.pods for holder in seat.held_by)

    def _held(self, victim: str) -> str:
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
