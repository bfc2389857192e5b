"""Judging which processes ran into a CUDA fault."""

from dataclasses import replace

import pytest

from tests.steps.entry import step_of
from tests.steps.running import carry_out, last

ARM = "- arm_cuda: {target: victim, xid: 79}\n  id: lost\n"
WORDS = "hit: vllm (dynamo/vllm-decode-1): 3 calls, first cuLaunchKernel, 719"


def judge(world, fields):
    return last(carry_out(world, ARM + f"- assert_cuda_hits: {{of: lost, {fields}}}\n  timeout: 10s"))


def change_hits(world, change, after=0.0):
    """Let what was hit be another thing, a while after arming."""
    usual = world.agent.on_arm

    def armed(record):
        usual(record)
        (one,) = world.agent.hits[record.fault_id]
        changed = {record.fault_id: tuple(change(one))}
        if after:
            world.agent.hits[record.fault_id] = ()
            world.time.after(after, lambda: world.agent.hits.update(changed))
        else:
            world.agent.hits.update(changed)

    world.agent.on_arm = armed


def test_the_finding_names_each_process_and_its_first_call(world):
    assert judge(world, "processes: exactly 1, target: worker") == ("passed", WORDS)


def test_a_lower_limit_is_waited_for(world):
    change_hits(world, lambda one: [one], after=8.0)
    assert judge(world, "processes: at least 1") == ("passed", WORDS)


def test_what_never_comes_fails_and_says_what_was_hit(world):
    change_hits(world, lambda one: [replace(one, hits=1)])
    assert judge(world, "processes: at least 2") == (
        "failed",
        "processes hit by CUDA fault gpu-lost: at least 2: hit: vllm (dynamo/vllm-decode-1): 1 call, "
        "first cuLaunchKernel, 719",
    )


@pytest.mark.parametrize(
    "changes", [{"probe": True}, {"pod": ""}, {"hits": 0}], ids=["probe", "of nobody", "NVML only"]
)
def test_what_proves_nothing_does_not_count(world, changes):
    change_hits(world, lambda one: [replace(one, **changes)])
    assert judge(world, "processes: at least 1") == (
        "failed", "processes hit by CUDA fault gpu-lost: at least 1: hit: no process",
    )  # fmt: skip


def test_pods_of_other_workloads_do_not_count_for_a_workload(world):
    change_hits(world, lambda one: [one, replace(one, pod="dynamo/notebook")])
    assert judge(world, "processes: exactly 1, target: worker") == ("passed", WORDS)


def test_a_fault_that_hit_more_than_it_should_fails(world):
    change_hits(world, lambda one: [one, replace(one, pid=8, process="trainer")])
    status, words = judge(world, "processes: at most 1")
    assert (status, "trainer (dynamo/vllm-decode-1)" in words) == ("failed", True)


def test_what_was_hit_before_the_node_was_rebooted_counts_although_its_agent_is_away(world):
    usual = world.agent.on_arm

    def armed(record):
        usual(record)
        world.time.after(2.0, lambda: world.agent.unreachable.update({"gpu-1": "no route"}))

    world.agent.on_arm = armed
    text = ARM + "- pause: 3s\n- assert_cuda_hits: {of: lost, processes: exactly 1}\n  timeout: 10s"
    assert last(carry_out(world, text)) == ("passed", WORDS)


def test_what_was_hit_stays_known_when_the_records_are_gone(world):
    usual = world.agent.on_arm

    def armed(record):
        usual(record)
        world.time.after(2.0, lambda: world.agent.hits.update({record.fault_id: ()}))

    world.agent.on_arm = armed
    text = ARM + "- pause: 3s\n- assert_cuda_hits: {of: lost, processes: exactly 1}\n  timeout: 10s"
    report = carry_out(world, text)
    assert last(report) == ("passed", WORDS)
    assert [one.pod for one in report.faults[0].hits] == ["dynamo/vllm-decode-1"]


def test_a_patch_that_arms_nothing_has_nothing_to_judge():
    step = step_of("assert_cuda_hits", {"of": "library", "processes": "at least 1"})
    armed = step_of("patch_cuda", {"target": "worker", "armed": True, "victim": "victim", "xid": 79})
    assert step.check({"library": step_of("patch_cuda", "worker")}) == [
        "of: library arms nothing: name an arm_cuda, or give it armed: true"
    ]
    assert step.check({"library": armed}) == step.check({}) == []


@pytest.mark.parametrize(
    ("uuid", "verdict"), [("GPU-10", "passed"), ("GPU-11", "failed"), ("", "failed")], ids=["it", "another", "none"]
)
def test_only_processes_that_were_hit_on_a_certain_gpu_count_where_one_is_named(world, uuid, verdict):
    change_hits(world, lambda one: [replace(one, gpu=uuid)])
    assert judge(world, "processes: exactly 1, gpu: victim")[0] == verdict


def test_who_uses_cuda_without_the_library_is_named_where_hits_lack_and_in_the_report(world):
    world.agent.on_arm = lambda record: None
    world.agent.without_library = ("gpu-1: process 4711 (python3) of dynamo/other",)
    report = carry_out(world, ARM + "- assert_cuda_hits: {of: lost, processes: at least 1}\n  timeout: 10s")
    missed = "gpu-1: process 4711 (python3) of dynamo/other uses CUDA without the library: no fault reaches it"
    assert last(report) == ("failed", f"processes hit by CUDA fault gpu-lost: at least 1: hit: no process; {missed}")
    assert missed in report.notes


def test_processes_without_the_library_are_no_news_once_it_was_taken_out(world):
    world.time.after(12.0, lambda: setattr(world.agent, "without_library", ("gpu-1: process 1 (python3)",)))
    report = carry_out(
        world, ARM + "- assert_cuda_hits: {of: lost, processes: at least 1}\n- disarm_cuda: lost\n- pause: 20s"
    )
    assert report.notes == ()
