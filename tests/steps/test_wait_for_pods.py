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
    change(world, 3.0, "vllm-decode-1", restarts=1)
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


INJECT = "- inject_xid: {target: victim, xid: 94}\n"
NEVER = "- wait_for_pods: {target: worker, never: crashed, for: 20s}\n"


def test_never_looks_back_to_the_fault_and_names_who_crashed(world):
    change(world, 3.0, "vllm-decode-1", restarts=1)
    change(world, 5.0, "vllm-decode-1", ready=True)
    assert last(carry_out(world, INJECT + "- pause: 30s\n" + NEVER)) == (
        "failed", "no pod of worker may crash, and vllm-decode-1 on gpu-1 did: seen 0s after this step began",
    )  # fmt: skip


def test_never_fails_the_moment_a_pod_crashes(world):
    change(world, 12.0, "vllm-decode-2", ready=False, waiting="CrashLoopBackOff")
    assert last(carry_out(world, INJECT + NEVER)) == (
        "failed", "no pod of worker may crash, and vllm-decode-2 on gpu-2 did: seen 12s after this step began",
    )  # fmt: skip


def test_never_passes_when_the_time_is_over(world):
    change(world, 1.0, "vllm-decode-1", restarts=1)
    report = carry_out(world, "- pause: 2s\n" + INJECT + NEVER)
    assert last(report) == ("passed", "no pod of worker has crashed, watched for 20s")
    assert [one.seconds for one in report.outcomes if one.kind == "wait_for_pods"] == [20.0]


def test_without_a_fault_never_looks_back_to_the_start(world):
    change(world, 1.0, "vllm-decode-1", restarts=1)
    assert last(carry_out(world, "- pause: 2s\n" + NEVER, control=True))[0] == "failed"


def test_never_away_from_the_victim_leaves_the_victim_out_also_once_its_pod_is_gone(world):
    change(world, 3.0, "vllm-decode-1", restarts=1)
    delete(world, 4.0, "vllm-decode-1")
    elsewhere = INJECT + NEVER.replace(", for", ", away_from: victim, for")
    assert last(carry_out(world, elsewhere)) == (
        "passed", "no pod of worker away from victim has crashed, watched for 20s",
    )  # fmt: skip


def test_never_away_from_the_victim_fails_for_any_other_pod(world):
    change(world, 3.0, "vllm-decode-1", restarts=1)
    change(world, 3.0, "vllm-decode-3", restarts=1)
    assert last(carry_out(world, INJECT + NEVER.replace(", for", ", away_from: victim, for"))) == (
        "failed",
        "no pod of worker away from victim may crash, and vllm-decode-3 on gpu-3 did: seen 3s after this step began",
    )


@pytest.mark.parametrize(("since", "status"), [("", "passed"), ("first", "failed"), ("second", "passed")])
def test_crashes_count_since_the_newest_fault_or_the_one_that_is_named(world, since, status):
    change(world, 2.0, "vllm-decode-1", restarts=1)
    faults = [INJECT + "  id: first\n- pause: 5s", INJECT.replace("94", "43") + "  id: second"]
    judged = NEVER.replace(", for", f", since: {since}, for") if since else NEVER
    assert last(carry_out(world, "\n".join([*faults, judged])))[0] == status


def test_a_step_that_injected_nothing_is_no_since(world):
    steps = "- pause: 1s\n  id: nothing\n" + NEVER.replace(", for", ", since: nothing, for")
    assert last(carry_out(world, steps, control=True)) == ("broken", "nothing has injected no fault yet")


def test_a_pod_that_was_told_to_go_and_ends_with_an_error_has_not_crashed(world):
    change(world, 3.0, "vllm-decode-1", deleting=True)
    change(world, 4.0, "vllm-decode-1", deleting=True, phase="Failed", ready=False)
    delete(world, 5.0, "vllm-decode-1")
    assert last(carry_out(world, INJECT + NEVER))[0] == "passed"


def test_a_restart_that_is_seen_after_its_pod_was_told_to_go_is_a_crash(world):
    """A drain may be quicker than the kubelet that tells of the restart before it."""
    change(world, 3.0, "vllm-decode-1", deleting=True)
    change(world, 4.0, "vllm-decode-1", deleting=True, restarts=1)
    delete(world, 5.0, "vllm-decode-1")
    steps = INJECT + "- wait_for_pods: {target: worker, crashed: 1}"
    assert last(carry_out(world, steps))[0] == "passed"


def test_a_container_that_had_died_before_its_pod_was_told_to_go_is_a_crash(world):
    change(world, 3.0, "vllm-decode-1", deleting=True, ready=False, died=True)
    delete(world, 4.0, "vllm-decode-1")
    steps = INJECT + "- wait_for_pods: {target: worker, crashed: 1}"
    assert last(carry_out(world, steps))[0] == "passed"


def test_a_watch_that_lost_its_thread_proves_no_never(world):
    world.time.after(3.0, lambda: world.cluster.gap("pods", "lost: connection refused"))
    assert last(carry_out(world, INJECT + NEVER)) == (
        "broken",
        "the watch of pods in dynamo lost its thread meanwhile (lost: connection refused): nothing is proved",
    )


def test_gone_asks_after_the_pods_of_one_place(world):
    delete(world, 5.0, "vllm-decode-1")
    report = carry_out(world, "- wait_for_pods: {target: worker, gone: true, away_from: victim}", control=True)
    assert last(report) == ("passed", "none is left")
    assert report.outcomes[0].seconds == 5.0


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "give exactly one of ready, crashed, gone: true and never: crashed"),
        ({"ready": "all", "crashed": 1}, "give exactly one of ready, crashed, gone: true and never: crashed"),
        ({"gone": False}, "give exactly one of ready, crashed, gone: true and never: crashed"),
        ({"never": "crashed"}, "never needs `for`, everything else has none"),
        ({"ready": "all", "for": "5s"}, "never needs `for`, everything else has none"),
        ({"ready": "all", "since": "lost"}, "since is for crashed and never: what is ready or gone is so now"),
        ({"crashed": 1, "away_from": "victim"}, "crashed looks at every node: leave away_from out"),
    ],
)
def test_one_question_is_asked(fields, sentence):
    with pytest.raises(ValidationError) as caught:
        step_of("wait_for_pods", {"target": "worker", **fields})
    assert caught.value.errors()[0]["msg"] == f"Value error, {sentence}"


def test_a_demand_that_none_crashes_lasts_as_long_as_it_says():
    step = step_of("wait_for_pods", {"target": "worker", "never": "crashed", "for": "10m"})
    assert (step.longest(0.0), step.patience(PlatformProfile())) == (600.0, 660.0)


def test_a_drain_has_its_own_patience():
    profile = replace(PlatformProfile(), drained=7.0)
    assert step_of("wait_for_pods", {"target": "worker", "gone": True}).patience(profile) == 7.0
