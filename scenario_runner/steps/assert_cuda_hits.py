"""Judge which processes ran into a CUDA fault."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from scenario_runner.core.clock import Look, wait_until
from scenario_runner.core.cuda import CudaHits, ProcessHits, counted, merged, overlooked
from scenario_runner.core.faults import Fault
from scenario_runner.core.outcome import Finding, Role
from scenario_runner.core.pod_sightings import pods_ever
from scenario_runner.core.quantities import Count
from scenario_runner.core.step import Context, Step, StepName, TargetKinds
from scenario_runner.core.targets import GpuTarget, WorkloadTarget
from scenario_runner.errors import DeadlineExceeded, StepBroken, StepFailed, TargetUnreachable


class AssertCudaHits(Step):
    """
    So many processes of pods ran into the CUDA fault of an `arm_cuda`; exec probes and `kubectl exec` do not count.

    A lower limit is waited for; an upper one is judged by what was hit until now.
    """

    role: ClassVar[Role] = Role.ASSERTION
    default_timeout: ClassVar[float] = 30.0
    example: ClassVar[str] = """
        assert_cuda_hits: {of: lost-in-cuda, processes: at least 1, target: worker}
    """

    of: Annotated[str, StepName(("arm_cuda", "patch_cuda"))] = Field(
        description="Id of the `arm_cuda`, or of the armed `patch_cuda`, that is judged."
    )
    processes: Count = Field(description="How many processes: `at least 1`, `exactly 2`, `at most 3`.")
    target: Annotated[str, TargetKinds(("workload",))] | None = Field(
        None, description="Only processes of pods of this workload count; those of any pod if left out."
    )
    gpu: Annotated[str, TargetKinds(("gpu",))] | None = Field(
        None, description="Only processes count whose first failing call was for this GPU; a failing cuInit names none."
    )

    def run(self, ctx: Context) -> Finding:
        faults = [fault for fault in ctx.run.faults if fault.step_id == self.of]
        if not faults:
            raise StepBroken(f"{self.of} has armed nothing yet")

        def look() -> Look[list[ProcessHits]]:
            found = self._found(ctx, faults)
            return Look(self.processes.judge(len(found)), f"hit: {_shown(found)}", found)

        what = f"processes hit by {faults[0].words}: {self.processes}"
        try:
            found = wait_until(what, look, ctx.deadline, every=0.25)
        except DeadlineExceeded as exc:
            missed = overlooked(self._known(ctx, fault) for fault in faults)
            raise StepFailed("; ".join((str(exc), *missed))) from None
        return Finding(f"hit: {_shown(found)}", {"processes": float(len(found))})

    def check(self, peers: Mapping[str, Step]) -> list[str]:
        judged = peers.get(self.of)
        arms = judged is None or judged.strikes() is not None
        return [] if arms else [f"of: {self.of} arms nothing: name an arm_cuda, or give it armed: true"]

    def title(self) -> str:
        return f"processes hit by {self.of}{f' on {self.gpu}' if self.gpu else ''}: {self.processes}"

    def _found(self, ctx: Context, faults: list[Fault]) -> list[ProcessHits]:
        pods = None
        if self.target is not None:
            workload = ctx.target(self.target)
            assert isinstance(workload, WorkloadTarget)
            pods = pods_ever(ctx.observations, workload)  # also those that crashed and were replaced
        found = [one for fault in faults for one in counted(self._known(ctx, fault).processes, pods)]
        if self.gpu is None:
            return found
        wanted = ctx.target(self.gpu)
        assert isinstance(wanted, GpuTarget)
        return [one for one in found if one.gpu == wanted.uuid]

    def _known(self, ctx: Context, fault: Fault) -> CudaHits:
        """Also what was seen before the node's agent went away, as it does when the platform reboots the node."""
        before = ctx.run.hits(fault.fault_id)
        try:
            return merged(before, ctx.agent.cuda_hits(fault.fault_id))
        except TargetUnreachable:
            return before


def _shown(found: list[ProcessHits]) -> str:
    """ "vllm (dynamo/worker-1): 3 calls, first cuLaunchKernel, 719"."""
    told = (f"{one.process} ({one.pod}): {_calls(one.hits)}, first {one.function}, {one.code}" for one in found)
    return "; ".join(told) or "no process"


def _calls(number: int) -> str:
    return "1 call" if number == 1 else f"{number} calls"
