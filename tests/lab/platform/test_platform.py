"""From a line in the kernel log to a healed node."""

import json
from pathlib import Path

import pytest

from scenario_runner.lab.platform.api import Json
from tests.lab.platform.world import World

HEALED = ["quarantined", "drain-succeeded", "remediating", "remediation-succeeded", ""]
HEALED_WITH_PODS = ["quarantined", "draining", *HEALED[1:]]
STATE = "dgxc.nvidia.com/nvsentinel-state"


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.pass_time(0.5)
    return world


def reach(world: World, node: str, state: str) -> None:
    world.until(lambda: world.state(node) == state)


def test_an_xid_79_is_healed_by_a_reboot_and_every_state_can_be_seen(world: World) -> None:
    pod = world.add_pod("gpu-1", "worker")
    world.xid("gpu-1", 79)
    reach(world, "gpu-1", "quarantined")
    reach(world, "gpu-1", "")
    assert world.states_seen("gpu-1") == HEALED_WITH_PODS
    assert world.reboots == ["gpu-1"]
    assert pod not in world.api.objects
    assert not world.node("gpu-1").unschedulable
    assert world.condition("gpu-1")["status"] == "False"
    assert world.complaints == []


def test_a_reset_is_acknowledged_in_the_kernel_log_like_a_logger_would(world: World) -> None:
    world.xid("gpu-2", 119, "Timeout", index=1)
    reach(world, "gpu-2", "quarantined")
    reach(world, "gpu-2", "")
    assert world.states_seen("gpu-2") == HEALED
    assert world.reboots == []
    last = world.log("gpu-2").read_text().splitlines()[-1]
    uuid = world.gpu("gpu-2", 1).uuid
    assert last.startswith("11,1,")
    assert last.endswith(f",-;nvsentinel-gpu-reset: GPU reset executed: {uuid}, success: true")


@pytest.mark.parametrize(("xid", "limit"), [(79, 10), (119, 5)])
def test_a_cycle_in_the_lab_is_short(world: World, xid: int, limit: float) -> None:
    world.add_pod("gpu-1", "worker")
    world.xid("gpu-1", xid)
    took = world.until(lambda: world.state("gpu-1") == "quarantined")
    assert took + world.until(lambda: world.state("gpu-1") == "") < limit


@pytest.mark.parametrize(
    ("xid", "states", "repair"),
    [
        (48, HEALED, "GPUReset"),
        (74, ["quarantined", "drain-succeeded", "remediation-failed"], None),
        (79, HEALED, "RebootNode"),
        (95, HEALED, "GPUReset"),
        (119, HEALED, "GPUReset"),
        (120, HEALED, "GPUReset"),
        (43, [], None),
        (94, [], None),
    ],
)
def test_each_xid_takes_its_way(world: World, xid: int, states: list[str], repair: str | None) -> None:
    world.xid("gpu-1", xid, "something (0x1) happened")
    world.pass_time(20)
    assert world.states_seen("gpu-1") == states
    assert [one["kind"] for one in world.repairs()] == ([repair] if repair else [])
    assert world.states_seen("gpu-2") == []


def test_a_fault_that_is_not_fatal_is_an_event_on_the_node_and_no_condition(world: World) -> None:
    world.xid("gpu-1", 94, "Contained: CE User Channel (0x9). id-1")
    world.pass_time(1)
    [event] = world.events()
    gpu = world.gpu("gpu-1")
    assert event["involvedObject"] == {"apiVersion": "v1", "kind": "Node", "name": "gpu-1", "uid": "gpu-1"}
    assert (event["type"], event["reason"]) == ("SysLogsXIDError", "SysLogsXIDErrorIsNotHealthy")
    assert event["message"] == (
        f"ErrorCode:94 PCI:{gpu.pci} GPU_UUID:{gpu.uuid} ;NVRM: Xid (PCI:{gpu.pci}): 94, Contained: CE User Channel "
        "(0x9). id-1 Recommended Action=NONE;"
    )
    assert world.condition("gpu-1") == {}
    assert not world.node("gpu-1").unschedulable


