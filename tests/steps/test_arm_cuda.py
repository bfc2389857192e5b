"""Arming CUDA faults: what is promised, ordered, proved and refused."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from scenario_runner.core.cuda import ProcessHits
from scenario_runner.core.targets import NodesTarget, NodeTarget
from tests.fake_world import TARGETS
from tests.steps.entry import entries, step_of
from tests.steps.running import carry_out, last

RUN = "20260101-000000-drill-abcd"
ARM = "- arm_cuda: {target: victim, xid: 79}\n  id: lost\n"
JUDGED = """
- send_requests: {target: frontend, count: 20, every: 10ms}
  id: load
- assert_success: {load: load, ratio: at least 0.9}
"""
NODES = {"all": NodesTarget((NodeTarget("gpu-1", "uid-gpu-1"), NodeTarget("gpu-2", "uid-gpu-2")))}


def hit(**changes):
    usual = ProcessHits(
        "gpu-1", 7, "vllm", "dynamo/vllm-decode-1", "worker", False, "GPU-10", 3, 719, "cuLaunchKernel",
        "2026-01-01T00:00:01.000Z",
    )  # fmt: skip
    return replace(usual, **changes)


def felt(world, *hits):
    """Let the processes run into whatever is armed."""
    world.agent.on_arm = lambda record: world.agent.hits.update({record.fault_id: hits})


def test_the_finding_names_the_profile_and_the_gpu(world):
    felt(world, hit())
    assert last(carry_out(world, ARM)) == ("passed", "CUDA fault gpu-lost is armed for GPU 0 of gpu-1")
    assert [call for call in world.agent.calls if call.startswith("arm")] == [f"arm gpu-1~{RUN}.lost 79"]


def test_a_profile_may_be_named_and_the_order_carries_what_overrides_it(world):
    seen = []
    arm = world.agent.arm
    world.agent.arm = lambda order: seen.append(order) or arm(order)
    carry_out(world, "- arm_cuda: {target: victim, profile: slow, delay: 20ms, running_only: true, duration: 5s}")
    (order,) = seen
    assert (order.profile, order.xid, order.gpu, order.run) == ("slow", 0, "GPU-10", RUN)
    assert order.override == {"delay": 0.02, "running_only": True}
    assert (order.duration, order.ttl, order.max_lifetime) == (5.0, 60.0, 3720.0)


RULES = """
- arm_cuda:
    target: victim
    rules:
    - {calls: [launch, sync], mode: delay, delay: 20ms, process: vllm}
    - {calls: [alloc], mode: oom, min_bytes: 1024, probability: 0.5}
    - {calls: [copy], mode: sticky, code: launch-failed, scope: process, not_before: 2s, max_hits: 3}
  id: mine
