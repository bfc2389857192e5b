"""Demanding limits on latency."""

import pytest
from pydantic import ValidationError

from tests.steps.entry import step_of
from tests.steps.prepared import PreparedLoads
from tests.steps.running import carry_out, last

STEPS = """
- send_requests: {target: frontend, count: %d, every: 100ms}
  id: calm
- send_requests: {target: frontend, count: %d, every: 100ms}
  id: traffic
- assert_latency: %s
"""


def judged(world, fields, calm=20, traffic=20):
    return last(carry_out(world, STEPS % (calm, traffic, fields)))


def test_each_limit_is_told_with_what_was_measured(world):
    world.loads.answer = lambda at: (at - 1.9 if at > 2 else 0.1, "")
    assert judged(world, "{load: traffic, p50: at most 2s, max: between 1s and 3s}") == (
        "passed",
        "p50 of traffic is 1s, asked for at most 2s; max of traffic is 2s, asked for between 1s and 3s (20 requests)",
    )


def test_a_limit_that_is_not_kept_fails_the_step_and_says_by_how_much(world):
    world.loads.answer = lambda at: (0.3, "")
    assert judged(world, "{load: traffic, p50: at most 200ms, p95: at most 2s}") == (
        "failed",
        "p50 of traffic is 300ms, must be at most 200ms; p95 of traffic is 300ms, asked for at most 2s (20 requests)",
    )


def test_a_limit_may_be_a_multiple_of_calmer_days(world):
    world.loads.answer = lambda at: (0.1 if at < 2 else 0.6, "")
    assert judged(world, "{load: traffic, p95: at most 5 x calm}") == (
        "failed", "p95 of traffic is 600ms, must be at most 5 x calm (calm: 100ms) (20 requests)",
    )  # fmt: skip


def test_a_baseline_of_too_few_requests_is_no_verdict(world):
    assert judged(world, "{load: traffic, p95: at most 5 x calm}", calm=3) == (
        "broken", "too few requests of calm for a verdict: 3 of at least 20",
    )  # fmt: skip


def test_the_99th_percentile_takes_a_hundred_requests(world):
    assert judged(world, "{load: traffic, p99: at most 1s}", traffic=99) == (
        "broken", "too few requests of traffic for a verdict: 99 of at least 100",
    )  # fmt: skip


def test_failures_have_no_latency_and_no_success_at_all_fails(world):
    world.loads.answer = lambda at: (0.001, "connection refused")
    assert judged(world, "{load: traffic, p50: at most 1s}") == ("failed", "none of 20 requests of traffic succeeded")


def test_the_time_to_the_first_token_is_judged_where_completions_are_streamed(world):
    world.loads = PreparedLoads(world.clock, [2.0] * 20, first_tokens=[0.25] * 20)
    steps = """
    - send_requests: {target: frontend, count: 20, every: 1ms}
      id: traffic
    - assert_latency: {load: traffic, first_token_p95: at most 200ms}
    """
    assert last(carry_out(world, steps)) == (
        "failed", "first_token_p95 of traffic is 250ms, must be at most 200ms (20 requests)",
    )  # fmt: skip


def test_the_time_between_tokens_is_judged_where_completions_are_streamed(world):
    world.loads = PreparedLoads(world.clock, [2.0] * 20, first_tokens=[0.25] * 20, inter_token=0.04)
    assert judged(world, "{load: traffic, inter_token_p95: at most 30ms}") == (
        "failed", "inter_token_p95 of traffic is 40ms, must be at most 30ms (20 requests)",
    )  # fmt: skip
    assert judged(world, "{load: traffic, inter_token_p95: at most 50ms}")[0] == "passed"


def test_without_two_tokens_there_is_no_time_between_them_to_judge(world):
    world.loads = PreparedLoads(world.clock, [2.0] * 20, first_tokens=[0.25] * 20)
    assert judged(world, "{load: traffic, inter_token_p95: at most 200ms}") == (
        "broken", "there is no inter_token_p95 of traffic: no request has two tokens",
    )  # fmt: skip


def test_without_streaming_there_is_no_first_token_to_judge(world):
    assert judged(world, "{load: traffic, first_token_p95: at most 200ms}") == (
        "broken", "there is no first_token_p95 of traffic: no request has a first token",
    )  # fmt: skip


def test_there_must_be_a_limit():
    with pytest.raises(
        ValidationError, match="give at least one limit: p50, p95, p99, max, first_token_p95 or inter_token_p95"
    ):
        step_of("assert_latency", {"load": "traffic"})


def test_a_window_must_be_one_that_can_have_opened():
    step = step_of("assert_latency", {"load": "traffic", "p50": "at most 1s", "during": "nowhere"})
    assert step.check({}) == [
        "during: no fault before this step is called nowhere; write one of fault, baseline, recovery"
    ]