def test_the_condition_names_the_fault_and_afterwards_says_that_it_is_healthy(world: World) -> None:
    world.xid("gpu-1", 119, "Timeout id-1")
    world.until(lambda: world.condition("gpu-1"))
    gpu = world.gpu("gpu-1")
    began = world.condition("gpu-1")
    assert began == {
        "type": "SysLogsXIDError",
        "status": "True",
        "reason": "SysLogsXIDErrorIsNotHealthy",
        "message": f"ErrorCode:119 PCI:{gpu.pci} GPU_UUID:{gpu.uuid} ;NVRM: Xid (PCI:{gpu.pci}): 119, Timeout id-1 "
        "Recommended Action=COMPONENT_RESET;",
        "lastHeartbeatTime": began["lastHeartbeatTime"],
        "lastTransitionTime": began["lastHeartbeatTime"],
    }
    world.until(lambda: world.condition("gpu-1")["status"] == "False")
    ended = world.condition("gpu-1")
    assert (ended["reason"], ended["message"]) == ("SysLogsXIDErrorIsHealthy", "No Health Failures")
    assert ended["lastTransitionTime"] > began["lastTransitionTime"]


def test_a_long_condition_is_cut(world: World) -> None:
    for number in range(8):
        world.xid("gpu-1", 200 + number, "x" * 150)
    world.pass_time(0.5)
    message = world.condition("gpu-1")["message"]
    assert (len(message), message[-4:]) == (1027, "x...")


def test_quarantine_leaves_its_marks_and_takes_them_away_again(world: World) -> None:
    before = dict(world.node("gpu-1").labels)
    world.xid("gpu-1", 119, "Timeout")
    reach(world, "gpu-1", "quarantined")
    node = world.node("gpu-1")
    assert node.unschedulable
    assert {key: value for key, value in node.labels.items() if key.startswith("k8saas")} == {
        "k8saas.nvidia.com/cordon-by": "NVSentinel",
        "k8saas.nvidia.com/cordon-reason": "Syslog-fatal-error-ruleset",
        "k8saas.nvidia.com/cordon-timestamp": "2026-01-01T12-00-00Z",
    }
    [event] = json.loads(node.annotations["quarantineHealthEvent"])
    assert (event["agent"], event["checkName"], event["errorCode"], event["isFatal"], event["recommendedAction"]) == (
        "syslog-health-monitor",
        "SysLogsXIDError",
        ["119"],
        True,
        2,
    )
    assert node.annotations["quarantineHealthEventIsCordoned"] == "True"
    assert node.annotations["quarantineHealthEventAppliedTaints"] == "[]"
    assert node.annotations["quarantineHealthEventAppliedLabels"] == "[]"
    assert "quarantineHealthEventCordonPreExisting" not in node.annotations
    reach(world, "gpu-1", "")
    after = world.node("gpu-1")
    assert after.annotations == {}
    assert after.labels == {
        **before,
        "k8saas.nvidia.com/uncordon-by": "NVSentinel",
        "k8saas.nvidia.com/uncordon-reason": "Syslog-fatal-error-ruleset-removed",
        "k8saas.nvidia.com/uncordon-timestamp": after.labels["k8saas.nvidia.com/uncordon-timestamp"],
    }


def test_a_node_that_was_cordoned_before_stays_cordoned(world: World) -> None:
    world.set_cordon("gpu-1", True)
    world.xid("gpu-1", 119, "Timeout")
    reach(world, "gpu-1", "quarantined")
    assert world.node("gpu-1").annotations["quarantineHealthEventCordonPreExisting"] == "True"
    reach(world, "gpu-1", "")
    node = world.node("gpu-1")
    assert node.unschedulable
    assert (node.annotations, "k8saas.nvidia.com/uncordon-by" in node.labels) == ({}, False)


@pytest.mark.parametrize("label", ["k8saas.nvidia.com/ManagedByNVSentinel", "nvsentinel.dgxc.nvidia.com/managed"])
def test_a_node_that_opted_out_shows_the_condition_and_is_left_alone(world: World, label: str) -> None:
    world.set_label("gpu-1", label, "false")
    world.xid("gpu-1", 79)
    world.pass_time(5)
    assert world.condition("gpu-1")["status"] == "True"
    assert (world.states_seen("gpu-1"), world.node("gpu-1").unschedulable) == ([], False)