"""


def test_rules_of_its_own_are_ordered_in_the_words_of_the_agent(world):
    seen = []
    arm = world.agent.arm
    world.agent.arm = lambda order: seen.append(order) or arm(order)
    carry_out(world, RULES)
    (order,) = seen
    assert (order.profile, order.xid, order.override) == ("", 0, {})
    assert order.rules == (
        {"classes": ["launch", "sync"], "mode": "delay", "delay": 0.02, "process": "vllm"},
        {"classes": ["alloc"], "mode": "oom", "min_bytes": 1024, "probability": 0.5, "code": 2},
        {
            "classes": ["copy"], "mode": "sticky", "code": 719, "scope": "process", "not_before": 2.0, "max_hits": 3,
        },
    )  # fmt: skip


def test_plan_promise_and_report_say_what_rules_of_its_own_do(world):
    felt(world, hit())
    words = "CUDA fault own rules (launch, sync: delay; alloc: oom; copy: sticky)"
    (planned,) = entries(RULES)
    assert planned.step.changes(TARGETS) == [f"gpu-1: {words} for processes that use GPU 0"]
    report = carry_out(world, RULES)
    assert last(report) == ("passed", f"{words} is armed for GPU 0 of gpu-1")
    assert [(one.subject, one.detail) for one in report.undo] == [
        (f"{words} on gpu-1", f"{words} on gpu-1 is disarmed")
    ]
    (fault,) = report.faults
    assert (f"CUDA fault {fault.cuda}", fault.evidence) == (words, "hit")


@pytest.mark.parametrize("code", [700, "illegal-address", "CUDA_ERROR_ILLEGAL_ADDRESS"])
def test_another_error_may_be_answered_by_its_number_or_its_name(world, code):
    seen = []
    arm = world.agent.arm
    world.agent.arm = lambda order: seen.append(order) or arm(order)
    carry_out(world, f"- arm_cuda: {{target: victim, xid: 79, code: {code}, not_before: 2s, min_bytes: 1024}}")
    assert [order.override for order in seen] == [{"not_before": 2.0, "min_bytes": 1024, "code": 700}]


def test_each_of_several_nodes_gets_one_fault(world):
    report = carry_out(world, "- arm_cuda: {target: all, profile: oom, gpu: 1}", targets=NODES)
    assert last(report)[1] == "CUDA fault oom is armed for GPU 1 of gpu-1; CUDA fault oom is armed for GPU 1 of gpu-2"
    assert [(one.subject, one.outcome, one.detail) for one in report.undo] == [
        ("CUDA fault oom on gpu-1", "kept", "CUDA fault oom on gpu-1 is disarmed"),
        ("CUDA fault oom on gpu-2", "kept", "CUDA fault oom on gpu-2 is disarmed"),
    ]


def test_a_fault_that_a_process_of_a_pod_ran_into_is_proved_and_stands_in_the_report(world):
    felt(world, hit())
    report = carry_out(world, ARM + "- pause: 2s\n- assert_cuda_hits: {of: lost, processes: at least 1}")
    assert (report.verdict.status, report.verdict.reason) == (
        "passed",
        "3 steps passed; CUDA fault gpu-lost on gpu-1 was hit; everything was taken back",
    )
    (fault,) = report.faults
    assert (fault.cuda, fault.evidence, fault.hits) == ("gpu-lost", "hit", (hit(),))
    assert fault.ordered == "2026-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    "hits",
    [
        pytest.param((), id="nothing"),
        pytest.param((hit(probe=True),), id="an exec probe"),
        pytest.param((hit(hits=0),), id="a process that asked NVML only"),
        pytest.param((hit(pod=""),), id="a process of nobody"),
    ],
)
def test_a_fault_that_no_process_of_a_pod_ran_into_breaks_the_run(world, hits):
    felt(world, *hits)
    report = carry_out(world, ARM + "- send_requests: {target: frontend, count: 20, every: 10ms, ratio: at least 0.1}")
    assert (report.verdict.status, report.verdict.exit_code) == ("broken", 3)
    assert report.verdict.reason == (
        "CUDA fault gpu-lost on gpu-1 was armed, and no process of a pod ran into it: "
        "do its pods carry the library, and use that GPU?"
    )


def test_what_the_platform_does_about_an_xid_of_that_gpu_proves_no_cuda_fault(world):
    felt(world)
    report = carry_out(
        world,
        "- inject_xid: {target: victim, xid: 79}\n" + ARM + "- wait_for_node: {target: victim, reached: cordoned}",
    )
    assert [(one.cuda, one.evidence) for one in report.faults] == [("", "noticed"), ("gpu-lost", "written")]


def test_armed_alone_is_proof_enough_where_that_is_asked_for(world):
    felt(world)
    report = carry_out(world, "- arm_cuda: {target: victim, profile: oom, expect: armed}\n- pause: 2s\n" + JUDGED)
    assert report.verdict.reason == ("4 steps passed; CUDA fault oom on gpu-1 was armed; everything was taken back")


def test_a_fault_that_stays_is_renewed_and_what_dies_under_the_run_breaks_it(world):
    felt(world, hit())
    world.time.after(
        20.0, lambda: world.agent.set_status(f"gpu-1~{RUN}.lost", "failed", "the control file was removed")
    )
    report = carry_out(world, ARM + "- pause: 60s")
    assert report.verdict.reason == (
        "CUDA fault gpu-lost on gpu-1 is failed: the control file was removed, which the scenario did not ask for"
    )


def test_agents_that_do_not_answer_leave_a_gap_and_no_proof(world):
    world.agent.on_arm = lambda record: world.agent.unreachable.update({"gpu-1": "no route"})
    world.time.after(10.0, world.agent.unreachable.clear)
    report = carry_out(world, ARM + "- pause: 20s")
    gaps = [one.value for one in report.observations if one.fact == "gap" and one.name.startswith("hits")]
    assert gaps == ["the agent of gpu-1 is not reachable: no route"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "give exactly one of xid, profile and rules"),
        ({"xid": 79, "profile": "oom"}, "give exactly one of xid, profile and rules"),
        ({"xid": 79, "rules": [{"calls": ["alloc"], "mode": "oom"}]}, "give exactly one of xid, profile and rules"),
        (
            {"rules": [{"calls": ["alloc"], "mode": "oom"}], "delay": "1s"},
            "delay changes a profile: write it into the rules",
        ),
        (
            {"xid": 62},
            "XID 62 has no CUDA profile: name a `profile`, or take one of 13, 31, 43, 48, 74, 79, 94, 95, 119, 120",
        ),
        ({"xid": 79, "code": "launch-faild"}, "CUDA has no error launch-faild: did you mean launch-failed?"),
        ({"xid": 79, "code": 7190}, "CUDA has no error 7190: did you mean 719?"),
        ({"profile": "gpu-last"}, "there is no CUDA profile 'gpu-last': did you mean gpu-lost?"),
        (
            {"profile": "xyz"},
            "there is no CUDA profile 'xyz': take one of gpu-lost, ecc-uncorrectable, ecc-contained, mmu-fault, "
            "engine-exception, stopped-processing, nvlink-error, gsp-timeout, oom, slow, hang, not-ready",
        ),
    ],
)
def test_what_can_not_be_armed_is_refused_with_a_sentence(fields, words):
    with pytest.raises(ValidationError) as refused:
        step_of("arm_cuda", {"target": "victim", **fields})
    assert refused.value.errors()[0]["msg"] == f"Value error, {words}"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"calls": ["lanch"], "mode": "oom"}, "there is no kind of CUDA call lanch: did you mean launch?"),
        (
            {"calls": ["xyz"], "mode": "oom"},
            "there is no kind of CUDA call xyz: take one of init, query, context, alloc, free, copy, launch, sync, "
            "stream, module, peer, other, nvml, nvlink",
        ),
        ({"calls": [], "mode": "oom"}, "calls must name at least one kind of call"),
        ({"calls": ["sync"], "mode": "stiky", "code": 719}, "there is no mode stiky: did you mean sticky?"),
        ({"calls": ["sync"], "mode": "fail"}, "fail needs a code that the calls answer, e.g. code: launch-failed"),
        (
            {"calls": ["sync"], "mode": "fail", "code": "launch-faild"},
            "CUDA has no error launch-faild: did you mean launch-failed?",
        ),
        ({"calls": ["sync"], "mode": "delay"}, "mode delay needs a delay, e.g. delay: 20ms"),
        (
            {"calls": ["sync"], "mode": "sticky", "code": 719, "delay": "1s"},
            "a delay is for the modes delay, hang and async, not for sticky",
        ),
        ({"calls": ["sync"], "mode": "hang", "free_bytes": 1}, "free_bytes is for the mode oom"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_with_a_sentence(rule, words):
    with pytest.raises(ValidationError) as refused:
        step_of("arm_cuda", {"target": "victim", "rules": [rule]})
    assert [one["msg"] for one in refused.value.errors()] == [f"Value error, {words}"]


def test_hits_of_a_fault_that_was_over_within_a_blink_are_seen_all_the_same(world):
    """Recovery is only waited for once every fault has been seen to take effect."""
    report = carry_out(
        world,
        """
        - send_requests: {target: frontend, rate: 20/s}
          id: traffic
          background: true
        - arm_cuda: {target: victim, profile: mmu-fault}
          id: short
        - disarm_cuda: short
        - wait_for_recovery: {load: traffic, ratio: at least 0.99, window: 5s}
          id: recovered
        - join: traffic
        """,
    )
    assert [(one.kind, one.status) for one in report.outcomes if one.step_id == "recovered"] == [
        ("wait_for_recovery", "passed")
    ]
    assert [one.phase for one in report.phases] == ["inject", "serving"]


def test_a_platform_that_was_faster_than_the_arming_has_reacted_all_the_same(world):
    """It had cordoned the node before CUDA was armed, and lets it go again while the step still waits."""
    report = carry_out(
        world,
        """
        - inject_xid: {target: victim, xid: 79}
        - wait_for_node: {target: victim, reached: noticed}
        - pause: 5s
        - arm_cuda: {target: victim, xid: 79}
        - wait_for_node: {target: victim, reached: cordoned}
          timeout: 5s
        """,
    )
    assert last(report)[0] == "passed"
