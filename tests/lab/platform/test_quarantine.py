"""Who is cordoned, what marks that leaves, and who is let go."""

import json

import pytest

from tests.lab.platform.world import World


def test_quarantine_leaves_its_marks_and_takes_them_away_again(world: World) -> None:
    before = dict(world.node("gpu-1").labels)
    world.xid("gpu-1", 119, "Timeout")
    world.reach("gpu-1", "quarantined")
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
    world.reach("gpu-1", "")
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
    world.reach("gpu-1", "quarantined")
    assert world.node("gpu-1").annotations["quarantineHealthEventCordonPreExisting"] == "True"
    world.reach("gpu-1", "")
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
    world.reach("gpu-1", "draining")
    world.set_cordon("gpu-1", False)
    world.pass_time(5)
    node = world.node("gpu-1")
    assert node.annotations == {"quarantinedNodeUncordonedManually": "True"}
    assert (world.state("gpu-1"), node.unschedulable, world.reboots) == ("", False, [])
    assert "k8saas.nvidia.com/cordon-by" not in node.labels
    assert world.condition("gpu-1")["status"] == "True"


def test_only_the_faults_of_the_acknowledged_gpu_heal(world: World) -> None:
    world.xid("gpu-1", 74, "left", index=0)
    world.xid("gpu-1", 74, "right", index=1)
    world.reach("gpu-1", "remediation-failed")
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
    world.reach("gpu-1", "")
