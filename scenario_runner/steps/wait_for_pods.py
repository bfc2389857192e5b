"""Wait for pods of a workload."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from scenario_runner.core.clock import Look, wait_until
from scenario_runner.core.faulting import ALWAYS
from scenario_runner.core.holding import hold
from scenario_runner.core.outcome import Finding, Role
from scenario_runner.core.plan import PlatformProfile
from scenario_runner.core.pod_sightings import crashes, described, node_of_pod, pods_of
from scenario_runner.core.quantities import Seconds, format_seconds
from scenario_runner.core.step import Context, Step, StepName, TargetKinds
from scenario_runner.core.targets import WorkloadTarget, nodes_of
from scenario_runner.errors import DeadlineExceeded, StepBroken


class WaitForPods(Step):
    """
    Wait until pods of a workload are ready, have crashed since the newest fault, or are gone; or demand that none of
    them has crashed since then, nor does `for` a while.

    `away_from` asks that of the nodes other than this one for `ready` and `never`, and of this one alone for `gone`.
    A pod that fails after it was told to go has not crashed.
    """

    role: ClassVar[Role] = Role.WAIT
    reads_only: ClassVar[bool] = True
    default_timeout: ClassVar[float] = 300.0
    example: ClassVar[str] = """
        wait_for_pods: {target: worker, ready: all, away_from: victim}
        timeout: 5m
    """

    target: Annotated[str, TargetKinds(("workload",))] = Field(description="The workload whose pods are looked at.")
    ready: Literal["all"] | Annotated[int, Field(ge=1)] | None = Field(
        None, description="How many must be ready: `all` that the workload wants, or a number."
    )
    away_from: Annotated[str, TargetKinds(("gpu", "node", "nodes"))] | None = Field(
        None, description="Only pods elsewhere are looked at; only pods here must be gone."
    )
    crashed: int | None = Field(None, ge=1, description="At least how many must have crashed since the newest fault.")
    gone: bool | None = Field(None, description="`true`: no pod may be left.")
    never: Literal["crashed"] | None = Field(
        None, description="`crashed`: none may have crashed since the newest fault, nor within `for`."
    )
    lasts: Seconds | None = Field(None, alias="for", gt=0, description="How much longer none may crash.")
    since: Annotated[str, StepName(("inject_xid", "arm_cuda", "patch_cuda"))] | None = Field(
        None, description="Id of the fault since which crashes count, instead of the newest."
    )

    @model_validator(mode="after")
    def _asks_one_question(self) -> "WaitForPods":
        if sum(one is not None for one in (self.ready, self.crashed, self.gone or None, self.never)) != 1:
            raise ValueError("give exactly one of ready, crashed, gone: true and never: crashed")
        if self.crashed is not None and self.away_from is not None:
            raise ValueError("crashed looks at every node: leave away_from out")
        if (self.lasts is None) != (self.never is None):
            raise ValueError("never needs `for`, everything else has none")
        if self.since is not None and self.crashed is None and self.never is None:
            raise ValueError("since is for crashed and never: what is ready or gone is so now")
        return self

    def run(self, ctx: Context) -> Finding:
        target = ctx.target(self.target)
        assert isinstance(target, WorkloadTarget)
        away = {node.name for node in nodes_of(ctx.target(self.away_from))} if self.away_from else set()
        return self._watch(ctx, target, away) if self.lasts is not None else self._wait(ctx, target, away)

    def _watch(self, ctx: Context, target: WorkloadTarget, away: set[str]) -> Finding:
        """Demand that none has crashed, and look on for a while."""
        assert self.lasts is not None
        since, whose = self._since(ctx), f"no pod of {self.target}{self._elsewhere}"

        def violated() -> str:
            nodes = {name: node_of_pod(ctx.observations, name) for name in crashes(ctx.observations, target, since)}
            told = [f"{name.partition('/')[2]} on {node}" for name, node in nodes.items() if node not in away]
            return f"{whose} may crash, and {', '.join(told)} did" if told else ""

        hold(ctx, self.title(), violated, self.lasts, f"pods in {target.namespace}", since)
        return Finding(f"{whose} has crashed, watched for {format_seconds(self.lasts)}")

    def _wait(self, ctx: Context, target: WorkloadTarget, away: set[str]) -> Finding:
        budget = ctx.deadline.left
        began = ctx.clock.monotonic()

        def look() -> Look[str]:
            have, want, seen = self._count(ctx, target, away)
            ctx.progress(f"{have} of {want} pods of {self.target} {self._what()}")
            done = have == 0 if self.gone else have >= want
            return Look(done, f"{have} of {want}: {seen}", "none is left" if self.gone else f"{have} of {want}: {seen}")

        try:
            found = wait_until(f"pods of {self.target} {self._what()}", look, ctx.deadline)
        except DeadlineExceeded as exc:
            raise DeadlineExceeded(f"{exc} (waited {format_seconds(budget)})") from None
        return Finding(found, {"seconds": ctx.clock.monotonic() - began})

    def _count(self, ctx: Context, target: WorkloadTarget, away: set[str]) -> tuple[int, int, str]:
        """How many pods are as wanted (or, for `gone`, still there), how many are wanted, and which there are."""
        pods = pods_of(ctx.observations, target)
        if self.crashed is not None:
            return len(crashes(ctx.observations, target, self._since(ctx))), self.crashed, described(pods)
        if self.gone:
            left = [pod for pod in pods if not away or pod.node in away]
            return len(left), len(left), described(left)
        ready = [pod for pod in pods if pod.ready and pod.node not in away]
        return len(ready), target.replicas if self.ready == "all" else self.ready or 0, described(pods)

    def _since(self, ctx: Context) -> float:
        if self.since is None:
            return max(map(ctx.run.started, ctx.run.faults), default=ALWAYS)
        named = [fault for fault in ctx.run.faults if fault.step_id == self.since]
        if not named:
            raise StepBroken(f"{self.since} has injected no fault yet")
        return min(map(ctx.run.started, named))

    def longest(self, timeout: float) -> float:
        return max(timeout, self.lasts or 0.0)

    def patience(self, profile: PlatformProfile) -> float:
        if self.lasts is not None:
            return self.lasts + Step.default_timeout
        return profile.drained if self.gone else self.default_timeout

    def title(self) -> str:
        return f"pods of {self.target} {self._what()}"

    @property
    def _elsewhere(self) -> str:
        return f" away from {self.away_from}" if self.away_from else ""

    def _what(self) -> str:
        if self.lasts is not None:
            return f"never crash{self._elsewhere} for {format_seconds(self.lasts)}"
        if self.gone:
            return "gone" + (f" from {self.away_from}" if self.away_from else "")
        return f"crashed ({self.crashed})" if self.crashed else f"ready ({self.ready}){self._elsewhere}"
