"""Make CUDA calls fail in the pods that use a GPU."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from scenario_runner.core.aiming import strike_each, would_strike
from scenario_runner.core.arming import CudaFault, arm
from scenario_runner.core.faults import Strike
from scenario_runner.core.outcome import Finding, Role
from scenario_runner.core.quantities import Seconds
from scenario_runner.core.step import Context, Step, TargetKinds
from scenario_runner.core.targets import Target
from scenario_runner.gpu.cuda_codes import cuda_code
from scenario_runner.gpu.cuda_rules import CudaRule
from scenario_runner.gpu.profiles import profiles


class ArmCuda(Step):
    """
    Let CUDA calls fail on exactly one GPU of a node, as they do when that GPU has reported an XID.

    Hits processes that carry the library (`patch_cuda`) and use that GPU, at once and without a restart, until the
    `duration` is over, a `disarm_cuda` names this step, or its group or the scenario ends. Proved by the calls that
    were hit: a fault that no process ran into makes the run broken. Give an `xid`, a `profile` by name, or `rules` of
    your own: `{calls: [launch, sync], mode: delay, delay: 20ms}`, of which the first that fits a call wins. A rule has
    `calls`, `mode` (fail, sticky, async, delay, hang, oom), and as it needs them `code`, `nvml_code`, `scope`, `delay`,
    `not_before`, `after_calls`, `probability`, `max_hits`, `min_bytes`, `free_bytes`, `process`.
    """

    role: ClassVar[Role] = Role.FAULT
    example: ClassVar[str] = """
        arm_cuda: {target: victim, xid: 79}
        id: lost-in-cuda
    """

    target: Annotated[str, TargetKinds(("gpu", "node", "nodes"))] = Field(description="The GPU or node(s) that fail.")
    xid: int | None = Field(None, ge=1, le=999, description="Fail as after this XID, e.g. 79.")
    profile: str | None = Field(None, description="Fail as this row of the table of CUDA profiles says, e.g. `oom`.")
    rules: tuple[CudaRule, ...] = Field((), max_length=8, description="Fail as these rules say, instead of a profile.")
    gpu: int | str = Field(0, description="Which GPU of a node target: index, UUID or PCI address.")
    duration: Seconds | None = Field(None, gt=0, description="How long; until it is taken back if left out.")
    delay: Seconds | None = Field(None, gt=0, description="How much longer a call takes, for profiles that delay.")
    code: int | str | None = Field(
        None,
        description="What failing calls answer instead: a number of CUDA's errors, or its name, e.g. launch-failed.",
    )
    not_before: Seconds | None = Field(None, gt=0, description="So long after arming all calls pass.")
    min_bytes: int | None = Field(None, ge=1, description="Only allocations of at least so many bytes are hit.")
    probability: float | None = Field(None, gt=0, le=1, description="Which share of the matching calls is hit.")
    after_calls: int | None = Field(None, ge=1, description="So many matching calls of each process pass first.")
    max_hits: int | None = Field(None, ge=1, description="Hit at most so many calls of each process.")
    process: str | None = Field(None, min_length=1, max_length=15, description="Only processes of this name.")
    running_only: bool | None = Field(
        None,
        description="Whether processes that start CUDA after the arming are healthy, instead of as the profile says.",
    )
    expect: Literal["hit", "armed"] = Field(
        "hit", description="`armed`: being armed is proof enough, no process has to run into it."
    )

    @model_validator(mode="after")
    def _has_a_profile(self) -> "ArmCuda":
        if [self.xid is not None, self.profile is not None, bool(self.rules)].count(True) != 1:
            raise ValueError("give exactly one of xid, profile and rules")
        if self.rules:
            if changes := self._changes:
                raise ValueError(f"{next(iter(changes))} changes a profile: write it into the rules")
            return self
        profiles().find(self._wanted)
        if self.code is not None:
            cuda_code(self.code)
        return self

    def run(self, ctx: Context) -> Finding:
        return strike_each(ctx, self.target, self.gpu, lambda node, seat: arm(ctx, self._fault, node, seat))

    def changes(self, targets: Mapping[str, Target]) -> list[str]:
        return would_strike(targets, self.target, self.gpu, f"{self._fault.words} for processes that use")

    def strikes(self) -> Strike:
        return Strike(self._fault.words)

    def title(self) -> str:
        return f"{self._fault.words} on {self.target}"

    @property
    def _wanted(self) -> int | str:
        return self.profile if self.profile is not None else self.xid or 0

    @property
    def _changes(self) -> dict[str, Any]:
        """What is to be different from the profile."""
        names = (
            "delay", "code", "not_before", "min_bytes", "probability", "after_calls", "max_hits", "process",
            "running_only",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @property
    def _fault(self) -> CudaFault:
        expect = "written" if self.expect == "armed" else "observed"
        if self.rules:
            said = "; ".join(rule.words for rule in self.rules)
            orders = tuple(rule.order() for rule in self.rules)
            return CudaFault(f"own rules ({said})", rules=orders, duration=self.duration, expect=expect)
        changes = self._changes
        return CudaFault(
            profile=profiles().find(self._wanted).name,
            xid=self.xid or 0,
            override=changes if self.code is None else {**changes, "code": cuda_code(self.code)},
            duration=self.duration,
            expect=expect,
        )