def test_a_human_who_uncordons_ends_the_quarantine_but_not_the_condition(world: World) -> None:
    world.add_pod("gpu-1", "worker")
    world.api.blocked.add("/api/v1/namespaces/dynamo/pods/worker")
    world.xid("gpu-1", 79)
    reach(world, "gpu-1", "draining")
    world.set_cordon("gpu-1", False)
    world.pass_time(5)
    node = world.node("gpu-1")
    assert node.annotations == {"quarantinedNodeUncordonedManually": "True"}
    assert (world.state("gpu-1"), node.unschedulable, world.reboots) == ("", False, [])
    assert "k8saas.nvidia.com/cordon-by" not in node.labels
    assert world.condition("gpu-1")["status"] == "True"


def test_the_same_fault_within_three_minutes_is_not_reported_again(world: World) -> None:
    world.xid("gpu-1", 79, "first")
    reach(world, "gpu-1", "quarantined")
    world.set_cordon("gpu-1", False)
    world.pass_time(1)
    world.xid("gpu-1", 79, "second")
    world.pass_time(1)
    assert (world.state("gpu-1"), "second" in world.condition("gpu-1")["message"]) == ("", False)
    world.pass_time(world.times.suppression)
    world.xid("gpu-1", 79, "third")
    reach(world, "gpu-1", "quarantined")
    assert "quarantinedNodeUncordonedManually" not in world.node("gpu-1").annotations


def test_another_gpu_or_another_xid_is_another_fault(world: World) -> None:
    for text, xid, index in (("one", 43, 0), ("again", 43, 0), ("two", 43, 1), ("three", 94, 0)):
        world.xid("gpu-1", xid, text, index)
    world.pass_time(0.5)
    assert sorted(event["message"].split()[0] for event in world.events()) == [
        "ErrorCode:43",
        "ErrorCode:43",
        "ErrorCode:94",
    ]


def test_a_fault_after_a_healthy_event_is_reported_at_once(world: World) -> None:
    world.xid("gpu-1", 94, "first")
    world.acknowledge("gpu-1")
    world.xid("gpu-1", 94, "second")
    world.pass_time(0.5)
    assert len(world.events()) == 2


def test_pods_of_the_platform_of_daemon_sets_and_finished_ones_are_not_evicted(world: World) -> None:
    kept = [
        world.add_pod("gpu-1", "proxy", "kube-system"),
        world.add_pod("gpu-1", "monitor", "nvsentinel"),
        world.add_pod("gpu-1", "agent", "dynamo", "DaemonSet"),
        world.add_pod("gpu-1", "job"),
        world.add_pod("gpu-2", "elsewhere"),
    ]
    world.api.objects[kept[3]]["status"]["phase"] = "Succeeded"
    evicted = [world.add_pod("gpu-1", "worker"), world.add_pod("gpu-1", "other", "team")]
    world.xid("gpu-1", 119, "Timeout")
    reach(world, "gpu-1", "remediating")
    assert [path in world.api.objects for path in (*kept, *evicted)] == [True] * 5 + [False] * 2


def test_a_drain_waits_for_a_disruption_budget_and_for_pods_that_take_their_time(world: World) -> None:
    blocked, slow = world.add_pod("gpu-1", "blocked"), world.add_pod("gpu-1", "slow")
    world.api.blocked.add(blocked)
    world.api.lingering.add(slow)
    world.xid("gpu-1", 119, "Timeout")
    reach(world, "gpu-1", "draining")
    world.pass_time(10)
    assert (world.state("gpu-1"), blocked in world.api.objects) == ("draining", True)
    world.api.blocked.clear()
    world.pass_time(1)
    assert (world.state("gpu-1"), blocked in world.api.objects) == ("draining", False)
    world.api.remove(slow)
    reach(world, "gpu-1", "drain-succeeded")


def test_a_drain_that_never_ends_has_failed_at_last(world: World) -> None:
    world.api.blocked.add(world.add_pod("gpu-1", "blocked"))
    world.xid("gpu-1", 119, "Timeout")
    reach(world, "gpu-1", "draining")
    world.until(lambda: world.state("gpu-1") == "drain-failed", limit=world.times.drain_limit + 1)
    world.pass_time(10)
    assert (world.state("gpu-1"), world.repairs()) == ("drain-failed", [])


