"""Demanding a share of successes: which requests count, and when there is no verdict at all."""

import pytest

from scenario_runner.core.outcome import Role
from tests.steps.entry import entry, step_of
from tests.steps.prepared import PreparedLoads
from tests.steps.running import carry_out, last, outcome

DRILL = """
- send_requests: {target: frontend, rate: 10/s}
  id: traffic
  background: true
- pause: 5s
- inject_xid: {target: victim, xid: 79}
  id: lost
- wait_for_sentinel: {target: victim, reached: healed}
- pause: 5s
- join: traffic
"""


def fail_between(start, end, reason="connection refused"):
    return lambda at: (0.05, reason if start <= at < end else "")


def test_without_a_window_every_request_counts(world):
    world.loads.answer = fail_between(5, 7)
    assert last(carry_out(world, DRILL + "- assert_success: {load: traffic, ratio: at least 0.7}")) == (
        "passed", "181 of 201 requests of traffic (90.0 %) succeeded, asked for at least 0.7",
    )  # fmt: skip


def test_the_fault_window_holds_the_requests_due_between_injection_and_healing(world):
    world.loads.answer = fail_between(5, 9.95)
    assert last(carry_out(world, DRILL + "- assert_success: {load: traffic, during: fault, ratio: at least 0.7}")) == (
        "failed",
        "50 of 100 requests of traffic in window fault (50.0 %) succeeded, asked for at least 0.7;"
        " failures: connection refused 50",
    )


@pytest.mark.parametrize(
    ("during", "summary"),
    [
        ("lost", "50 of 100 requests of traffic in window lost (50.0 %) succeeded, asked for at least 0.5"),
        ("baseline", "50 of 50 requests of traffic in window baseline (100.0 %) succeeded, asked for at least 0.5"),
        (
            "recovery",
            "51 of 51 requests of traffic in window recovery (still open) (100.0 %) succeeded, asked for at least 0.5",
        ),
    ],
)  # fmt: skip
def test_each_window_has_its_own_requests(world, during, summary):
    world.loads.answer = fail_between(5, 9.95)
    steps = DRILL + f"- assert_success: {{load: traffic, during: {during}, ratio: at least 0.5}}"
    assert last(carry_out(world, steps)) == ("passed", summary)


def test_a_window_that_is_still_open_is_judged_up_to_now_and_says_so(world):
    world.platform.heals = False
    steps = DRILL.replace("- wait_for_sentinel: {target: victim, reached: healed}\n", "")
    assert last(carry_out(world, steps + "- assert_success: {load: traffic, during: fault, ratio: at least 0.5}")) == (
        "passed",
        "51 of 51 requests of traffic in window fault (still open) (100.0 %) succeeded, asked for at least 0.5",
    )  # fmt: skip


def test_the_verdict_waits_for_the_requests_of_the_window_that_are_still_in_flight(world):
    world.loads.answer = lambda at: (20.0 if at > 14 else 0.05, "")
    steps = (
        DRILL.replace("- join: traffic\n", "") + "- assert_success: {load: traffic, during: fault, ratio: at least 1}"
    )
    report = carry_out(world, steps)
    assert outcome(report, "assert_success") == (
        "passed", "100 of 100 requests of traffic in window fault (100.0 %) succeeded, asked for at least 1",
    )  # fmt: skip
    assert next(one.seconds for one in report.outcomes if one.kind == "assert_success") > 14


def test_too_few_requests_are_no_verdict(world):
    steps = """
    - send_requests: {target: frontend, count: 3, every: 1s}
      id: traffic
    - assert_success: {load: traffic, ratio: at least 0.1}
    """
    assert last(carry_out(world, steps)) == (
        "broken", "too few requests of traffic for a verdict: 3 of at least 20",
    )  # fmt: skip


