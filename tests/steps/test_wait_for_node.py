"""Waiting for states of nodes: what counts, what is told when it does not come, and what proves nothing."""

from dataclasses import replace
from typing import get_args

import pytest
from pydantic import ValidationError

from scenario_runner.core.node_words import NODE_WORDS, NodeWord
from scenario_runner.core.plan import PlatformProfile
from scenario_runner.core.states import Condition
from scenario_runner.core.targets import NodesTarget, NodeTarget
from tests.steps.entry import step_of
from tests.steps.running import carry_out, last

FAULT = "- inject_xid: {target: victim, xid: 79}\n  id: lost\n"


@pytest.mark.parametrize(
    ("word", "seconds"),
    [
        ("unhealthy", 1), ("noticed", 1), ("cordoned", 2), ("quarantined", 2), ("drained", 4), ("remediated", 8),
        ("healthy", 10), ("uncordoned", 10),
    ],
)  # fmt: skip
def test_a_state_is_reached_the_moment_it_is_seen(world, word, seconds):
    report = carry_out(world, FAULT + f"- wait_for_node: {{target: victim, reached: {word}}}")
    assert last(report) == ("passed", f"gpu-1 {word} {seconds}s after the fault")
    assert report.outcomes[1].numbers == {"seconds_since_fault": float(seconds)}


def test_a_cordon_that_came_and_went_while_another_step_ran_is_not_missed(world):
    report = carry_out(world, FAULT + "- pause: 30s\n- wait_for_node: {target: victim, reached: cordoned}")
    assert last(report) == ("passed", "gpu-1 cordoned 2s after the fault")


def test_what_was_so_before_the_fault_is_not_reached_by_it(world):
    world.platform.blind = True
    world.time.after(1.0, lambda: world.cluster.change_node("gpu-1", unschedulable=True))
    steps = "- pause: 5s\n" + FAULT + "- wait_for_node: {target: victim, reached: cordoned}\n  timeout: 2m"
    assert last(carry_out(world, steps)) == (
        "failed",
        "no controller cordoned gpu-1 within 2m; condition SysLogsXIDError is absent; it is cordoned;"
        " is the health monitor running?",
    )


def test_a_wait_that_misses_names_what_was_expected_of_whom_and_what_is_known(world):
    world.platform.blind = True
    steps = FAULT + "- wait_for_node: {target: victim, reached: cordoned}\n  timeout: 2m"
    assert last(carry_out(world, steps)) == (
        "failed",
        "no controller cordoned gpu-1 within 2m; condition SysLogsXIDError is absent; is the health monitor running?",
    )


def test_where_the_condition_stands_the_quarantine_is_asked_after(world):
    world.platform.blind = True
    ill = {"SysLogsXIDError": Condition("True", "SysLogsXIDErrorIsNotHealthy", "ErrorCode:79 PCI:4001:10:00 x")}
    world.time.after(1.0, lambda: world.cluster.change_node("gpu-1", conditions=ill))
    steps = FAULT + "- wait_for_node: {target: victim, reached: cordoned}\n  timeout: 2m"
    assert last(carry_out(world, steps)) == (
        "failed",
        "no controller cordoned gpu-1 within 2m; condition SysLogsXIDError is True;"
        " is the quarantine controller running?",
    )


def test_a_platform_that_does_not_heal_is_told_with_the_state_in_which_it_stays(world):
    world.platform.heals = False
    steps = FAULT + "- wait_for_node: {target: victim, reached: uncordoned}\n  timeout: 10m"
    assert last(carry_out(world, steps)) == (
        "failed",
        "no controller uncordoned gpu-1 within 10m; condition SysLogsXIDError is True; its state is drain-succeeded;"
        " it is cordoned",
    )


def test_a_node_that_is_not_ready_is_said_to_be_so(world):
    down = {"Ready": Condition("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")}
    world.cluster.change_node("gpu-1", conditions=down)
    assert last(carry_out(world, "- wait_for_node: {target: node, now: ready}\n  timeout: 1m")) == (
        "failed",
        "gpu-1 did not become ready within 1m; condition SysLogsXIDError is absent;"
        " it is not ready: does its kubelet run?",
    )


def test_now_waits_for_a_state_that_holds_and_not_for_one_that_was(world):
    report = carry_out(world, FAULT + "- pause: 5s\n- wait_for_node: {target: victim, now: uncordoned}")
    assert last(report) == ("passed", "gpu-1: uncordoned")
    assert report.outcomes[2].seconds == 5.0


def test_history_may_begin_at_a_fault_that_is_named(world):
    steps = (
        FAULT
        + """
- wait_for_sentinel: {target: victim, reached: healed}
- inject_xid: {target: victim, xid: 94}
- wait_for_node: {target: victim, reached: cordoned, since: lost}
"""
    )
    assert last(carry_out(world, steps)) == ("passed", "gpu-1 cordoned 2s after the fault")


