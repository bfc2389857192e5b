"""Demand that requests are fast enough."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from scenario_runner.core.judging import Judged, judge, window_problems
from scenario_runner.core.outcome import Finding, Role
from scenario_runner.core.quantities import Limit, format_seconds
from scenario_runner.core.samples import percentile
from scenario_runner.core.step import Context, LoadName, Step
from scenario_runner.errors import StepBroken, StepFailed

_PER_CENT = {"p50": 50, "p95": 95, "p99": 99, "max": 100, "first_token_p95": 95, "inter_token_p95": 95}
_OF_STREAMS = {"first_token_p95": "has a first token", "inter_token_p95": "has two tokens"}


class AssertLatency(Step):
    """
    Demand limits on the latency of a load's successful requests.

    Latency counts from the moment a request was due, so a service that hangs does not stop the clock. No success at
    all is a failure; too few requests for a verdict make the step broken.
    """

    role: ClassVar[Role] = Role.ASSERTION
    reads_only: ClassVar[bool] = True
    example: ClassVar[str] = """
        assert_latency: {load: traffic, during: fault, p50: at most 2s, p95: at most 5 x calm}
    """

    load: Annotated[str, LoadName()] = Field(description="Id of the `send_requests` whose requests are judged.")
    p50: Limit | None = Field(None, description="Limit on the median: `at most 500ms`, `at most 5 x calm`.")
    p95: Limit | None = Field(None, description="Limit that 95 % of the requests keep.")
    p99: Limit | None = Field(None, description="Limit that 99 % of the requests keep; takes 100 requests.")
    longest_one: Limit | None = Field(None, alias="max", description="Limit on the slowest request.")
    first_token_p95: Limit | None = Field(None, description="Limit on the time to the first token of 95 % of streams.")
    inter_token_p95: Limit | None = Field(
        None, description="Limit on the mean time from one token to the next in 95 % of streams."
    )
    during: str | None = Field(
        None, description="`fault`, `baseline`, `recovery` or the id of an `inject_xid`; everything if left out."
    )
    min_requests: int | None = Field(None, ge=1, description="Requests needed for a verdict: 20, for p99 100.")

    @model_validator(mode="after")
    def _limits_something(self) -> "AssertLatency":
        if not self._limits():
            raise ValueError("give at least one limit: p50, p95, p99, max, first_token_p95 or inter_token_p95")
        return self

    def run(self, ctx: Context) -> Finding:
        least = self.min_requests or (100 if self.p99 else 20)
        judged = judge(ctx, self.load, self.during, least)
        if not judged.chosen.succeeded:
            raise StepFailed(f"none of {judged.chosen.total} requests{judged.where} succeeded")
        results = [_measure(ctx, judged, name, limit, least) for name, limit in self._limits().items()]
        text = "; ".join(sentence for sentence, _, _ in results) + f" ({judged.chosen.succeeded} requests)"
        if not all(kept for _, _, kept in results):
            raise StepFailed(text)
        return Finding(text, {name: seconds for name, (_, seconds, _) in zip(self._limits(), results, strict=True)})

    def check(self, peers: Mapping[str, Step]) -> list[str]:
        return window_problems(self.during, peers)

    def title(self) -> str:
        limits = ", ".join(f"{name} {limit}" for name, limit in self._limits().items())
        return f"latency of {self.load}: {limits}" + (f" during {self.during}" if self.during else "")

    def _limits(self) -> dict[str, Limit]:
        every = {"p50": self.p50, "p95": self.p95, "p99": self.p99, "max": self.longest_one}
        every |= {"first_token_p95": self.first_token_p95, "inter_token_p95": self.inter_token_p95}
        return {name: limit for name, limit in every.items() if limit is not None}


def _measure(ctx: Context, judged: Judged, name: str, limit: Limit, least: int) -> tuple[str, float, bool]:
    """A sentence, the latency in seconds, and whether it keeps its limit."""
    seconds = _statistic(judged, name)
    baseline = None if limit.baseline is None else _statistic(judge(ctx, limit.baseline, None, least), name)
    kept = limit.judge(seconds, baseline)
    meaning = "" if baseline is None else f" ({limit.baseline}: {format_seconds(baseline)})"
    demand = f"{'asked for' if kept else 'must be'} {limit}{meaning}"
    text = f"{name}{judged.where} is {format_seconds(seconds)}, {demand}"
    return text, seconds, kept


def _statistic(judged: Judged, name: str) -> float:
    chosen = judged.chosen
    columns = {"first_token_p95": chosen.first_tokens, "inter_token_p95": chosen.inter_tokens}
    seconds = percentile(columns.get(name, chosen.latencies), _PER_CENT[name])
    if seconds is None:
        what = _OF_STREAMS[name] if chosen.succeeded else "succeeded"
        raise StepBroken(f"there is no {name}{judged.where}: no request {what}")
    return seconds
