"""How faults show on the node object: conditions and Events."""

from tests.lab.platform.world import World


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


def test_the_same_fault_within_three_minutes_is_not_reported_again(world: World) -> None:
    world.xid("gpu-1", 79, "first")
    world.reach("gpu-1", "quarantined")
    world.set_cordon("gpu-1", False)
    world.pass_time(1)
    world.xid("gpu-1", 79, "second")
    world.pass_time(1)
    assert (world.state("gpu-1"), "second" in world.condition("gpu-1")["message"]) == ("", False)
    world.pass_time(world.times.suppression)
    world.xid("gpu-1", 79, "third")
    world.reach("gpu-1", "quarantined")
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