def test_a_named_fault_that_was_never_injected_is_our_mistake(world):
    steps = "- wait_for_node: {target: node, reached: cordoned, since: lost}"
    assert last(carry_out(world, steps)) == ("broken", "lost has injected no fault yet")


def test_all_of_several_nodes_must_get_there(world):
    targets = {"both": NodesTarget((NodeTarget("gpu-1", "uid-gpu-1"), NodeTarget("gpu-2", "uid-gpu-2")))}
    world.platform.blind = True
    steps = "- inject_xid: {target: both, xid: 79}\n- wait_for_node: {target: both, reached: cordoned}\n  timeout: 1m"
    world.time.after(1.0, lambda: world.cluster.change_node("gpu-2", unschedulable=True))
    assert last(carry_out(world, steps, targets=targets)) == (
        "failed",
        "no controller cordoned gpu-1 within 1m; condition SysLogsXIDError is absent; is the health monitor running?",
    )


def test_stays_holds_for_the_whole_time(world):
    steps = "- wait_for_node: {target: node, stays: ready, for: 30s}"
    report = carry_out(world, steps, control=True)
    assert last(report) == ("passed", "gpu-1 stayed ready for 30s")
    assert report.outcomes[0].seconds == 30.0


def test_stays_fails_the_moment_it_is_over(world):
    world.time.after(12.0, lambda: world.cluster.change_node("gpu-1", unschedulable=True))
    report = carry_out(world, "- wait_for_node: {target: node, stays: uncordoned, for: 30s}")
    assert last(report) == ("failed", "gpu-1 did not stay uncordoned: seen 12s after this step began")


def test_never_looks_back_to_the_fault(world):
    steps = FAULT + "- pause: 30s\n- wait_for_node: {target: victim, never: cordoned, for: 10s}"
    assert last(carry_out(world, steps)) == (
        "failed",
        "gpu-1 must never be cordoned, and was: seen 0s after this step began",
    )


def test_never_passes_when_the_time_is_over(world):
    steps = "- inject_xid: {target: victim, xid: 94}\n- wait_for_node: {target: victim, never: cordoned, for: 10m}"
    report = carry_out(world, steps)
    assert last(report) == ("passed", "gpu-1 was never cordoned, watched for 10m")
    assert report.outcomes[1].seconds == 600.0


def test_a_watch_that_lost_its_thread_proves_no_never(world):
    world.time.after(3.0, lambda: world.cluster.gap("nodes", "lost: connection refused"))
    steps = "- wait_for_node: {target: node, never: cordoned, for: 10s}"
    assert last(carry_out(world, steps, control=True)) == (
        "broken",
        "the watch of nodes lost its thread meanwhile (lost: connection refused): nothing is proved",
    )


def test_nothing_can_be_noticed_where_nothing_was_injected(world):
    assert last(carry_out(world, "- wait_for_node: {target: node, reached: noticed}")) == (
        "broken", "no fault was injected on gpu-1: there is nothing to notice",
    )  # fmt: skip


def test_an_event_that_names_the_fault_is_a_notice_as_well(world):
    steps = "- inject_xid: {target: victim, xid: 94}\n- wait_for_node: {target: victim, reached: noticed}"
    assert last(carry_out(world, steps)) == ("passed", "gpu-1 noticed 1s after the fault")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "give exactly one of reached, now, stays, never"),
        ({"reached": "cordoned", "now": "ready"}, "give exactly one of reached, now, stays, never"),
        ({"never": "cordoned"}, "stays and never need `for`, reached and now have none"),
        ({"reached": "cordoned", "for": "3s"}, "stays and never need `for`, reached and now have none"),
    ],
)
def test_one_question_is_asked(fields, sentence):
    with pytest.raises(ValidationError) as caught:
        step_of("wait_for_node", {"target": "victim", **fields})
    assert caught.value.errors()[0]["msg"] == f"Value error, {sentence}"


def test_without_a_timeout_the_platform_s_profile_says_how_long_to_wait():
    profile = replace(PlatformProfile(), cordoned=7.0, detected=3.0)
    assert step_of("wait_for_node", {"target": "x", "reached": "cordoned"}).patience(profile) == 7.0
    assert step_of("wait_for_node", {"target": "x", "reached": "noticed"}).patience(profile) == 3.0
    assert step_of("wait_for_node", {"target": "x", "never": "cordoned", "for": "5m"}).patience(profile) == 360.0


def test_each_word_has_a_meaning():
    assert set(get_args(NodeWord)) == set(NODE_WORDS)
