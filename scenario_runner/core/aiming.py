"""Where a fault step hits now: the planned GPU, looked at again at the last moment."""

from collections.abc import Callable, Mapping

from scenario_runner.core.faults import Fault, FaultRecord, GpuSeat
from scenario_runner.core.outcome import Finding
from scenario_runner.core.seats import seat_of
from scenario_runner.core.step import Context
from scenario_runner.core.targets import GpuTarget, NodeTarget, Target, WorkloadTarget, nodes_of
from scenario_runner.errors import StepBroken


def strike_each(ctx: Context, target: str, gpu: int | str, strike: Callable[[str, GpuSeat], str]) -> Finding:
    """`strike(node, GPU)` on each node of the target, after all of them were aimed at; it says what it did."""
    chosen = ctx.target(target)
    aims = [(node, aim(ctx, chosen, node, gpu)) for node in nodes_of(chosen)]
    done = [strike(node.name, seat) for node, seat in aims]
    return Finding("; ".join(done), {"faults": float(len(done))})


def would_strike(targets: Mapping[str, Target], target: str, gpu: int | str, what: str) -> list[str]:
    """`what` for the GPU of each node, as the plan tells it."""
    chosen = targets[target]
    index = chosen.index if isinstance(chosen, GpuTarget) else gpu
    return [f"{node.name}: {what} GPU {index}" for node in nodes_of(chosen)]


def struck(
    ctx: Context, record: FaultRecord, seat: GpuSeat, *, expect: str, duration: float | None, cuda: str = ""
) -> Fault:
    """The fault of this step that the agent has just acknowledged."""
    return Fault(
        fault_id=record.fault_id,
        step_id=ctx.step_id,
        xid=record.xid,
        node=record.node,
        gpu_index=seat.index,
        gpu_uuid=seat.uuid,
        pci=seat.pci,
        at=ctx.clock.monotonic(),
        expect=expect,
        duration=duration,
        cuda=cuda,
    )


def aim(ctx: Context, target: Target, node: NodeTarget, gpu: int | str) -> GpuSeat:
    """
    The GPU as its agent knows it now; `gpu` names it on a node target.

    StepBroken when node or pod are no longer the ones that were planned. Where the run itself has replaced the pods
    of the workload, the GPU is one of the same node that a new pod of it holds.
    """
    now = ctx.cluster.node(node.name)
    if now is None or now.uid != node.uid:
        raise StepBroken(f"node {node.name} is no longer the one that was planned; nothing was injected")
    seats = ctx.agent.gpus(node.name)
    if not isinstance(target, GpuTarget):
        return seat_of(node.name, seats, gpu)
    seat = seat_of(node.name, seats, target.uuid)
    if target.held_by and target.workload in ctx.run.replaced:  # the planned pod may be there still, on its way out
        return _of_new_pods(ctx, target, seats)
    if not target.held_by or target.held_by in seat.held_by:
        return seat
    raise StepBroken(
        f"pod {target.held_by} has moved: GPU {seat.index} of {node.name} is now held {_holder(seat)};"
        " nothing was injected"
    )


def _of_new_pods(ctx: Context, target: GpuTarget, seats: tuple[GpuSeat, ...]) -> GpuSeat:
    """The GPU that this run has hit before, else the planned one, else the first that a pod of the workload holds."""
    hit = {fault.gpu_uuid for fault in ctx.run.faults if fault.node == target.node.name}
    workload = ctx.target(target.workload)
    assert isinstance(workload, WorkloadTarget)
    found = ctx.cluster.pods(workload.namespace, workload.selector)
    pods = {f"{pod.namespace}/{pod.name}" for pod in found if not pod.deleting}
    held = [seat for seat in seats if seat.uuid in hit or pods & set(seat.held_by)]
    if not held:
        raise StepBroken(
            f"the rollout of {target.workload} left no pod of it on {target.node.name}, where its GPU"
            f" {target.index} was to be hit; nothing was injected"
        )
    return min(held, key=lambda seat: (seat.uuid not in hit, seat.uuid != target.uuid, seat.index))


def _holder(seat: GpuSeat) -> str:
    return f"by {', '.join(seat.held_by)}" if seat.held_by else "by nobody"
