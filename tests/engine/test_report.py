"""The report of a whole run: loads, faults, phases, undo, residue, and a report that survives JSON."""

from dataclasses import replace

import pytest

from scenario_runner.core.report import PhaseTime
from scenario_runner.core.states import PodState
from tests.engine.kinds import AssertRatio, Inject, Join, Pause, Retouch, Send, WaitFor
from tests.fakes import plan_of, planned


@pytest.fixture
def report(world):
    """XID 79 on gpu-1; its pod is lost at 13 s, its successor is ready at 18 s; requests fail for a while."""
    world.loads.answer = lambda at: (0.05, "HTTP 503" if 13 <= at < 14 else "")
    pod = world.cluster.pod_states["dynamo", "vllm-decode-1"]
    new = PodState("dynamo", "vllm-decode-new", "uid-new", "gpu-2", "Running", labels=pod.labels)
    world.time.at(12.5, lambda: world.cluster.put(replace(pod, restarts=1)))
    world.time.at(13.0, lambda: world.cluster.remove(pod))
    world.time.at(13.1, lambda: world.cluster.put(new))
    world.time.at(18.0, lambda: world.cluster.put(replace(new, ready=True)))
    return world.run(
        plan_of(
            planned(Send(), background=True), Pause(seconds=10), Inject(), Retouch(), WaitFor(), WaitFor(value="true"),
            Join(), AssertRatio(),
        )
    )  # fmt: skip


def test_it_passes_and_its_times_add_up(report):
    assert (report.verdict.exit_code, report.backend, report.seconds) == (0, "a fake", pytest.approx(20.5, abs=0.6))


def test_a_load_is_told_in_figures(report):
    load = report.loads[0]

    assert (load.step_id, load.requests, load.succeeded, load.failures) == ("send", 201, 191, {"HTTP 503": 10})
    assert (load.p50, load.p99, load.late_starts, load.broken) == (
        pytest.approx(0.05), pytest.approx(0.05), 0.0, "",
    )  # fmt: skip


def test_a_fault_is_told_with_its_proof_and_its_window(report):
    fault = report.faults[0]

    assert (fault.node, fault.gpu, fault.evidence, fault.start, fault.end, fault.end_reason) == (
        "gpu-1", "0 GPU-10", "noticed", 10.0, 20.0, "healed by the platform",
    )  # fmt: skip
    assert fault.record.text == "NVRM: Xid (PCI:4001:10:00): 79"


def test_the_phases_of_the_platform_have_their_seconds_and_budgets(report):
    state = "label/dgxc.nvidia.com/nvsentinel-state"
    assert report.phases == (
        PhaseTime("inject", "gpu-1", 0.0, None, "XID 79 acknowledged"),
        PhaseTime("noticed", "gpu-1", 1.0, 60.0, report.phases[1].detail),
        PhaseTime("crashed", "gpu-1", 2.5, None, "dynamo/vllm-decode-1"),
        PhaseTime("cordoned", "gpu-1", 2.0, 120.0, "schedulable false"),
        PhaseTime("drained", "gpu-1", 4.0, 300.0, f"{state} drain-succeeded"),
        PhaseTime("remediated", "gpu-1", 8.0, 600.0, f"{state} remediation-succeeded"),
        PhaseTime("rescheduled", "gpu-1", 8.0, None, "1 of 1 pods"),
        PhaseTime("uncordoned", "gpu-1", 10.0, 600.0, "schedulable true"),
    )
    assert "ErrorCode:79 PCI:4001:10:00" in report.phases[1].detail


def test_undo_and_residue_are_told(report):
    assert [(one.seq, one.subject, one.step_id, one.outcome) for one in report.undo] == [
        (1, "XID 79 on gpu-1", "inject", "kept"),
        (2, "edits of Deployment dynamo/vllm-decode", "retouch", "kept"),
    ]
    assert report.residue == ("gpu-1: record 1000 of the file kernel log",)
    assert report.notes == ()


def test_a_phase_that_never_came_has_no_seconds(world):
    world.platform.heals = False
    world.agent.on_recover = lambda record: None

    report = world.run(plan_of(Inject(), WaitFor(), Pause(), settle_timeout=1.0))

    assert {one.phase: one.seconds for one in report.phases} == {
        "inject": 0.0, "noticed": 1.0, "cordoned": 2.0, "drained": 4.0, "remediated": None, "uncordoned": None,
    }  # fmt: skip


def test_events_are_enough_to_rebuild_the_report(world):
    from scenario_runner.reporters import event_log

    report = world.run(plan_of(Inject(), WaitFor()))

    lines = [line for event in world.events if (line := event_log.line(event)) is not None]
    assert event_log.rebuild(event_log.read(lines), reason="killed") == report


def test_an_evicted_pod_is_no_crash(world):
    pod = world.cluster.pod_states["dynamo", "vllm-decode-1"]
    world.time.at(3.0, lambda: world.cluster.remove(pod))

    report = world.run(plan_of(Inject(), WaitFor(), Pause(), settle_timeout=1.0))

    assert "crashed" not in {one.phase for one in report.phases}


def test_a_load_tells_how_it_went_piece_by_piece(world):
    world.loads.answer = lambda at: (0.05, "HTTP 500" if 0.95 <= at < 1.45 else "")

    report = world.run(plan_of(planned(Pause(seconds=1)), planned(Send(duration=2.0)), control=True))

    (load,) = report.loads
    pieces = [(round(one.start, 3), round(one.end, 3), one.succeeded, one.requests) for one in load.pieces]
    assert pieces == [(1.0, 1.5, 0, 5), (1.5, 2.0, 5, 5), (2.0, 2.5, 5, 5), (2.5, 3.0, 5, 5)]
    assert sum(one.requests for one in load.pieces) == load.requests


def test_a_long_load_is_told_in_few_pieces_none_of_which_is_lost(world):
    report = world.run(plan_of(planned(Send(duration=3600.0, rate=0.5)), control=True))

    (load,) = report.loads
    assert (len(load.pieces), sum(one.requests for one in load.pieces)) == (120, 1800)
