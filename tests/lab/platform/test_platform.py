"""From a line in the kernel log to a healed node."""

from pathlib import Path

import pytest

from tests.lab.platform.world import World

HEALED = ["quarantined", "drain-succeeded", "remediating", "remediation-succeeded", ""]
HEALED_WITH_PODS = ["quarantined", "draining", *HEALED[1:]]


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.pass_time(0.5)
    return world


def test_an_xid_79_is_healed_by_a_reboot_and_every_state_can_be_seen(world: World) -> None:
    pod = world.add_pod("gpu-1", "worker")
    world.xid("gpu-1", 79)
    world.until(lambda: world.state("gpu-1") == "quarantined")
    took = world.until(lambda: world.state("gpu-1") == "")
    assert world.states_seen("gpu-1") == HEALED_WITH_PODS
    assert world.reboots == ["gpu-1"]
    assert pod not in world.api.objects
    assert not world.node("gpu-1").unschedulable
    assert took < 10
    assert world.complaints == []
