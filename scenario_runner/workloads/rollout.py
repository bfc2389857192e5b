"""How the pods of a workload are looked at while its controller replaces them."""

from collections.abc import Sequence

from scenario_runner.core.clock import Look
from scenario_runner.core.ports import ClusterReads
from scenario_runner.core.rollouts import unfinished
from scenario_runner.core.states import PodState
from scenario_runner.core.targets import WorkloadTarget
from scenario_runner.workloads.kinds import KINDS
from scenario_runner.workloads.pod_templates import document_ref


def running_pods(cluster: ClusterReads, target: WorkloadTarget) -> list[PodState]:
    """Pods of the workload that have a node and are not on their way out."""
    return [pod for pod in cluster.pods(target.namespace, target.selector) if pod.node and not pod.deleting]


def look_at_rollout(cluster: ClusterReads, target: WorkloadTarget, before: Sequence[PodState], seen: int) -> Look[None]:
    """
    Done when its controller says so and all pods are ready; none of `before` is left where it can not say so.

    `seen` is how many ready pods the run's watch knows: only when those are enough the pods are listed.
    """
    document = cluster.read(document_ref(target))
    lacks, ready = "it is gone" if document is None else unfinished(document), seen
    if not lacks and seen >= target.replicas:  # the watch may not have told yet that some of them are gone
        now = running_pods(cluster, target)
        ready, lacks = sum(pod.ready for pod in now), _stale(target, before, now)
    counted = f"{ready} of {target.replicas} pods are ready"
    return Look(done=not lacks and ready >= target.replicas, seen=lacks or counted, value=None)


def _stale(target: WorkloadTarget, before: Sequence[PodState], now: Sequence[PodState]) -> str:
    """Why the rollout of a kind whose status does not tell what it is about has not begun or ended."""
    left = {pod.uid for pod in before} & {pod.uid for pod in now}
    return "" if KINDS[target.kind].tells_what_it_saw or not left else f"{len(left)} pods of before are still there"
