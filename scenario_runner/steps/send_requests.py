"""Send requests to the service under test."""

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from scenario_runner.core.clock import Deadline, Look, wait_until
from scenario_runner.core.judging import DRAIN, failures, judge
from scenario_runner.core.loads import LoadHandle
from scenario_runner.core.outcome import Finding, Phase, Role
from scenario_runner.core.quantities import RatePerSecond, Ratio, Seconds
from scenario_runner.core.requesting import Pace, load_order
from scenario_runner.core.step import Context, Step, TargetKinds
from scenario_runner.core.targets import EndpointTarget
from scenario_runner.errors import DeadlineExceeded, StepBroken, StepFailed

_ALL = Ratio.parse("at least 1")


class SendRequests(Step):
    """
    Send requests on a fixed schedule, whether or not the service keeps up.

    With `background: true` the scenario goes on meanwhile and a `join` ends it; without `for` or `count` it must run in
    the background. Among `health` and `after` the share of successes is judged at once: all of them, if `ratio` says
    nothing else. A chat or completion counts as a success only if it says something.
    """

    role: ClassVar[Role] = Role.LOAD
    reads_only: ClassVar[bool] = True
    can_run_in_background: ClassVar[bool] = True
    example: ClassVar[str] = """
        send_requests: {target: frontend, rate: 5/s, for: 30s}
        id: calm
    """

    target: Annotated[str, TargetKinds(("endpoint",))] = Field(description="The service or URL that is asked.")
    rate: RatePerSecond | None = Field(None, description="Requests per second: `5/s`, `300/min`. Or give `every`.")
    every: Seconds | None = Field(None, gt=0, description="Time between requests: `1s`. Or give `rate`.")
    count: int | None = Field(None, ge=1, description="How many requests; no limit if left out.")
    lasts: Seconds | None = Field(
        None, alias="for", gt=0, description="How long requests are started; no limit if left out."
    )
    request_timeout: Seconds = Field(30.0, gt=0, description="After which a request without an answer has failed.")
    max_outstanding: int = Field(
        256, ge=1, le=100_000, description="Requests in flight at most; one that finds no place has failed."
    )
    stream: bool = Field(default=False, description="Stream completions, so that the time to the first token is known.")
    ratio: Ratio | None = Field(None, description="The share that must succeed, judged when all have ended.")

    @model_validator(mode="after")
    def _has_one_pace(self) -> "SendRequests":
        if (self.rate is None) == (self.every is None):
            raise ValueError("give either rate (`5/s`) or every (`1s`)")
        return self

    def run(self, ctx: Context) -> Finding:
        target = ctx.target(self.target)
        assert isinstance(target, EndpointTarget)
        if self.endless() and not ctx.background:
            raise StepBroken("requests without `for` or `count` never end: add `background: true` and a later `join`")
        pace = Pace(self.rate, self.every, self.count, self.lasts, self.request_timeout, self.max_outstanding)
        order = load_order(ctx.step_id, target, pace, stream=self.stream)
        handle = ctx.run.add_load(ctx.step_id, order, ctx.loads.start(order))
        if ctx.background:
            return Finding(f"sending to {order.url}")
        self._wait(ctx, handle)
        ctx.run.joined(ctx.step_id)
        return self.finish(ctx)

    def finish(self, ctx: Context) -> Finding:
        ratio = self.ratio or (_ALL if _judged_by_itself(ctx) else None)
        least = (ratio.minimum if ratio else None) or min(20, self.count or 20)
        judged = judge(ctx, ctx.step_id, None, least if ratio else 1)
        chosen = judged.chosen
        numbers = {"requests": float(chosen.total), "succeeded": float(chosen.succeeded), "ratio": chosen.ratio or 0.0}
        reasons = f"; failures: {failures(chosen)}" if chosen.failures else ""
        if ratio and not ratio.judge(chosen.succeeded, chosen.total):
            raise StepFailed(f"{judged.successes}, asked for {ratio}{reasons}")
        return Finding(judged.successes + (f", asked for {ratio}" if ratio else "") + reasons, numbers)

    def endless(self) -> bool:
        return self.lasts is None and self.count is None

    def longest(self, timeout: float) -> float:
        return timeout if self.endless() else max(timeout, self._schedule() + self.request_timeout)

    def title(self) -> str:
        return f"requests to {self.target}"

    def _schedule(self) -> float:
        """Seconds until the last request is due."""
        gap = self.every or 1.0 / (self.rate or 1.0)
        limits = [limit for limit in (self.lasts, self.count and self.count * gap) if limit]
        return min(limits)

    def _wait(self, ctx: Context, handle: LoadHandle) -> None:
        def look() -> Look[None]:
            if handle.run.broken:
                raise StepBroken(f"load {ctx.step_id} broke: {handle.run.broken}")
            chosen = handle.run.samples.select()
            ctx.progress(f"{chosen.total} requests ended, {chosen.succeeded} succeeded")
            return Look(handle.run.finished, f"{chosen.pending} requests have not ended", None)

        deadline = Deadline.after(ctx.clock, self.longest(ctx.deadline.left) + DRAIN)
        try:
            wait_until(f"load {ctx.step_id} did not end", look, deadline, every=0.5)
        except DeadlineExceeded as exc:
            handle.run.close()
            raise StepBroken(str(exc)) from exc


def _judged_by_itself(ctx: Context) -> bool:
    """In `health` and `after` nothing else judges the requests."""
    phases = {planned.id: planned.phase for planned in ctx.plan.steps}
    return phases.get(ctx.step_id) in {Phase.HEALTH, Phase.AFTER, Phase.HEALTH_AFTER}
