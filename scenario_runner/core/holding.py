"""How a step demands that something does not happen for a while: it looks at every change until the time is over."""

from collections.abc import Callable

from scenario_runner.core.clock import Deadline, Look, wait_until
from scenario_runner.core.quantities import format_seconds
from scenario_runner.core.step import Context
from scenario_runner.errors import StepBroken, StepFailed


def hold(ctx: Context, what: str, violated: Callable[[], str], seconds: float, watch: str, since: float) -> None:
    """
    Raise StepFailed as soon as `violated` says a sentence; "" means that all is well.

    A `watch` ("nodes", "pods") that lost its thread after `since` proves nothing: StepBroken.
    """
    clock = ctx.clock
    begin = clock.monotonic()
    end = Deadline(clock, begin + seconds)

    def look() -> Look[None]:
        text = violated()
        if text:
            raise StepFailed(f"{text}: seen {format_seconds(clock.monotonic() - begin)} after this step began")
        return Look(end.left == 0, "", None)

    wait_until(what, look, end)
    gaps = ctx.observations.select("watch", watch, "gap", since)
    if gaps:
        raise StepBroken(f"the watch of {watch} lost its thread meanwhile ({gaps[0].value}): nothing is proved")
