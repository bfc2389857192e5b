"""Make a node report a GPU fault."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from scenario_runner.core.aiming import strike_each, struck, would_strike
from scenario_runner.core.faulting import fault_name
from scenario_runner.core.faults import FAULT_TTL, GpuSeat, Strike
from scenario_runner.core.outcome import Finding, Role
from scenario_runner.core.ports import Injection
from scenario_runner.core.quantities import Seconds
from scenario_runner.core.step import Context, Step, TargetKinds
from scenario_runner.core.targets import Target
from scenario_runner.core.undo.recover_fault import RecoverFault
from scenario_runner.errors import StepBroken
from scenario_runner.gpu.xids import xid_table


class InjectXid(Step):
    """
    Make the kernel log of a node report an NVIDIA XID error, as if the GPU had failed.

    The fault is in force until its `duration` is over, a `recover_fault` names it, or its group or the scenario ends.
    A GPU that was chosen because a pod holds it must still be held by that pod. On several nodes each gets one fault.
    """

    role: ClassVar[Role] = Role.FAULT
    example: ClassVar[str] = """
        inject_xid: {target: victim, xid: 79}
        id: lost-gpu
    """

    target: Annotated[str, TargetKinds(("gpu", "node", "nodes"))] = Field(description="The GPU or node(s) that fail.")
    xid: int = Field(ge=1, le=999, description="The XID, e.g. 79 (GPU has fallen off the bus).")
    gpu: int | str = Field(0, description="Which GPU of a node target: index, UUID or PCI address.")
    duration: Seconds | None = Field(
        None, gt=0, description="How long the fault lasts; until it is taken back if left out."
    )
    message: str | None = Field(
        None,
        min_length=1,
        max_length=400,
        description="What the line says after the XID; needed for XIDs without a built-in text.",
    )
    expect: Literal["observed", "written"] = Field(
        "observed", description="`written`: a line in the kernel log is proof enough, nobody has to notice it."
    )

    @model_validator(mode="after")
    def _has_a_message(self) -> "InjectXid":
        if self.message is None and self.xid not in xid_table().injectable:
            built_in = ", ".join(map(str, xid_table().injectable))
            raise ValueError(f"XID {self.xid} has no built-in text: give a `message`, or take one of {built_in}")
        return self

    def run(self, ctx: Context) -> Finding:
        return strike_each(ctx, self.target, self.gpu, lambda node, seat: self._inject(ctx, node, seat))

    def changes(self, targets: Mapping[str, Target]) -> list[str]:
        return would_strike(targets, self.target, self.gpu, f"a kernel log line with XID {self.xid} for")

    def strikes(self) -> Strike:
        return Strike(f"XID {self.xid}", self.xid)

    def title(self) -> str:
        return f"XID {self.xid} on {self.target}"

    def _inject(self, ctx: Context, node: str, seat: GpuSeat) -> str:
        """Promise, inject, and say what was written."""
        injection = Injection(
            name=fault_name(ctx.run.run_id, ctx.step_id),
            node=node,
            xid=self.xid,
            gpu=seat.uuid,
            run=ctx.run.run_id,
            message=self.message,
            duration=self.duration,
            ttl=FAULT_TTL,
            max_lifetime=ctx.plan.worst_case + ctx.plan.undo_budget,
        )
        with ctx.changing(RecoverFault(fault_id=injection.fault_id, node=node, xid=self.xid)) as act:
            record = act.agent.inject(injection)
            ctx.run.add_fault(struck(ctx, record, seat, expect=self.expect, duration=self.duration))
        if record.status != "active" or record.evidence is None:
            raise StepBroken(f"fault {record.fault_id} is {record.status}: nothing proves that its line was written")
        ctx.progress(f"XID {self.xid} is in force on {node}")
        log = "the kernel log" if record.evidence.kernel_log == "real" else "the lab's kernel log"
        return f"XID {self.xid} on GPU {seat.index} of {node}: record {record.evidence.sequence} of {log}"
