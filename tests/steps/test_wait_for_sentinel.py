"""Waiting for the states of the platform that heals nodes."""

from dataclasses import replace
from typing import get_args

import pytest
from pydantic import ValidationError

from scenario_runner.core.node_words import SENTINEL_WORDS, SentinelWord
from scenario_runner.core.plan import PlatformProfile
from tests.steps.entry import step_of
from tests.steps.running import carry_out, last

FAULT = "- inject_xid: {target: victim, xid: 79}\n"
STATE = "dgxc.nvidia.com/nvsentinel-state"


def states(world, *moments):
    """The platform shows these states at these seconds after the fault; None takes the label away."""
    world.platform.blind = True
    for moment, state in moments:
        world.time.after(moment, lambda state=state: world.cluster.change_node("gpu-1", labels={STATE: state}))


@pytest.mark.parametrize(
    ("word", "seconds"),
    [("quarantined", 2), ("draining", 4), ("drain-succeeded", 4), ("remediating", 8), ("healed", 10)],
)
def test_a_state_of_the_way_to_success_is_reached_with_it_or_a_later_one(world, word, seconds):
    report = carry_out(world, FAULT + f"- wait_for_sentinel: {{target: victim, reached: {word}}}")
    assert last(report) == ("passed", f"gpu-1 {word} {seconds}s after the fault")


def test_healed_means_that_the_label_was_there_and_is_gone(world):
    states(world)
    steps = FAULT + "- wait_for_sentinel: {target: victim, reached: healed}\n  timeout: 1m"
    assert last(carry_out(world, steps)) == (
        "failed",
        "gpu-1 was not healed within 1m; condition SysLogsXIDError is absent; is the health monitor running?",
    )


def test_a_failed_drain_ends_the_wait_for_its_success_at_once(world):
    states(world, (2.0, "quarantined"), (3.0, "draining"), (5.0, "drain-failed"))
    report = carry_out(world, FAULT + "- wait_for_sentinel: {target: victim, reached: remediating}\n  timeout: 10m")
    assert last(report) == ("failed", "gpu-1 did not get to the state remediating: its state is drain-failed")
    assert report.outcomes[1].seconds == 5.0


def test_a_failed_repair_may_still_be_healed(world):
    states(world, (2.0, "quarantined"), (3.0, "remediation-failed"), (9.0, None))
    steps = (
        FAULT
        + """
- wait_for_sentinel: {target: victim, reached: remediation-failed}
- wait_for_sentinel: {target: victim, reached: healed}
"""
    )
    assert last(carry_out(world, steps)) == ("passed", "gpu-1 healed 9s after the fault")


def test_a_failure_is_no_later_state_of_success(world):
    states(world, (2.0, "remediation-failed"))
    steps = FAULT + "- wait_for_sentinel: {target: victim, reached: remediation-succeeded}\n  timeout: 10m"
    assert last(carry_out(world, steps)) == (
        "failed", "gpu-1 did not get to the state remediation-succeeded: its state is remediation-failed",
    )  # fmt: skip


def test_a_failed_repair_has_passed_the_drain(world):
    states(world, (2.0, "remediation-failed"))
    steps = FAULT + "- wait_for_sentinel: {target: victim, reached: drain-succeeded}"
    assert last(carry_out(world, steps)) == ("passed", "gpu-1 drain-succeeded 2s after the fault")


def test_a_state_that_must_not_come_is_watched_for(world):
    steps = FAULT + "- wait_for_sentinel: {target: victim, never: remediation-failed, for: 30s}"
    assert last(carry_out(world, steps)) == ("passed", "gpu-1 was never remediation-failed, watched for 30s")


def test_a_state_that_must_not_come_fails_when_it_comes(world):
    steps = FAULT + "- wait_for_sentinel: {target: victim, never: quarantined, for: 30s}"
    assert last(carry_out(world, steps)) == (
        "failed", "gpu-1 must never be quarantined, and was: seen 2s after this step began",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "give exactly one of reached, never"),
        ({"never": "quarantined"}, "never needs `for`: how long it is watched"),
        (
            {"reached": "healed", "for": "3s"},
            "`for` belongs to never; reached is waited for until the timeout of the step",
        ),
    ],
)
def test_one_question_is_asked(fields, sentence):
    with pytest.raises(ValidationError) as caught:
        step_of("wait_for_sentinel", {"target": "victim", **fields})
    assert caught.value.errors()[0]["msg"] == f"Value error, {sentence}"


def test_without_a_timeout_the_platform_s_profile_says_how_long_to_wait():
    profile = replace(PlatformProfile(), drained=5.0, remediated=7.0)
    assert step_of("wait_for_sentinel", {"target": "x", "reached": "drain-succeeded"}).patience(profile) == 5.0
    assert step_of("wait_for_sentinel", {"target": "x", "reached": "healed"}).patience(profile) == 7.0


def test_each_word_has_a_meaning():
    assert set(get_args(SentinelWord)) == set(SENTINEL_WORDS)
