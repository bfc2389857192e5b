"""Demand a share of successful requests."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from scenario_runner.core.judging import failures, judge, window_problems
from scenario_runner.core.outcome import Finding, Role
from scenario_runner.core.quantities import Ratio
from scenario_runner.core.step import Context, LoadName, Step
from scenario_runner.errors import StepFailed


class AssertSuccess(Step):
    """
    Demand that a share of a load's requests succeeded.

    A request belongs to the window in which it was due, and is judged once it has ended; one that met its timeout is a
    failure. Too few requests for a verdict make the step broken, not failed.
    """

    role: ClassVar[Role] = Role.ASSERTION
    reads_only: ClassVar[bool] = True
    example: ClassVar[str] = """
        assert_success: {load: traffic, during: fault, ratio: at least 0.7}
    """

    load: Annotated[str, LoadName()] = Field(description="Id of the `send_requests` whose requests are judged.")
    ratio: Ratio = Field(description="The share that must succeed: `at least 0.7`, `between 0.5 and 0.9`, `7 of 10`.")
    during: str | None = Field(
        None, description="`fault`, `baseline`, `recovery` or the id of an `inject_xid`; everything if left out."
    )
    min_requests: int | None = Field(
        None, ge=1, description="Requests needed for a verdict: 20, or what `7 of 10` says itself."
    )

    def run(self, ctx: Context) -> Finding:
        judged = judge(ctx, self.load, self.during, self.min_requests or self.ratio.minimum or 20)
        chosen = judged.chosen
        numbers = {"requests": float(chosen.total), "succeeded": float(chosen.succeeded), "ratio": chosen.ratio or 0.0}
        if self.ratio.judge(chosen.succeeded, chosen.total):
            return Finding(f"{judged.successes}, asked for {self.ratio}", numbers)
        reasons = f"; failures: {failures(chosen)}" if chosen.failures else ""
        raise StepFailed(f"{judged.successes}, asked for {self.ratio}{reasons}")

    def check(self, peers: Mapping[str, Step]) -> list[str]:
        return window_problems(self.during, peers)

    def title(self) -> str:
        return f"{self.ratio} of {self.load} succeed" + (f" during {self.during}" if self.during else "")
