"""Letting CUDA work again by name, before the scenario ends."""

from tests.steps.entry import step_of
from tests.steps.running import carry_out, outcome

FAULT = "gpu-1~20260101-000000-drill-abcd.one"


def test_the_fault_is_over_when_the_step_ends_and_is_not_undone_twice(world):
    ended = []
    world.time.after(31.0, lambda: ended.extend(world.agent.active()))
    report = carry_out(
        world,
        """
        - arm_cuda: {target: victim, profile: hang}
          id: one
        - pause: 2s
        - disarm_cuda: one
          id: back
        - pause: 60s
        """,
    )
    assert outcome(report, "back") == ("passed", "CUDA fault hang on gpu-1 is disarmed")
    assert ended == []
    assert [call for call in world.agent.calls if call.startswith("recover")] == [f"recover {FAULT}"]


def test_its_window_ends_there_as_the_scenario_asked(world):
    report = carry_out(
        world,
        "- arm_cuda: {target: victim, profile: oom}\n  id: one\n- pause: 5s\n- disarm_cuda: one\n- pause: 5s",
    )
    (fault,) = report.faults
    assert (fault.start, fault.end, fault.end_reason) == (0.0, 5.0, "taken back")


def test_of_an_armed_patch_only_the_fault_is_taken_back(world):
    report = carry_out(
        world,
        """
        - patch_cuda: {target: worker, armed: true, victim: victim, xid: 79}
          id: library
        - disarm_cuda: library
          id: quiet
        - patch_cuda: worker
          id: still
        """,
    )
    assert outcome(report, "quiet") == ("passed", "CUDA fault gpu-lost on gpu-1 is disarmed")
    assert outcome(report, "still") == ("passed", "deployment/vllm-decode carries the library already")
    assert [one.outcome for one in report.undo] == ["kept", "kept", "kept"]


def test_a_patch_that_is_not_armed_has_nothing_to_disarm():
    step = step_of("disarm_cuda", "library")
    assert step.check({"library": step_of("patch_cuda", "worker")}) == [
        "of: library arms nothing: name an arm_cuda, or give it armed: true"
    ]
