"""What is ordered for which fault, and how it ends."""

import json

import pytest

from scenario_runner.lab.platform.api import Json
from tests.lab.platform.world import World


def test_two_gpus_that_need_a_reset_get_one_each_and_one_reboot_serves_for_all(world: World) -> None:
    world.xid("gpu-1", 119, "x", index=0)
    world.xid("gpu-1", 48, "x", index=1)
    world.reach("gpu-1", "remediating")
    world.reach("gpu-1", "")
    assert [one["spec"]["selector"]["uuids"] for one in world.repairs()] == [
        [world.gpu("gpu-1", index).uuid] for index in sorted((0, 1), key=lambda n: _name_of(world, n))
    ]
    world.pass_time(world.times.breaker)
    world.xid("gpu-2", 119, "x", index=0)
    world.xid("gpu-2", 79, "x", index=1)
    world.reach("gpu-2", "remediating")
    world.reach("gpu-2", "")
    assert [one["kind"] for one in world.repairs() if one["spec"]["nodeName"] == "gpu-2"] == ["RebootNode"]


def _name_of(world: World, index: int) -> str:
    uuid = world.gpu("gpu-1", index).uuid
    return next(str(one["metadata"]["name"]) for one in world.repairs() if one["spec"]["selector"]["uuids"] == [uuid])


def test_a_fault_that_comes_during_a_repair_is_repaired_too(world: World) -> None:
    world.xid("gpu-1", 119, "x", index=0)
    world.reach("gpu-1", "remediating")
    world.xid("gpu-1", 48, "x", index=1)
    world.until(lambda: world.state("gpu-1") == "" and len(world.repairs()) == 2)
    assert not world.node("gpu-1").unschedulable


def repair_of(world: World) -> Json:
    [repair] = world.repairs()
    return repair


def test_the_repair_is_an_object_whose_name_holds_node_and_event(world: World) -> None:
    world.xid("gpu-1", 79)
    world.reach("gpu-1", "remediating")
    world.until(world.repairs)
    repair = repair_of(world)
    node = world.node("gpu-1")
    [event] = json.loads(node.annotations["quarantineHealthEvent"])
    assert (repair["apiVersion"], repair["kind"]) == ("janitor.dgxc.nvidia.com/v1alpha1", "RebootNode")
    assert repair["metadata"]["name"] == f"maintenance-gpu-1-{event['id']}"
    assert repair["spec"] == {"nodeName": "gpu-1"}
    state = json.loads(node.annotations["latestFaultRemediationState"])["equivalenceGroups"]["restart"]
    assert (state["maintenanceCR"], state["actionName"]) == (repair["metadata"]["name"], "RESTART_BM")
    world.reach("gpu-1", "")
    conditions = {one["type"]: one["status"] for one in repair_of(world)["status"]["conditions"]}
    assert conditions == {"SignalSent": "True", "NodeReady": "True"}
    assert repair_of(world)["status"]["completionTime"] > repair_of(world)["status"]["startTime"]


def test_a_reset_object_names_the_gpu(world: World) -> None:
    world.xid("gpu-1", 120, "x", index=1)
    world.reach("gpu-1", "remediation-succeeded")
    assert repair_of(world)["spec"] == {"nodeName": "gpu-1", "selector": {"uuids": [world.gpu("gpu-1", 1).uuid]}}
    assert [(one["type"], one["status"]) for one in repair_of(world)["status"]["conditions"]] == [("Complete", "True")]


def test_a_reboot_that_the_keeper_refuses_is_a_failed_remediation(world: World) -> None:
    world.keeper = lambda node: f"error {node} can not be rebooted"
    world.xid("gpu-1", 79)
    world.reach("gpu-1", "remediation-failed")
    [condition] = repair_of(world)["status"]["conditions"]
    assert (condition["type"], condition["status"]) == ("SignalSent", "False")
    assert condition["message"] == "error gpu-1 can not be rebooted"


def test_a_machine_that_does_not_come_back_is_a_failed_remediation(world: World) -> None:
    world.keeper = lambda _: "ok"
    world.xid("gpu-1", 79)
    world.reach("gpu-1", "remediating")
    world.until(lambda: world.state("gpu-1") == "remediation-failed", limit=world.times.reboot_limit + 5)
    assert [one["reason"] for one in repair_of(world)["status"]["conditions"]] == ["Succeeded", "Timeout"]


def test_a_node_is_not_back_before_its_kubelet_reports_the_new_boot(world: World) -> None:
    def go_down(node: str) -> str:
        world.go_down(node)
        return "ok"

    world.keeper = go_down
    world.xid("gpu-1", 79)
    world.until(lambda: world.reboots)
    world.pass_time(5)
    assert world.state("gpu-1") == "remediating"
    world.come_up("gpu-1")
    world.reach("gpu-1", "remediation-succeeded")
    world.reach("gpu-1", "")


def test_a_keeper_that_takes_its_time_is_asked_once(world: World) -> None:
    asked: list[str] = []
    answers = iter([None] * 10)

    def hesitate(node: str) -> str | None:
        asked.append(node)
        return next(answers, "ok")

    world.keeper = hesitate
    world.xid("gpu-1", 79)
    world.until(lambda: len(asked) >= 11)
    world.pass_time(2)
    assert len(asked) == 11


@pytest.mark.parametrize(
    ("plural", "spec", "reason", "message"),
    [
        ("rebootnodes", {"nodeName": "gpu-9"}, "NodeNotFound", "there is no node 'gpu-9'"),
        ("gpuresets", {}, "NodeNotFound", "there is no node ''"),
        ("gpuresets", {"nodeName": "gpu-1"}, "GPUNotFound", "no GPU is named"),
        (
            "gpuresets",
            {"nodeName": "gpu-1", "selector": {"uuids": ["GPU-2"]}},
            "GPUNotFound",
            "gpu-1 has no GPU GPU-2",
        ),
    ],
)
def test_a_repair_that_can_not_be_done_says_why(
    world: World, plural: str, spec: Json, reason: str, message: str
) -> None:
    world.api.put(
        f"/apis/janitor.dgxc.nvidia.com/v1alpha1/{plural}/by-hand", {"metadata": {"name": "by-hand"}, "spec": spec}
    )
    world.platform.tick(changed=True)
    [condition] = repair_of(world)["status"]["conditions"]
    assert (condition["status"], condition["reason"], condition["message"]) == ("False", reason, message)


def test_a_reboot_that_a_human_orders_is_carried_out(world: World) -> None:
    repair = {"metadata": {"name": "by-hand"}, "spec": {"nodeName": "gpu-1"}}
    world.api.put("/apis/janitor.dgxc.nvidia.com/v1alpha1/rebootnodes/by-hand", repair)
    world.platform.tick(changed=True)
    world.until(lambda: "completionTime" in repair_of(world)["status"])
    assert world.reboots == ["gpu-1"]
