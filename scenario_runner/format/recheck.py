"""Looks again, just before a fault, whether what a target stands for is still there."""

from scenario_runner.core.plan import ResolvedTarget
from scenario_runner.core.ports import AgentReads, ClusterReads
from scenario_runner.core.targets import GpuTarget, NodesTarget, NodeTarget, PodTarget


def recheck(resolved: ResolvedTarget, cluster: ClusterReads, agent: AgentReads) -> str | None:
    """Just before a fault: a sentence when what was chosen is not there any more (a pod has moved), else None."""
    target = resolved.target
    if isinstance(target, PodTarget):
        return _moved_pod(resolved.name, target, cluster)
    if isinstance(target, GpuTarget):
        return _moved_node(resolved.name, target.node, cluster) or _moved_gpu(resolved.name, target, agent)
    nodes = target.nodes if isinstance(target, NodesTarget) else (target,) if isinstance(target, NodeTarget) else ()
    return next((text for node in nodes if (text := _moved_node(resolved.name, node, cluster))), None)


def _moved_node(name: str, target: NodeTarget, cluster: ClusterReads) -> str | None:
    node = cluster.node(target.name)
    if node is not None and node.uid == target.uid:
        return None
    return f"{name}: node {target.name} is {'gone' if node is None else 'another one by now'}"


def _moved_pod(name: str, target: PodTarget, cluster: ClusterReads) -> str | None:
    pod = next((one for one in cluster.pods(target.namespace) if one.name == target.name), None)
    if pod is None or pod.uid != target.uid:
        return f"{name}: pod {target.namespace}/{target.name} is gone"
    return None if pod.node == target.node else f"{name}: pod {target.name} has moved from {target.node} to {pod.node}"


def _moved_gpu(name: str, target: GpuTarget, agent: AgentReads) -> str | None:
    seat = next((one for one in agent.gpus(target.node.name) if one.uuid == target.uuid), None)
    if seat is None:
        return f"{name}: GPU {target.uuid} is not in {target.node.name} any more"
    if target.held_by and target.held_by not in seat.held_by:
        holder = ", ".join(seat.held_by) or "nobody"
        return f"{name}: pod {target.held_by} has moved: GPU {seat.index} of {target.node.name} is held by {holder} now"
    return None
