"""Each way in which a drill could be green without having tested anything, and why it is not."""

import pytest

from scenario_runner.core.states import Condition, EventState
from tests.engine.kinds import AssertRatio, Claim, Hit, Inject, Join, Pause, Send, WaitFor
from tests.fakes import FakeWorld, plan_of, planned


def verdict(world: FakeWorld, *steps, **changes) -> tuple[str, int, str]:
    report = world.run(plan_of(*steps, **changes))
    return str(report.verdict.status), report.verdict.exit_code, report.verdict.reason


UNNOTICED = (
    "XID 79 on gpu-1 was written to the kernel log, and nobody was seen to notice it: "
    "no condition, event or state of the platform, no hit in the workload"
)


def test_a_fault_that_was_only_written_is_not_a_pass(world):
    world.platform.blind = True

    assert verdict(world, Inject(), Pause(), Claim()) == ("broken", 3, UNNOTICED)


def test_a_fault_that_was_only_written_is_a_pass_when_the_step_expects_no_more(world):
    world.platform.blind = True

    assert verdict(world, Inject(expect="written"), Pause(), Claim())[:2] == ("passed", 0)


def test_a_fault_skipped_by_when_is_not_a_pass(world):
    assert verdict(world, planned(Inject(), when=False), Claim()) == (
        "broken", 3, "step 01 inject was skipped (its `when` is false): the fault never happened",
    )  # fmt: skip


def test_a_skipped_fault_is_not_a_pass_beside_another_that_happened(world):
    assert verdict(world, Inject(), WaitFor(), planned(Inject(xid=48), "b", when=False), Claim()) == (
        "broken", 3, "step 03 inject was skipped (its `when` is false): the fault never happened",
    )  # fmt: skip


def test_an_assertion_skipped_by_when_is_not_a_pass(world):
    assert verdict(world, Inject(), WaitFor(), planned(Claim(), when=False)) == (
        "broken", 3, "step 03 claim was skipped (its `when` is false): nothing was asserted",
    )  # fmt: skip


def test_a_scenario_without_a_fault_is_not_a_pass(world):
    assert verdict(world, Pause(), Claim()) == (
        "broken", 3, "no fault was observed, and the scenario is not marked `control: true`",
    )  # fmt: skip


def test_a_control_without_a_fault_is_a_pass(world):
    assert verdict(world, Pause(), Claim(), control=True) == (
        "passed", 0, "2 steps passed; a control without a fault",
    )  # fmt: skip


def test_an_assertion_before_the_fault_is_not_a_pass(world):
    assert verdict(world, Claim(), Pause(), Inject(), WaitFor()) == (
        "broken", 3, "no assertion was judged after the fault",
    )  # fmt: skip


def test_a_run_in_which_nothing_passed_is_not_a_pass(world):
    assert verdict(world, planned(Pause(), when=False), control=True) == (
        "broken", 3, "nothing passed: no step was carried out",
    )  # fmt: skip


def test_a_run_without_any_step_is_not_a_pass(world):
    assert verdict(world, control=True) == ("broken", 3, "nothing passed: no step was carried out")


def test_continue_on_failure_does_not_hide_a_failure(world):
    failing = planned(Claim(says="failed"), "bad", continue_on_failure=True)

    report = world.run(plan_of(Inject(), WaitFor(), failing, Claim()))

    assert [str(one.status) for one in report.outcomes] == ["passed", "passed", "failed", "passed", "passed"]
    assert (report.verdict.exit_code, report.verdict.reason) == (1, "step 03 claim failed: it is not so")


def test_continue_on_failure_does_not_hide_what_is_broken(world):
    broken = planned(Claim(says="broken"), "bad", continue_on_failure=True)

    assert verdict(world, Inject(), WaitFor(), broken, Claim()) == (
        "broken", 3, "step 03 claim is broken: nobody knows",
    )  # fmt: skip


def test_too_few_requests_are_not_a_pass(world):
    few = planned(Send(rate=0.5), background=True)

    assert verdict(world, few, Inject(), WaitFor(), Join(), AssertRatio()) == (
        "broken", 3, "step 05 assert_ratio is broken: 2 of at least 5",
    )  # fmt: skip


