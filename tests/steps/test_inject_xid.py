"""Injecting: what is promised, ordered, checked and refused."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from scenario_runner.core.targets import NodesTarget, NodeTarget
from scenario_runner.errors import TargetRefused
from tests.fakes import GPUS, plan_of
from tests.steps.entry import entry, step_of
from tests.steps.running import carry_out, last

NODES = {"all": NodesTarget((NodeTarget("gpu-1", "uid-gpu-1"), NodeTarget("gpu-2", "uid-gpu-2")))}
RUN = "20260101-000000-drill-abcd"


def orders(world):
    return [call for call in world.agent.calls if call.startswith("inject")]


def test_the_finding_names_the_gpu_and_the_kernel_log_record(world):
    assert last(carry_out(world, "- inject_xid: {target: victim, xid: 94}")) == (
        "passed", "XID 94 on GPU 0 of gpu-1: record 1000 of the lab's kernel log",
    )  # fmt: skip


def test_the_name_of_the_fault_is_fixed_by_run_and_step_so_that_the_order_can_be_repeated(world):
    carry_out(world, "- inject_xid: {target: victim, xid: 94}\n  id: one")
    assert orders(world) == [f"inject gpu-1~{RUN}.one"]


def test_ids_that_no_key_may_hold_still_give_different_names(world):
    carry_out(
        world, "- inject_xid: {target: victim, xid: 94}\n  id: a_b\n- inject_xid: {target: victim, xid: 94}\n  id: A_b"
    )
    assert orders(world) == [f"inject gpu-1~{RUN}.a-b-73ef0180", f"inject gpu-1~{RUN}.a-b-4ba24760"]


def test_the_fault_dies_with_the_runner_and_at_the_end_of_the_worst_case(world):
    seen = []
    inject = world.agent.inject
    world.agent.inject = lambda order: seen.append(order) or inject(order)
    carry_out(world, "- inject_xid: {target: victim, xid: 94, duration: 20s, message: hello}")
    (order,) = seen
    assert (order.ttl, order.max_lifetime, order.duration, order.message) == (60.0, 3720.0, 20.0, "hello")
    assert (order.gpu, order.run) == ("GPU-10", RUN)


def test_each_of_several_nodes_gets_one_fault_on_the_gpu_that_is_asked_for(world):
    report = carry_out(world, "- inject_xid: {target: all, xid: 94, gpu: 1}", targets=NODES)
    assert last(report) == (
        "passed",
        "XID 94 on GPU 1 of gpu-1: record 1000 of the lab's kernel log; "
        "XID 94 on GPU 1 of gpu-2: record 1001 of the lab's kernel log",
    )
    assert [one.subject for one in report.undo] == ["XID 94 on gpu-1", "XID 94 on gpu-2"]


@pytest.mark.parametrize("gpu", [1, "1", "gpu-11", "4001:11:00", "00004001:11:00.0"])
def test_the_gpu_of_a_node_may_be_named_in_every_usual_way(world, gpu):
    carry_out(world, f"- inject_xid: {{target: node, xid: 94, gpu: '{gpu}'}}")
    assert [record.gpu_uuid for record in world.agent.faults().faults] == ["GPU-11"]


def test_a_gpu_that_does_not_exist_is_our_mistake_and_nothing_is_injected(world):
    assert last(carry_out(world, "- inject_xid: {target: node, xid: 94, gpu: 7}")) == (
        "broken", "gpu-1 has no GPU 7; it has 0 (GPU-10, 4001:10:00), 1 (GPU-11, 4001:11:00)",
    )  # fmt: skip
    assert orders(world) == []


@pytest.mark.parametrize(("holders", "words"), [((), "by nobody"), (("dynamo/other",), "by dynamo/other")])
def test_a_pod_that_has_moved_is_an_error_and_not_a_fault_on_the_wrong_node(world, holders, words):
    first, second = GPUS["gpu-1"]
    world.agent.nodes = {**GPUS, "gpu-1": (replace(first, held_by=holders), second)}
    assert last(carry_out(world, "- inject_xid: {target: victim, xid: 94}")) == (
        "broken",
        f"pod dynamo/vllm-decode-1 has moved: GPU 0 of gpu-1 is now held {words}; nothing was injected",
    )
    assert orders(world) == []


def test_a_node_that_was_replaced_under_its_name_is_not_the_victim(world):
    world.cluster.put(replace(world.cluster.node_states["gpu-1"], uid="uid-new"))
    assert last(carry_out(world, "- inject_xid: {target: victim, xid: 94}")) == (
        "broken", "node gpu-1 is no longer the one that was planned; nothing was injected",
    )  # fmt: skip


def test_a_moved_second_node_keeps_the_first_one_whole(world):
    world.cluster.put(replace(world.cluster.node_states["gpu-2"], uid="uid-new"))
    carry_out(world, "- inject_xid: {target: all, xid: 94}", targets=NODES)
    assert orders(world) == []


def test_a_refusal_of_the_agent_is_told_and_its_promise_withdrawn(world):
    world.agent.refusals[f"gpu-1~{RUN}.one"] = TargetRefused("XID 94 is not allowed here", code="xid_not_allowed")
    report = carry_out(world, "- inject_xid: {target: victim, xid: 94}\n  id: one")
    assert last(report) == ("broken", "XID 94 is not allowed here")
    assert [one.outcome for one in report.undo] == ["withdrawn"]


def test_an_agent_that_can_not_prove_the_line_breaks_the_step_and_the_fault_is_taken_back(world):
    inject = world.agent.inject
    world.agent.inject = lambda order: replace(inject(order), status="unproven", evidence=None)
    report = carry_out(world, "- inject_xid: {target: victim, xid: 94}\n  id: one")
    assert last(report) == (
        "broken", f"fault gpu-1~{RUN}.one is unproven: nothing proves that its line was written",
    )  # fmt: skip
    assert world.agent.active() == []


def test_an_xid_without_a_built_in_text_needs_one():
    with pytest.raises(ValidationError) as caught:
        step_of("inject_xid", {"target": "victim", "xid": 31})
    assert caught.value.errors()[0]["msg"] == (
        "Value error, XID 31 has no built-in text: give a `message`, or take one of 43, 48, 74, 79, 94, 95, 119, 120"
    )
    assert step_of("inject_xid", {"target": "victim", "xid": 31, "message": "MMU Fault"})


def test_the_plan_says_which_lines_will_be_written():
    step = entry("inject_xid: {target: victim, xid: 79}").step
    assert step.changes(plan_of().targets) == ["gpu-1: a kernel log line with XID 79 for GPU 0"]
    step = entry("inject_xid: {target: all, xid: 79, gpu: 1}").step
    assert step.changes(NODES) == [
        "gpu-1: a kernel log line with XID 79 for GPU 1",
        "gpu-2: a kernel log line with XID 79 for GPU 1",
    ]
