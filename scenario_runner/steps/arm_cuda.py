"""Make CUDA calls fail in the pods that use a GPU."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from scenario_runner.core.aiming import strike_each, struck, would_strike
from scenario_runner.core.faulting import fault_name
from scenario_runner.core.faults import FAULT_TTL, GpuSeat
from scenario_runner.core.outcome import Finding, Role
from scenario_runner.core.ports import Arming
from scenario_runner.core.quantities import Seconds
from scenario_runner.core.step import Context, Step, Strike, TargetKinds
from scenario_runner.core.targets import Target
from scenario_runner.core.undo.disarm_cuda import DisarmCuda
from scenario_runner.errors import StepBroken
from scenario_runner.gpu.profiles import profiles


class ArmCuda(Step):
    """
    Let CUDA calls fail on exactly one GPU of a node, as they do when that GPU has reported an XID.

    Hits processes that carry the library (`patch_cuda`) and use that GPU, at once and without a restart, until the
    `duration` is over, a `disarm_cuda` names this step, or its group or the scenario ends. Proved by the calls that
    were hit: a fault that no process ran into makes the run broken. Give an `xid`, or a `profile` by name.
    """

    role: ClassVar[Role] = Role.FAULT
    example: ClassVar[str] = """
        arm_cuda: {target: victim, xid: 79}
        id: lost-in-cuda
    """

    target: Annotated[str, TargetKinds(("gpu", "node", "nodes"))] = Field(description="The GPU or node(s) that fail.")
    xid: int | None = Field(None, ge=1, le=999, description="Fail as after this XID, e.g. 79.")
    profile: str | None = Field(None, description="Fail as this row of the table of CUDA profiles says, e.g. `oom`.")
    gpu: int | str = Field(0, description="Which GPU of a node target: index, UUID or PCI address.")
    duration: Seconds | None = Field(None, gt=0, description="How long; until it is taken back if left out.")
    delay: Seconds | None = Field(None, gt=0, description="How much longer a call takes, for profiles that delay.")
    probability: float | None = Field(None, gt=0, le=1, description="Which share of the matching calls is hit.")
    after_calls: int | None = Field(None, ge=1, description="So many matching calls of each process pass first.")
    max_hits: int | None = Field(None, ge=1, description="Hit at most so many calls of each process.")
    process: str | None = Field(None, min_length=1, max_length=15, description="Only processes of this name.")
    expect: Literal["hit", "armed"] = Field(
        "hit", description="`armed`: being armed is proof enough, no process has to run into it."
    )

    @model_validator(mode="after")
    def _has_a_profile(self) -> "ArmCuda":
        if (self.xid is None) == (self.profile is None):
            raise ValueError("give either xid or profile")
        profiles().find(self._wanted)
        return self

    def run(self, ctx: Context) -> Finding:
        return strike_each(ctx, self.target, self.gpu, lambda node, seat: self._arm(ctx, node, seat))

    def changes(self, targets: Mapping[str, Target]) -> list[str]:
        return would_strike(targets, self.target, self.gpu, f"{self._words} for processes that use")

    def strikes(self) -> Strike:
        return Strike(self._words)

    def title(self) -> str:
        return f"{self._words} on {self.target}"

    @property
    def _wanted(self) -> int | str:
        return self.profile if self.profile is not None else self.xid or 0

    @property
    def _profile(self) -> str:
        return profiles().find(self._wanted).name

    @property
    def _words(self) -> str:
        return f"CUDA fault {self._profile}"

    def _arm(self, ctx: Context, node: str, seat: GpuSeat) -> str:
        """Promise, arm, and say where."""
        arming = Arming(
            name=fault_name(ctx.run.run_id, ctx.step_id),
            node=node,
            gpu=seat.uuid,
            run=ctx.run.run_id,
            profile=self.profile or "",
            xid=self.xid or 0,
            override=self._override(),
            duration=self.duration,
            ttl=FAULT_TTL,
            max_lifetime=ctx.plan.worst_case + ctx.plan.undo_budget,
        )
        proof = "written" if self.expect == "armed" else "observed"
        with ctx.changing(DisarmCuda(fault_id=arming.fault_id, node=node, what=self._words)) as act:
            record = act.agent.arm(arming)
            cuda = record.cuda or self._profile
            ctx.run.add_fault(struck(ctx, record, seat, expect=proof, duration=self.duration, cuda=cuda))
        if record.status != "active":
            raise StepBroken(f"CUDA fault {record.fault_id} is {record.status}: {record.end_reason or 'not armed'}")
        ctx.progress(f"{self._words} is armed on {node}")
        return f"{self._words} is armed for GPU {seat.index} of {node}"

    def _override(self) -> dict[str, Any]:
        fields = ("delay", "probability", "after_calls", "max_hits", "process")
        return {name: getattr(self, name) for name in fields if getattr(self, name) is not None}