@pytest.mark.parametrize(
    "state", ["quarantined", "draining", "drain-succeeded", "remediating", "remediation-failed", "drain-failed"]
)
def test_an_acknowledgement_removes_the_state_from_any_state(world: World, state: str) -> None:
    xid = 74 if state == "remediation-failed" else 119
    if state in ("draining", "drain-failed"):
        world.api.blocked.add(world.add_pod("gpu-1", "blocked"))
    world.xid("gpu-1", xid, "something")
    world.until(lambda: world.state("gpu-1") == state, limit=70)
    world.acknowledge("gpu-1")
    world.until(lambda: world.state("gpu-1") == "", limit=2)
    node = world.node("gpu-1")
    assert (node.unschedulable, node.annotations) == (False, {})
    assert world.condition("gpu-1")["status"] == "False"
    world.pass_time(5)
    assert world.states_seen("gpu-1")[-1] == ""


def test_a_fault_that_heals_as_soon_as_it_comes_still_shows_its_state(world: World) -> None:
    world.xid("gpu-1", 79)
    world.acknowledge("gpu-1")
    reach(world, "gpu-1", "quarantined")
    stood = world.until(lambda: world.state("gpu-1") == "")
    assert stood >= world.times.state
    assert (world.states_seen("gpu-1"), world.reboots) == (["quarantined", ""], [])


def test_each_state_stands_long_enough_to_be_seen(world: World) -> None:
    world.add_pod("gpu-1", "worker")
    world.xid("gpu-1", 79)
    stood: dict[str, float] = {}
    for state in HEALED_WITH_PODS:
        begin = world.clock.seconds
        reach(world, "gpu-1", state)
        stood[state] = world.clock.seconds - begin
    assert min(stood[state] for state in HEALED_WITH_PODS[1:]) >= world.times.state - 0.01


def test_only_the_faults_of_the_acknowledged_gpu_heal(world: World) -> None:
    world.xid("gpu-1", 74, "left", index=0)
    world.xid("gpu-1", 74, "right", index=1)
    reach(world, "gpu-1", "remediation-failed")
    world.acknowledge("gpu-1", index=0)
    world.pass_time(2)
    node = world.node("gpu-1")
    assert (world.state("gpu-1"), node.unschedulable) == ("remediation-failed", True)
    assert [
        one["entitiesImpacted"][0]["entityValue"] for one in json.loads(node.annotations["quarantineHealthEvent"])
    ] == [world.gpu("gpu-1", 1).pci]
    assert "left" not in world.condition("gpu-1")["message"]
    assert "right" in world.condition("gpu-1")["message"]
    world.acknowledge("gpu-1", index=1)
    reach(world, "gpu-1", "")


def test_two_gpus_that_need_a_reset_get_one_each_and_one_reboot_serves_for_all(world: World) -> None:
    world.xid("gpu-1", 119, "x", index=0)
    world.xid("gpu-1", 48, "x", index=1)
    reach(world, "gpu-1", "remediating")
    reach(world, "gpu-1", "")
    assert [one["spec"]["selector"]["uuids"] for one in world.repairs()] == [
        [world.gpu("gpu-1", index).uuid] for index in sorted((0, 1), key=lambda n: _name_of(world, n))
    ]
    world.pass_time(world.times.breaker)
    world.xid("gpu-2", 119, "x", index=0)
    world.xid("gpu-2", 79, "x", index=1)
    reach(world, "gpu-2", "remediating")
    reach(world, "gpu-2", "")
    assert [one["kind"] for one in world.repairs() if one["spec"]["nodeName"] == "gpu-2"] == ["RebootNode"]


def _name_of(world: World, index: int) -> str:
    uuid = world.gpu("gpu-1", index).uuid
    return next(str(one["metadata"]["name"]) for one in world.repairs() if one["spec"]["selector"]["uuids"] == [uuid])


def test_a_fault_that_comes_during_a_repair_is_repaired_too(world: World) -> None:
    world.xid("gpu-1", 119, "x", index=0)
    reach(world, "gpu-1", "remediating")
    world.xid("gpu-1", 48, "x", index=1)
    world.until(lambda: world.state("gpu-1") == "" and len(world.repairs()) == 2)
    assert not world.node("gpu-1").unschedulable


def repair_of(world: World) -> Json:
    [repair] = world.repairs()
    return repair