def test_an_empty_window_is_not_a_pass(world):
    steps = (planned(Send(), background=True), Pause(), Join(), Inject(), WaitFor(), AssertRatio(during="fault"))

    assert verdict(world, *steps) == ("broken", 3, "step 06 assert_ratio is broken: 0 of at least 5")


def test_a_fault_that_expired_under_a_living_runner_is_not_a_pass(world):
    """The agent was told to let it die much earlier than the runner thought."""
    steps = (planned(Send(), background=True), Inject(xid=94, ttl=3.0), Pause(seconds=30), Join(), Claim())

    assert verdict(world, *steps) == (
        "broken", 3,
        "XID 94 on gpu-1 expired by itself 3.0s after its injection, which the scenario did not ask for",
    )  # fmt: skip


def test_an_assertion_under_a_fault_that_expired_is_broken_and_not_judged(world):
    steps = (
        planned(Send(), background=True), Inject(xid=94, ttl=3.0), Pause(seconds=4), Join(),
        AssertRatio(during="fault"),
    )  # fmt: skip

    assert verdict(world, *steps) == (
        "broken", 3,
        "step 05 assert_ratio is broken: the window of fault proves nothing: "
        "fault gpu-1~20260101-000000-drill-abcd-inject expired by itself 3.0s after its injection",
    )  # fmt: skip


def test_a_hit_from_an_exec_probe_proves_nothing(world):
    world.platform.blind = True

    assert verdict(world, Inject(), Hit(by="probe"), Claim()) == ("broken", 3, UNNOTICED)


def test_a_hit_in_a_process_of_the_workload_is_proof(world):
    world.platform.blind = True

    assert verdict(world, Inject(), Hit(by="hit"), Claim()) == (
        "passed", 0, "3 steps passed; XID 79 on gpu-1 was hit; everything was taken back",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("a condition that was there before", {"conditions": {"SysLogsXIDError": Condition("True", "", "old")}}),
        ("a cordon", {"unschedulable": True}),
        ("not being ready", {"conditions": {"Ready": Condition("False")}}),
        ("a pressure of the kubelet", {"conditions": {"MemoryPressure": Condition("True", "", "low")}}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_sign_of_the_platform_is_not_a_pass(world, what, change):
    world.platform.blind = True
    before = "before" in what
    if before:
        world.cluster.change_node("gpu-1", **change)
    else:
        world.time.at(2.0, lambda: world.cluster.change_node("gpu-1", **change))

    assert verdict(world, Inject(), Pause(), Claim(), settle_timeout=1.0)[2] == UNNOTICED


@pytest.mark.parametrize(
    "text",
    ["ErrorCode:48 PCI:4001:10:00 ...", "ErrorCode:79 PCI:4001:11:00 ...", "ErrorCode:79 PCI:4002:10:00 ..."],
    ids=["another-xid", "another-gpu", "another-domain"],
)
def test_a_sign_of_another_fault_is_not_a_pass(world, text):
    world.platform.blind = True
    ill = {"SysLogsXIDError": Condition("True", "SysLogsXIDErrorIsNotHealthy", text)}
    world.time.at(2.0, lambda: world.cluster.change_node("gpu-1", conditions=ill))
    event = EventState("default", "e", "uid-e", "Node", "gpu-1", "SysLogsXIDErrorIsNotHealthy", text)
    world.time.at(2.0, lambda: world.cluster.event(event))

    assert verdict(world, Inject(), Pause(), Claim(), settle_timeout=1.0)[2] == UNNOTICED


def test_of_two_faults_on_a_node_each_must_be_noticed_by_its_own_name(world):
    world.platform.fatal = {79}
    world.agent.on_inject = lambda record: world.platform.saw(record) if record.xid == 79 else None

    assert verdict(world, Inject(), planned(Inject(xid=48), "second"), Pause(), Claim()) == (
        "broken", 3, UNNOTICED.replace("79", "48"),
    )  # fmt: skip


def test_a_second_fault_on_an_ill_node_is_noticed_by_the_message_of_its_condition(world):
    report = world.run(plan_of(Inject(), Pause(seconds=3), planned(Inject(xid=48), "second"), Pause(), Claim()))

    assert [one.evidence for one in report.faults] == ["noticed", "noticed"]
