"""Waiting until the service serves again."""

from tests.steps.entry import step_of
from tests.steps.running import carry_out, last, outcome

DRILL = """
- send_requests: {target: frontend, rate: 10/s, request_timeout: 5s}
  id: traffic
  background: true
- pause: 5s
- inject_xid: {target: victim, xid: 79}
- wait_for_recovery: {load: traffic, ratio: at least 0.9, window: 2s%s}
  id: back
%s"""


def fail_between(start, end):
    return lambda at: (0.05, "connection refused" if start <= at < end else "")


def test_the_step_ends_when_a_full_window_satisfies(world):
    world.loads.answer = fail_between(5, 15.05)
    report = carry_out(world, DRILL % ("", ""))
    assert outcome(report, "back") == (
        "passed", "19 of 20 requests succeeded in 2s; 101 of 122 requests failed since the fault",
    )  # fmt: skip
    numbers = next(one.numbers for one in report.outcomes if one.step_id == "back")
    assert {key: round(value, 1) for key, value in numbers.items()} == {"seconds": 12.2, "seconds_since_fault": 12.2}


def test_a_service_that_never_left_its_old_band_shows_no_impact(world):
    assert outcome(carry_out(world, DRILL % ("", "")), "back") == (
        "passed", "20 of 20 requests succeeded in 2s; no impact observed",
    )  # fmt: skip


def test_an_impact_may_be_required(world):
    assert outcome(carry_out(world, DRILL % (", impact: required", "")), "back") == (
        "failed", "no impact observed: success of traffic never left what it was before the fault",
    )  # fmt: skip


def test_a_service_that_does_not_come_back_fails_in_time(world):
    world.loads.answer = fail_between(5, 1e9)
    assert outcome(carry_out(world, DRILL % ("", "  timeout: 30s")), "back") == (
        "failed", "traffic did not recover to at least 0.9 within 30s; 0 of 20 succeeded in the last window",
    )  # fmt: skip


def test_requests_that_hang_do_not_hold_up_the_judgement_of_later_windows(world):
    world.loads.answer = lambda at: (1000.0 if 5 <= at < 8 else 0.05, "")
    report = carry_out(world, DRILL % ("", ""))
    (back,) = [one for one in report.outcomes if one.step_id == "back"]
    assert str(back.status) == "passed"
    assert back.seconds < 5.5


def test_a_fault_that_nobody_noticed_has_nothing_to_recover_from(world):
    world.platform.blind = True
    assert outcome(carry_out(world, DRILL % ("", "  timeout: 30s")), "back") == (
        "broken", "XID 79 on gpu-1 was written and nobody noticed it: there is nothing to recover from",
    )  # fmt: skip


def test_a_fault_that_need_only_be_written_is_not_waited_for(world):
    world.platform.blind = True
    steps = (DRILL % ("", "  timeout: 30s")).replace("xid: 79", "xid: 79, expect: written")
    assert outcome(carry_out(world, steps), "back")[0] == "passed"


def test_windows_with_too_few_requests_are_no_verdict(world):
    steps = (DRILL % ("", "  timeout: 30s")).replace("rate: 10/s", "rate: 5/s")
    assert outcome(carry_out(world, steps), "back") == (
        "broken", "no window of 2s had enough requests of traffic: 10 of at least 20",
    )  # fmt: skip


def test_a_load_that_was_joined_shows_no_recovery(world):
    steps = """
    - send_requests: {target: frontend, rate: 10/s, for: 3s}
      id: traffic
    - wait_for_recovery: {load: traffic, ratio: at least 0.9, window: 2s}
    """
    assert last(carry_out(world, steps)) == (
        "broken", "load traffic has ended: nothing is sent that could show a recovery",
    )  # fmt: skip


def test_no_timeout_is_shorter_than_the_window():
    assert step_of("wait_for_recovery", {"load": "x", "ratio": "at least 1", "window": "1m"}).longest(3.0) == 60.0
