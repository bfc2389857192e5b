"""Waiting for pods of a workload."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from scenario_runner.core.plan import PlatformProfile
from tests.steps.entry import step_of
from tests.steps.running import carry_out, last


def change(world, seconds, pod, **changes):
    def do():
        world.cluster.put(replace(world.cluster.pod_states["dynamo", pod], **changes))

    world.time.after(seconds, do)


def delete(world, seconds, pod):
    world.time.after(seconds, lambda: world.cluster.remove(world.cluster.pod_states["dynamo", pod]))


def test_all_pods_are_ready_when_as_many_are_as_the_workload_wants(world):
    change(world, 0.0, "vllm-decode-2", ready=False)
    change(world, 7.0, "vllm-decode-2", ready=True)
    report = carry_out(world, "- pause: 1s\n- wait_for_pods: {target: worker, ready: all}", control=True)
    assert last(report) == (
        "passed", "3 of 3: vllm-decode-1 on gpu-1 ready, vllm-decode-2 on gpu-2 ready, vllm-decode-3 on gpu-3 ready",
    )  # fmt: skip
    assert report.outcomes[1].numbers == {"seconds": 6.0}


def test_away_from_the_victim_only_pods_elsewhere_count(world):
    delete(world, 3.0, "vllm-decode-1")
    pod = replace(
        world.cluster.pod_states["dynamo", "vllm-decode-1"], name="vllm-decode-4", uid="u4", node="gpu-2", ready=False
    )
    world.time.after(4.0, lambda: world.cluster.put(pod))
    change(world, 9.0, "vllm-decode-4", ready=True)
    report = carry_out(world, "- wait_for_pods: {target: worker, ready: all, away_from: victim}", control=True)
    assert last(report) == (
        "passed", "3 of 3: vllm-decode-2 on gpu-2 ready, vllm-decode-3 on gpu-3 ready, vllm-decode-4 on gpu-2 ready",
    )  # fmt: skip
    assert report.outcomes[0].seconds == 9.0


def test_a_miss_says_where_each_pod_is_and_how_it_is(world):
    change(world, 0.0, "vllm-decode-2", ready=False, waiting="CrashLoopBackOff")
    change(world, 0.0, "vllm-decode-3", ready=False, phase="Pending", node="")
    steps = "- pause: 1s\n- wait_for_pods: {target: worker, ready: all, away_from: victim}\n  timeout: 1m"
    assert last(carry_out(world, steps)) == (
        "failed",
        "pods of worker ready (all) away from victim: 0 of 3: vllm-decode-1 on gpu-1 ready,"
        " vllm-decode-2 on gpu-2 not ready (CrashLoopBackOff), vllm-decode-3 on no node not ready (Pending)"
        " (waited 1m)",
    )


def test_a_pod_that_is_being_deleted_does_not_count(world):
    change(world, 0.0, "vllm-decode-2", deleting=True)
    steps = "- pause: 1s\n- wait_for_pods: {target: worker, ready: 3}\n  timeout: 10s"
    assert last(carry_out(world, steps)) == (
        "failed",
        "pods of worker ready (3): 2 of 3: vllm-decode-1 on gpu-1 ready, vllm-decode-3 on gpu-3 ready (waited 10s)",
    )


def test_pods_of_another_workload_do_not_count(world):
    change(world, 0.0, "vllm-decode-3", labels={"app": "other"})
    steps = "- pause: 1s\n- wait_for_pods: {target: worker, ready: all}\n  timeout: 10s"
    assert last(carry_out(world, steps))[0] == "failed"


def test_a_restart_since_the_fault_is_a_crash_also_of_a_pod_that_is_gone(world):
    change(world, 3.0, "vllm-decode-1", restarts=1, exit_code=1)
    delete(world, 4.0, "vllm-decode-1")
    steps = "- inject_xid: {target: victim, xid: 79}\n- pause: 10s\n- wait_for_pods: {target: worker, crashed: 1}"
    assert last(carry_out(world, steps)) == (
        "passed", "1 of 1: vllm-decode-2 on gpu-2 ready, vllm-decode-3 on gpu-3 ready",
    )  # fmt: skip


def test_a_crash_before_the_fault_is_none_of_its_effects(world):
    change(world, 1.0, "vllm-decode-1", restarts=1)
    steps = """
    - pause: 2s
    - inject_xid: {target: victim, xid: 79}
    - wait_for_pods: {target: worker, crashed: 1}
      timeout: 5s
    """
    status, summary = last(carry_out(world, steps))
    assert (status, summary.partition(":")[0]) == ("failed", "pods of worker crashed (1)")


def test_gone_asks_after_the_pods_of_one_place(world):
    delete(world, 5.0, "vllm-decode-1")
    report = carry_out(world, "- wait_for_pods: {target: worker, gone: true, away_from: victim}", control=True)
    assert last(report) == ("passed", "none is left")
    assert report.outcomes[0].seconds == 5.0


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "give exactly one of ready, crashed and gone: true"),
        ({"ready": "all", "crashed": 1}, "give exactly one of ready, crashed and gone: true"),
        ({"gone": False}, "give exactly one of ready, crashed and gone: true"),
        ({"crashed": 1, "away_from": "victim"}, "crashed looks at every node: leave away_from out"),
    ],
)
def test_one_question_is_asked(fields, sentence):
    with pytest.raises(ValidationError) as caught:
        step_of("wait_for_pods", {"target": "worker", **fields})
    assert caught.value.errors()[0]["msg"] == f"Value error, {sentence}"


def test_a_drain_has_its_own_patience():
    profile = replace(PlatformProfile(), drained=7.0)
    assert step_of("wait_for_pods", {"target": "worker", "gone": True}).patience(profile) == 7.0
