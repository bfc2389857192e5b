"""How a step arms a CUDA fault: promised first, known to the run, and proved by the processes that it hits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scenario_runner.core.aiming import struck
from scenario_runner.core.faulting import fault_name
from scenario_runner.core.faults import FAULT_TTL, GpuSeat
from scenario_runner.core.ports import Arming
from scenario_runner.core.step import Context
from scenario_runner.core.undo.disarm_cuda import DisarmCuda
from scenario_runner.errors import StepBroken


@dataclass(frozen=True)
class CudaFault:
    """
    What a step arms on each of its victims.

    `profile` is its row in the table, or says what its own `rules` do; `xid` is how the scenario named it, 0 where it
    did not. Seconds.
    """

    profile: str
    xid: int = 0
    rules: tuple[Mapping[str, Any], ...] = ()
    override: Mapping[str, Any] = field(default_factory=dict)
    duration: float | None = None
    expect: str = "observed"  # "written": being armed is proof enough

    @property
    def words(self) -> str:
        return f"CUDA fault {self.profile}"


def arm(ctx: Context, fault: CudaFault, node: str, seat: GpuSeat) -> str:
    """Promise, arm, and say where; StepBroken where the agent did not arm it."""
    arming = Arming(
        name=fault_name(ctx.run.run_id, ctx.step_id),
        node=node,
        gpu=seat.uuid,
        run=ctx.run.run_id,
        profile="" if fault.xid or fault.rules else fault.profile,
        xid=fault.xid,
        rules=fault.rules,
        override=fault.override,
        duration=fault.duration,
        ttl=FAULT_TTL,
        max_lifetime=ctx.plan.worst_case + ctx.plan.undo_budget,
    )
    with ctx.changing(DisarmCuda(fault_id=arming.fault_id, node=node, what=fault.words)) as act:
        record = act.agent.arm(arming)
        cuda = fault.profile if fault.rules else record.cuda or fault.profile
        ctx.run.add_fault(struck(ctx, record, seat, expect=fault.expect, duration=fault.duration, cuda=cuda))
    if record.status != "active":
        raise StepBroken(f"CUDA fault {record.fault_id} is {record.status}: {record.end_reason or 'not armed'}")
    ctx.progress(f"{fault.words} is armed on {node}")
    return f"{fault.words} is armed for GPU {seat.index} of {node}"
