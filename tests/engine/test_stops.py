"""Everything that ends a run early, and what is still done then."""

import pytest

from scenario_runner.core.clock import StopKind, StopReason
from scenario_runner.core.outcome import Phase
from scenario_runner.core.plan import AbortRule
from tests.engine.kinds import Claim, Inject, Pause, Send, WaitFor
from tests.fakes import plan_of, planned

RULE = (AbortRule(load="send", below=0.5, window=10.0),)


def failing_from(moment):
    return lambda at: (0.05, "HTTP 500" if at >= moment else "")


def test_abort_when_stops_the_run_as_failed_once_its_window_is_bad(world):
    world.loads.answer = failing_from(20.0)
    plan = plan_of(planned(Send(), background=True), Inject(), Pause(seconds=300), Claim(), abort_when=RULE)

    report = world.run(plan)

    reason = "abort_when: 47 of 99 requests of send succeeded in 10s, below 0.5"
    assert (report.verdict.exit_code, report.verdict.reason) == (1, reason)
    assert (str(report.outcomes[1].status), report.outcomes[1].summary) == ("interrupted", reason)
    assert 25.0 <= report.outcomes[1].seconds <= 25.5
    assert world.agent.active() == []


def test_abort_when_is_not_judged_before_its_window_is_full(world):
    world.loads.answer = lambda at: (0.05, "HTTP 500" if at < 9.0 else "")
    rule = (AbortRule(load="send", below=0.05, window=10.0),)
    plan = plan_of(planned(Send(), background=True), Pause(seconds=30), abort_when=rule, control=True)

    assert world.run(plan).verdict.exit_code == 0


def test_abort_when_is_not_judged_before_its_load_begins_nor_after_it_was_joined(world):
    from tests.engine.kinds import Join

    world.loads.answer = failing_from(12.0)
    steps = (Pause(seconds=1), planned(Send(), background=True), Pause(seconds=10), Join(), Pause(seconds=60))
    plan = plan_of(*(planned(one, f"s{n}") if isinstance(one, Pause) else one for n, one in enumerate(steps)),
                   abort_when=RULE, control=True)  # fmt: skip

    assert world.run(plan).verdict.exit_code == 0


def test_a_scenario_that_takes_too_long_fails(world):
    report = world.run(plan_of(Inject(), Pause(seconds=100), deadline=30.0))

    assert (report.verdict.exit_code, report.verdict.reason) == (1, "the scenario did not end within its 30s")
    assert world.agent.active() == []


def test_the_first_reason_to_stop_wins(world):
    world.time.at(2.0, lambda: world.stop.trip(StopReason(StopKind.SIGNAL, "interrupted by SIGINT")))

    report = world.run(plan_of(Pause(seconds=100), deadline=2.5))

    assert report.verdict.exit_code == 130


@pytest.mark.parametrize("moment", [0.1, 1.5, 3.0, 9.9, 11.0])
def test_a_run_that_is_stopped_at_any_moment_takes_everything_back(world, moment):
    before = world.snapshot()
    world.time.at(moment, lambda: world.stop.trip(StopReason(StopKind.SIGNAL, "interrupted by SIGINT")))
    group = {"scope": ("g",)}
    plan = plan_of(
        planned(Send(), background=True), planned(Inject(), **group), planned(WaitFor(), **group),
        planned(Pause(), **group), planned(Inject(), "again"), Pause(seconds=3), Claim(),
        planned(Pause(seconds=1), "always", phase=Phase.ALWAYS), planned(Pause(), "after", phase=Phase.AFTER),
    )  # fmt: skip

    report = world.run(plan)

    assert (report.verdict.exit_code, report.verdict.reason) == (130, "interrupted by SIGINT")
    assert world.snapshot() == before
    always, after = (next(one for one in report.outcomes if one.step_id == name) for name in ("always", "after"))
    assert (str(always.status), str(after.status)) == ("passed", "skipped")


def test_always_steps_have_a_grace_after_a_stop_and_no_more(world):
    world.time.at(2.0, lambda: world.stop.trip(StopReason(StopKind.SIGNAL, "interrupted by SIGINT")))
    always = [planned(Pause(seconds=40), f"a{n}", phase=Phase.ALWAYS) for n in range(3)]

    report = world.run(plan_of(Pause(), *always))

    assert [(str(one.status), one.seconds) for one in report.outcomes[1:]] == [
        ("passed", 40.0), ("interrupted", 20.0), ("interrupted", 0.0),
    ]  # fmt: skip


def test_always_steps_take_their_time_when_nobody_is_in_a_hurry(world):
    report = world.run(plan_of(Pause(), planned(Pause(seconds=400), "a", phase=Phase.ALWAYS), control=True))

    assert (report.outcomes[1].seconds, report.verdict.exit_code) == (400.0, 0)


def test_after_an_abort_the_steps_of_after_still_look(world):
    plan = plan_of(Inject(), Pause(seconds=100), planned(Pause(), "after", phase=Phase.AFTER), deadline=30.0)

    report = world.run(plan)

    assert [str(one.status) for one in report.outcomes if one.step_id == "after"] == ["passed"]


def test_consequences_of_the_platform_are_waited_for_and_reported_but_are_no_leftovers(world):
    world.platform.heals = False
    world.agent.on_recover = lambda record: None

    report = world.run(plan_of(Inject(), WaitFor(), Pause(), Claim(), settle_timeout=30.0))

    assert report.notes == (
        "node gpu-1 still has the condition SysLogsXIDError, a cordon, the state drain-succeeded 30s after the undo",
    )
    assert report.verdict.exit_code == 0


def test_consequences_that_end_are_waited_for(world):
    world.platform.heals = False
    world.agent.on_recover = lambda record: world.time.after(45.0, lambda: world.platform.heal("gpu-1"))

    report = world.run(plan_of(Inject(), WaitFor(), Pause(), Claim(), planned(Claim(), "after", phase=Phase.AFTER)))

    assert report.notes == ()
    assert report.outcomes[-1].offset == pytest.approx(52.0, abs=1.5)


def test_a_workload_that_lost_a_pod_is_a_consequence(world):
    pod = world.cluster.pod_states["dynamo", "vllm-decode-1"]
    world.time.at(3.0, lambda: world.cluster.remove(pod))

    report = world.run(plan_of(Inject(), WaitFor(), Pause(), Claim(), settle_timeout=20.0))

    assert report.notes == ("worker has still only 2 of 3 pods ready 20s after the undo",)


def test_a_run_without_a_fault_waits_for_nobody(world):
    world.cluster.remove(world.cluster.pod_states["dynamo", "vllm-decode-1"])

    assert world.run(plan_of(Pause(), control=True)).seconds == 5.0


def test_a_stop_while_the_steps_of_after_run_interrupts_them(world):
    world.time.at(7.0, lambda: world.stop.trip(StopReason(StopKind.SIGNAL, "interrupted by SIGINT")))

    report = world.run(plan_of(Pause(), planned(Pause(), "after", phase=Phase.AFTER), control=True))

    assert [(str(one.status), one.seconds) for one in report.outcomes] == [("passed", 5.0), ("interrupted", 2.0)]
    assert report.verdict.exit_code == 130
