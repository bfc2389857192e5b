"""Faults that end by themselves: asked for, not asked for, and what is judged under them."""

import pytest

from tests.engine.kinds import AssertRatio, Claim, Inject, Join, Pause, Send, WaitFor
from tests.fakes import plan_of, planned

FAULT = "gpu-1~20260101-000000-drill-abcd-inject"


def story(report):
    return [(str(one.status), one.summary) for one in report.outcomes]


def test_a_fault_of_a_living_run_is_renewed_every_quarter_of_its_time_to_live(world):
    report = world.run(plan_of(Inject(xid=94), Pause(seconds=200), Claim()))

    assert report.verdict.exit_code == 0
    assert world.agent.calls.count(f"renew {FAULT}") == 14
    assert report.faults[0].end_reason == "taken back"


def test_a_process_that_was_suspended_beyond_the_time_to_live_finds_its_fault_expired(world):
    """SIGSTOP, or a laptop lid: the agent let the fault expire at its own time, and the window ends there."""
    world.time.at(20.0, lambda: world.time.freeze(300.0))
    plan = plan_of(
        planned(Send(), background=True), Inject(xid=94), Pause(seconds=20), Join(), AssertRatio(during="fault")
    )

    report = world.run(plan)

    assert story(report)[-2:] == [
        (
            "broken",
            f"the window of fault proves nothing: fault {FAULT} expired by itself 75.0s after its injection",
        ),
        ("passed", "XID 94 on gpu-1 had expired by itself"),
    ]
    assert (report.faults[0].start, report.faults[0].end) == (0.0, 75.0)
    assert report.verdict.exit_code == 3


def test_a_fault_that_was_given_a_duration_may_expire_and_is_judged(world):
    plan = plan_of(
        planned(Send(), background=True), Inject(xid=94, duration=30.0), Pause(seconds=50), Join(),
        AssertRatio(during="fault"), planned(AssertRatio(during="inject"), "by-id"),
        planned(AssertRatio(during="recovery"), "later"),
    )  # fmt: skip

    report = world.run(plan)

    assert [one.summary for one in report.outcomes if one.kind == "assert_ratio"] == [
        "300 of 300 requests succeeded", "300 of 300 requests succeeded", "201 of 201 requests succeeded",
    ]  # fmt: skip
    assert (report.faults[0].end, report.faults[0].end_reason) == (30.0, "expired as asked")
    assert report.verdict.exit_code == 0


def test_a_fault_that_expires_long_before_its_duration_is_not_what_was_asked_for(world):
    world.agent.on_inject = lambda record: _platform_and_early_end(world, record)

    report = world.run(plan_of(Inject(xid=94, duration=100.0), Pause(seconds=50), Claim()))

    assert report.verdict.reason == (
        "XID 94 on gpu-1 expired by itself 10.0s after its injection, which the scenario did not ask for"
    )


def _platform_and_early_end(world, record):
    world.platform.saw(record)
    world.agent.faults_by_id[record.fault_id]["dies"] = 10.0


def test_a_reboot_that_the_platform_ordered_ends_the_fault_as_it_should(world):
    world.time.at(9.0, lambda: world.agent.set_status(FAULT, "rebooted", "another boot id"))

    report = world.run(plan_of(Inject(), WaitFor(), Pause(seconds=30), Claim()))

    assert (report.faults[0].end, report.faults[0].end_reason) == (9.0, "ended with a reboot of its node")
    assert (report.undo[0].outcome, report.verdict.exit_code) == ("kept", 0)


def test_a_reboot_that_nobody_ordered_spoils_the_drill(world):
    world.platform.blind = True
    world.time.at(9.0, lambda: world.agent.set_status(FAULT, "rebooted", "another boot id"))

    report = world.run(plan_of(Inject(expect="written"), Pause(seconds=30), Claim()))

    assert report.verdict.reason == (
        "XID 79 on gpu-1 ended with a reboot of its node, which the scenario did not ask for"
    )


@pytest.mark.parametrize("status", ["failed", "blocked"])
def test_any_other_end_spoils_the_drill(world, status):
    world.time.at(9.0, lambda: world.agent.set_status(FAULT, status, "who knows"))

    report = world.run(plan_of(Inject(xid=94), Pause(seconds=30), Claim(), undo_budget=1.0))

    assert report.faults[0].end_reason == f"is {status}: who knows"
    assert report.verdict.exit_code != 0


def test_an_agent_that_cannot_be_reached_for_a_renewal_is_a_gap_and_no_verdict(world):
    world.time.at(10.0, lambda: world.agent.unreachable.update({"gpu-1": "rebooting"}))
    world.time.at(40.0, world.agent.unreachable.clear)

    report = world.run(plan_of(Inject(xid=94), Pause(seconds=60), Claim()))

    assert report.notes == (f"fault {FAULT}: the agent of gpu-1 is not reachable: rebooting",) * 2
    assert report.verdict.exit_code == 0


def test_a_hung_run_keeps_no_fault_alive(world):
    """No renewal once the plan's worst case and the undo budget are over."""
    plan = plan_of(Inject(xid=94), Pause(seconds=1000), worst_case=100.0, undo_budget=50.0)

    world.run(plan)

    assert world.agent.calls.count(f"renew {FAULT}") == 10
