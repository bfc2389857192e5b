"""What happens in a run, from the first step to the report."""

from dataclasses import replace

import pytest

from scenario_runner.core.clock import StopKind, StopReason
from scenario_runner.core.events import RunEnded, RunStarted, StepEnded, StepStarted
from scenario_runner.core.outcome import Phase, Role
from scenario_runner.core.plan import Retry
from tests.engine.kinds import AssertRatio, Claim, Flaky, Inject, Join, Pause, Retouch, Send, TakeBack, WaitFor
from tests.fakes import plan_of, planned


def story(report):
    return [(one.number, one.kind, str(one.status), one.summary) for one in report.outcomes]


def drill():
    return plan_of(
        planned(Send(), background=True),
        Pause(seconds=10),
        Inject(),
        WaitFor(),
        WaitFor(fact="schedulable", value="true"),
        Pause(seconds=10),
        Join(),
        AssertRatio(),
    )


def test_a_drill_runs_from_the_load_to_the_undo_and_passes(world):
    before = world.snapshot()

    report = world.run(drill())

    assert story(report) == [
        ("02", "pause", "passed", "10s"),
        ("03", "inject", "passed", "XID 79 on gpu-1"),
        ("04", "wait_for", "passed", "false"),
        ("05", "wait_for", "passed", "true"),
        ("06", "pause", "passed", "10s"),
        ("07", "join", "passed", "joined"),
        ("01", "send", "passed", "301 of 301"),
        ("08", "assert_ratio", "passed", "301 of 301 requests succeeded"),
        ("undo 01", "recover_fault", "passed", "XID 79 on gpu-1 is recovered"),
    ]
    assert (report.verdict.status, report.verdict.exit_code) == ("passed", 0)
    assert report.verdict.reason == "8 steps passed; XID 79 on gpu-1 was noticed; everything was taken back"
    assert world.snapshot() == before
    assert world.journal.outstanding == ()