def test_seven_of_ten_needs_ten_requests_and_says_so_itself(world):
    steps = """
    - send_requests: {target: frontend, count: %d, every: 1s}
      id: traffic
    - assert_success: {load: traffic, ratio: 7 of 10}
    """
    assert last(carry_out(world, steps % 9)) == (
        "broken",
        "too few requests of traffic for a verdict: 9 of at least 10",
    )


def test_the_number_of_requests_needed_can_be_lowered_by_name(world):
    steps = """
    - send_requests: {target: frontend, count: 3, every: 1s}
      id: traffic
    - assert_success: {load: traffic, ratio: at least 1, min_requests: 3}
    """
    assert last(carry_out(world, steps)) == (
        "passed", "3 of 3 requests of traffic (100.0 %) succeeded, asked for at least 1",
    )  # fmt: skip


def test_a_window_that_never_opened_is_no_verdict(world):
    steps = """
    - send_requests: {target: frontend, rate: 10/s, for: 5s}
      id: traffic
    - assert_success: {load: traffic, during: fault, ratio: at least 0.1}
    """
    assert last(carry_out(world, steps, control=True)) == (
        "broken", "window fault never opened: nothing can be judged in it",
    )  # fmt: skip


def test_a_load_that_never_started_is_no_verdict(world):
    assert last(carry_out(world, "- assert_success: {load: traffic, ratio: at least 0.1}")) == (
        "broken", "load traffic never started",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("late", "result"),
    [
        (10, ("passed", "1000 of 1000 requests of traffic (100.0 %) succeeded, asked for at least 0.1")),
        (
            11,
            (
                "broken",
                "11 of 1000 requests of traffic started late for want of our own CPU (more than 1 %):"
                " the load can not be trusted",
            ),
        ),
    ],
)  # fmt: skip
def test_a_load_that_started_more_than_one_per_cent_late_can_not_be_trusted(world, late, result):
    world.loads = PreparedLoads(world.clock, [0.1] * 1000, late)
    steps = """
    - send_requests: {target: frontend, rate: 10/s}
      id: traffic
      background: true
    - join: traffic
    - assert_success: {load: traffic, ratio: at least 0.1}
    """
    report = carry_out(world, steps)
    assert outcome(report, "assert_success" if late == 10 else "traffic") == result


def test_a_fault_that_expired_under_a_living_runner_spoils_its_window(world):
    expire = lambda: [  # noqa: E731
        world.agent.set_status(one, "expired", "its time to live was over") for one in world.agent.faults_by_id
    ]
    world.time.after(8.0, expire)
    world.platform.heals = False
    steps = DRILL.replace("- wait_for_sentinel: {target: victim, reached: healed}\n", "- pause: 60s\n")
    status, summary = last(
        carry_out(world, steps + "- assert_success: {load: traffic, during: fault, ratio: at least 0.1}")
    )
    assert status == "broken"
    assert summary.startswith("the window of fault proves nothing: fault gpu-1~20260101-000000-drill-abcd.lost expired")


def test_a_fault_that_was_to_last_a_while_is_judged_in_that_while(world):
    steps = """
    - send_requests: {target: frontend, rate: 10/s}
      id: traffic
      background: true
    - inject_xid: {target: victim, xid: 94, duration: 20s}
    - pause: 40s
    - join: traffic
    - assert_success: {load: traffic, during: fault, ratio: at least 1}
    """
    assert last(carry_out(world, steps)) == (
        "passed", "200 of 200 requests of traffic in window fault (100.0 %) succeeded, asked for at least 1",
    )  # fmt: skip


def test_a_window_must_be_one_that_can_have_opened():
    step = step_of("assert_success", {"load": "traffic", "ratio": "at least 0.7", "during": "lsot"})
    peers = {"lost": entry("inject_xid: {target: victim, xid: 79}").step, "other": entry("pause: 1s").step}
    assert step.check(peers) == [
        "during: no fault before this step is called lsot; write one of fault, baseline, recovery, lost"
    ]
    assert step_of("assert_success", {"load": "traffic", "ratio": "at least 0.7", "during": "lost"}).check(peers) == []
    assert step.role is Role.ASSERTION