def test_the_repair_is_an_object_whose_name_holds_node_and_event(world: World) -> None:
    world.xid("gpu-1", 79)
    reach(world, "gpu-1", "remediating")
    world.until(world.repairs)
    repair = repair_of(world)
    node = world.node("gpu-1")
    [event] = json.loads(node.annotations["quarantineHealthEvent"])
    assert (repair["apiVersion"], repair["kind"]) == ("janitor.dgxc.nvidia.com/v1alpha1", "RebootNode")
    assert repair["metadata"]["name"] == f"maintenance-gpu-1-{event['id']}"
    assert repair["spec"] == {"nodeName": "gpu-1"}
    state = json.loads(node.annotations["latestFaultRemediationState"])["equivalenceGroups"]["restart"]
    assert (state["maintenanceCR"], state["actionName"]) == (repair["metadata"]["name"], "RESTART_BM")
    reach(world, "gpu-1", "")
    conditions = {one["type"]: one["status"] for one in repair_of(world)["status"]["conditions"]}
    assert conditions == {"SignalSent": "True", "NodeReady": "True"}
    assert repair_of(world)["status"]["completionTime"] > repair_of(world)["status"]["startTime"]


def test_a_reset_object_names_the_gpu(world: World) -> None:
    world.xid("gpu-1", 120, "x", index=1)
    reach(world, "gpu-1", "remediation-succeeded")
    assert repair_of(world)["spec"] == {"nodeName": "gpu-1", "selector": {"uuids": [world.gpu("gpu-1", 1).uuid]}}
    assert [(one["type"], one["status"]) for one in repair_of(world)["status"]["conditions"]] == [("Complete", "True")]


def test_a_reboot_that_the_keeper_refuses_is_a_failed_remediation(world: World) -> None:
    world.keeper = lambda node: f"error {node} can not be rebooted"
    world.xid("gpu-1", 79)
    reach(world, "gpu-1", "remediation-failed")
    [condition] = repair_of(world)["status"]["conditions"]
    assert (condition["type"], condition["status"]) == ("SignalSent", "False")
    assert condition["message"] == "error gpu-1 can not be rebooted"


def test_a_machine_that_does_not_come_back_is_a_failed_remediation(world: World) -> None:
    world.keeper = lambda _: "ok"
    world.xid("gpu-1", 79)
    reach(world, "gpu-1", "remediating")
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
    reach(world, "gpu-1", "remediation-succeeded")
    reach(world, "gpu-1", "")


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


def test_a_reboot_that_nobody_ordered_heals_the_node_as_well(world: World) -> None:
    world.xid("gpu-1", 74, "x")
    reach(world, "gpu-1", "remediation-failed")
    world.reboot("gpu-1")
    reach(world, "gpu-1", "")
    assert world.condition("gpu-1")["status"] == "False"


def test_lines_of_the_new_boot_are_read_once_the_monitor_is_up(world: World) -> None:
    world.go_down("gpu-1")
    world.log("gpu-1").unlink(missing_ok=True)
    world.xid("gpu-1", 94, "after the boot")
    world.pass_time(3)
    assert world.events() == []
    world.come_up("gpu-1")
    world.pass_time(3)
    assert [event["message"].split()[0] for event in world.events()] == ["ErrorCode:94"]


def test_lines_written_before_the_stand_in_began_are_old_news(tmp_path: Path) -> None:
    (tmp_path / "gpu-1.kmsg").write_text("12,5,1,-;kernel: NVRM: Xid (PCI:4001:11:00): 79, old\n")
    world = World(tmp_path)
    world.pass_time(5)
    assert world.states_seen("gpu-1") == []
    world.xid("gpu-1", 79)
    reach(world, "gpu-1", "quarantined")


def test_an_api_server_that_is_away_for_a_while_is_waited_for_and_nothing_is_lost(world: World) -> None:
    world.xid("gpu-1", 119, "x")
    world.api.down = True
    world.pass_time(3)
    assert world.complaints
    world.api.down = False
    reach(world, "gpu-1", "quarantined")
    world.api.down = True
    world.pass_time(3)
    world.api.down = False
    reach(world, "gpu-1", "")
    assert world.states_seen("gpu-1") == HEALED


def test_a_quiet_cluster_is_left_in_peace(world: World) -> None:
    world.pass_time(1)
    before = world.api.calls
    world.pass_time(30)
    assert world.api.calls == before
