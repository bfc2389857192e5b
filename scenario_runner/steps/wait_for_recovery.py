"""Wait until the service serves again."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from scenario_runner.core.clock import Look, wait_until
from scenario_runner.core.loads import LoadHandle
from scenario_runner.core.outcome import Finding, Role
from scenario_runner.core.quantities import Ratio, Seconds, format_seconds
from scenario_runner.core.recovery import SlidingWindow, impact
from scenario_runner.core.step import Context, LoadName, Step
from scenario_runner.errors import DeadlineExceeded, StepBroken, StepFailed


class WaitForRecovery(Step):
    """
    Wait until a share of a load's requests succeeds again throughout a sliding window.

    Only requests that were due after this step began count, and the window must be full. Every fault must have been
    noticed by then, else there is nothing to recover from. Does not wait for the fault to be taken back.
    """

    role: ClassVar[Role] = Role.WAIT
    reads_only: ClassVar[bool] = True
    default_timeout: ClassVar[float] = 600.0
    example: ClassVar[str] = """
        wait_for_recovery: {load: traffic, ratio: at least 0.9, window: 30s}
        timeout: 5m
    """

    load: Annotated[str, LoadName()] = Field(description="Id of the `send_requests` that runs in the background.")
    ratio: Ratio = Field(description="The share that must succeed in the window: `at least 0.9`.")
    window: Seconds = Field(gt=0, description="Length of the window: `30s`.")
    min_requests: int | None = Field(None, ge=1, description="Requests needed in a window: 20, or what `7 of 10` says.")
    impact: Literal["optional", "required"] = Field(
        "optional", description="`required`: it is a failure if success never left what it was before the fault."
    )

    def run(self, ctx: Context) -> Finding:
        handle = ctx.run.load(self.load)
        least = self.min_requests or self.ratio.minimum or 20
        began = ctx.clock.monotonic()
        sliding = SlidingWindow(handle.run.samples, self.ratio, self.window, least, began)
        budget = ctx.deadline.left

        def look() -> Look[str]:
            _trust(handle)
            chosen = sliding.look(ctx.clock.monotonic()) if not _unnoticed(ctx) else None
            if chosen is None:
                return Look(done=False, seen="", value="")
            return Look(done=True, seen="", value=f"{chosen.succeeded} of {chosen.total} requests succeeded")

        try:
            served = wait_until(self.load, look, ctx.deadline, every=0.2)
        except DeadlineExceeded:
            raise self._missed(ctx, sliding, least, budget) from None
        return self._recovered(ctx, handle, served, ctx.clock.monotonic() - began)

    def longest(self, timeout: float) -> float:
        return max(timeout, self.window)

    def title(self) -> str:
        return f"{self.ratio} of {self.load} succeed for {format_seconds(self.window)}"

    def _missed(self, ctx: Context, sliding: SlidingWindow, least: int, budget: float) -> StepBroken | StepFailed:
        """Whose fault it is that nothing recovered."""
        if faults := _unnoticed(ctx):
            return StepBroken(
                f"{', '.join(faults)} was written and nobody noticed it: there is nothing to recover from"
            )
        if sliding.most < least:
            return StepBroken(
                f"no window of {format_seconds(self.window)} had enough requests of {self.load}:"
                f" {sliding.most} of at least {least}"
            )
        last = sliding.last
        seen = f"; {last.succeeded} of {last.total} succeeded in the last window" if last else ""
        return DeadlineExceeded(f"{self.load} did not recover to {self.ratio} within {format_seconds(budget)}{seen}")

    def _recovered(self, ctx: Context, handle: LoadHandle, served: str, seconds: float) -> Finding:
        faults = ctx.run.faults
        numbers = {"seconds": seconds}
        if faults:
            numbers["seconds_since_fault"] = ctx.clock.monotonic() - max(fault.at for fault in faults)
        hurt = impact(handle.run.samples, faults, ctx.clock.monotonic()) if faults else ""
        if not hurt and self.impact == "required":
            raise StepFailed(f"no impact observed: success of {self.load} never left what it was before the fault")
        return Finding(f"{served} in {format_seconds(self.window)}; {hurt or 'no impact observed'}", numbers)


def _unnoticed(ctx: Context) -> list[str]:
    """The faults that must be noticed and are not yet."""
    waiting = [one for one in ctx.run.faults if one.expect == "observed" and ctx.run.evidence(one) == "written"]
    return [f"{fault.words} on {fault.node}" for fault in waiting]


def _trust(handle: LoadHandle) -> None:
    if handle.run.broken:
        raise StepBroken(f"load {handle.step_id} can not be trusted: {handle.run.broken}")
    if handle.joined:
        raise StepBroken(f"load {handle.step_id} has ended: nothing is sent that could show a recovery")
