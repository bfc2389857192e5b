"""Ending loads that run in the background."""

from tests.steps.running import carry_out, last, outcome

TRAFFIC = """
- send_requests: {target: frontend, rate: 10/s%s}
  id: traffic
  background: true
"""


def test_an_open_ended_load_is_stopped_and_its_requests_in_flight_are_waited_for(world):
    world.loads.answer = lambda at: (2.0, "")
    report = carry_out(world, TRAFFIC % "" + "- pause: 5s\n- join: traffic")
    assert outcome(report, "join") == ("passed", "51 requests ended, 51 succeeded")


def test_a_bounded_load_is_waited_for_even_beyond_the_timeout_of_the_step(world):
    report = carry_out(world, TRAFFIC % ", for: 100s" + "- join: traffic\n  timeout: 10s")
    assert outcome(report, "join") == ("passed", "1000 requests ended, 1000 succeeded")


def test_requests_that_hang_count_as_failures_when_their_own_timeout_is_over(world):
    world.loads.answer = lambda at: (1000.0, "")
    report = carry_out(world, TRAFFIC % ", request_timeout: 3s" + "- pause: 1s\n- join: traffic")
    assert outcome(report, "join") == ("passed", "11 requests ended, 0 succeeded; failures: timeout 11")


def test_a_join_of_what_never_started_is_our_mistake(world):
    assert last(carry_out(world, "- join: traffic")) == ("broken", "load traffic never started")


def test_a_load_that_breaks_is_broken_and_cuts_its_join_short(world):
    world.time.after(3.0, lambda: setattr(world.loads.runs[0], "broken", "3 of 10 requests started late"))
    report = carry_out(world, TRAFFIC % ", for: 10s" + "- join: traffic")
    assert outcome(report, "join") == (
        "interrupted", "cut short because load traffic broke: 3 of 10 requests started late",
    )  # fmt: skip
    assert outcome(report, "traffic") == ("broken", "3 of 10 requests started late")
    assert report.verdict.exit_code == 3
