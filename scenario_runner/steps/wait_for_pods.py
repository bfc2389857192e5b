"""Wait for pods of a workload."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from scenario_runner.core.clock import Look, wait_until
from scenario_runner.core.faulting import ALWAYS
from scenario_runner.core.outcome import Finding, Role
from scenario_runner.core.plan import PlatformProfile
from scenario_runner.core.pod_sightings import crashes, described, pods_of
from scenario_runner.core.quantities import format_seconds
from scenario_runner.core.step import Context, Step, TargetKinds
from scenario_runner.core.targets import WorkloadTarget, nodes_of
from scenario_runner.errors import DeadlineExceeded


class WaitForPods(Step):
    """
    Wait until pods of a workload are ready, have crashed since the newest fault, or are gone.

    `away_from` asks that of the nodes other than this one for `ready`, and of this one alone for `gone`.
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
        None, description="Only pods elsewhere count as ready; only pods here must be gone."
    )
    crashed: int | None = Field(None, ge=1, description="How many must have crashed since the newest fault.")
    gone: bool | None = Field(None, description="`true`: no pod may be left.")

    @model_validator(mode="after")
    def _asks_one_question(self) -> "WaitForPods":
        if sum(one is not None for one in (self.ready, self.crashed, self.gone or None)) != 1:
            raise ValueError("give exactly one of ready, crashed and gone: true")
        if self.crashed is not None and self.away_from is not None:
            raise ValueError("crashed looks at every node: leave away_from out")
        return self

    def run(self, ctx: Context) -> Finding:
        target = ctx.target(self.target)
        assert isinstance(target, WorkloadTarget)
        away = {node.name for node in nodes_of(ctx.target(self.away_from))} if self.away_from else set()
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
            since = max(map(ctx.run.started, ctx.run.faults), default=ALWAYS)
            return len(crashes(ctx.observations, target, since)), self.crashed, described(pods)
        if self.gone:
            left = [pod for pod in pods if not away or pod.node in away]
            return len(left), len(left), described(left)
        ready = [pod for pod in pods if pod.ready and pod.node not in away]
        return len(ready), target.replicas if self.ready == "all" else self.ready or 0, described(pods)

    def patience(self, profile: PlatformProfile) -> float:
        return profile.drained if self.gone else self.default_timeout

    def title(self) -> str:
        return f"pods of {self.target} {self._what()}"

    def _what(self) -> str:
        place = f" away from {self.away_from}" if self.away_from and not self.gone else ""
        if self.gone:
            return "gone" + (f" from {self.away_from}" if self.away_from else "")
        return f"crashed ({self.crashed})" if self.crashed else f"ready ({self.ready}){place}"
