"""Wait for requests that run in the background."""

from typing import Annotated, ClassVar

from pydantic import Field

from scenario_runner.core.clock import Deadline, Look, wait_until
from scenario_runner.core.judging import DRAIN, failures
from scenario_runner.core.loads import LoadHandle
from scenario_runner.core.outcome import Finding, Role
from scenario_runner.core.step import Context, LoadName, Step
from scenario_runner.errors import DeadlineExceeded, StepBroken


class Join(Step):
    """
    End a `send_requests` that runs in the background: one without an end is stopped, one with an end is waited for.

    Then wait for the requests in flight, so that each one counts. Whether they succeeded is judged by assertions.
    """

    role: ClassVar[Role] = Role.ACTION
    reads_only: ClassVar[bool] = True
    bare: ClassVar[str | None] = "load"
    example: ClassVar[str] = """
        join: traffic
    """

    load: Annotated[str, LoadName()] = Field(description="Id of the `send_requests` to end.")

    def run(self, ctx: Context) -> Finding:
        handle = ctx.run.load(self.load)
        if handle.scheduled_until is None:
            handle.run.stop()
        _wait(ctx, handle)
        ctx.run.joined(self.load)
        chosen = handle.run.samples.select()
        reasons = f"; failures: {failures(chosen)}" if chosen.failures else ""
        numbers = {"requests": float(chosen.total), "succeeded": float(chosen.succeeded)}
        return Finding(f"{chosen.total} requests ended, {chosen.succeeded} succeeded{reasons}", numbers)


def _wait(ctx: Context, handle: LoadHandle) -> None:
    """Until the load has ended; as long as its schedule and its slowest request take, whatever the step's timeout."""

    def look() -> Look[None]:
        if handle.run.broken:
            raise StepBroken(f"load {handle.step_id} broke: {handle.run.broken}")
        chosen = handle.run.samples.select()
        ctx.progress(f"{chosen.total} requests ended, {chosen.pending} in flight")
        return Look(handle.run.finished, f"{chosen.pending} requests have not ended", None)

    scheduled = max(0.0, (handle.scheduled_until or 0.0) - ctx.clock.monotonic())
    seconds = max(ctx.deadline.left, scheduled + handle.request_timeout + DRAIN)
    try:
        wait_until(f"load {handle.step_id} did not end", look, Deadline.after(ctx.clock, seconds), every=0.5)
    except DeadlineExceeded as exc:
        raise StepBroken(str(exc)) from exc
