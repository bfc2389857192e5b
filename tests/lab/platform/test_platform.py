"""From a line in the kernel log to a healed node."""

from pathlib import Path

import pytest

from tests.lab.platform.world import World

HEALED = ["quarantined", "drain-succeeded", "remediating", "remediation-succeeded", ""]
HEALED_WITH_PODS = ["quarantined", "draining", *HEALED[1:]]


def test_an_xid_79_is_healed_by_a_reboot_and_every_state_can_be_seen(world: World) -> None:
    pod = world.add_pod("gpu-1", "worker")
    world.xid("gpu-1", 79)
    world.reach("gpu-1", "quarantined")
    world.reach("gpu-1", "")
    assert world.states_seen("gpu-1") == HEALED_WITH_PODS
    assert world.reboots == ["gpu-1"]
    assert pod not in world.api.objects
    assert not world.node("gpu-1").unschedulable
    assert world.condition("gpu-1")["status"] == "False"
    assert world.complaints == []


def test_a_reset_is_acknowledged_in_the_kernel_log_like_a_logger_would(world: World) -> None:
    world.xid("gpu-2", 119, "Timeout", index=1)
    world.reach("gpu-2", "quarantined")
    world.reach("gpu-2", "")
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
    world.reach("gpu-1", "quarantined")
    stood = world.until(lambda: world.state("gpu-1") == "")
    assert stood >= world.times.state
    assert (world.states_seen("gpu-1"), world.reboots) == (["quarantined", ""], [])


def test_each_state_stands_long_enough_to_be_seen(world: World) -> None:
    world.add_pod("gpu-1", "worker")
    world.xid("gpu-1", 79)
    stood: dict[str, float] = {}
    for state in HEALED_WITH_PODS:
        begin = world.clock.seconds
        world.reach("gpu-1", state)
        stood[state] = world.clock.seconds - begin
    assert min(stood[state] for state in HEALED_WITH_PODS[1:]) >= world.times.state - 0.01


def test_a_reboot_that_nobody_ordered_heals_the_node_as_well(world: World) -> None:
    world.xid("gpu-1", 74, "x")
    world.reach("gpu-1", "remediation-failed")
    world.reboot("gpu-1")
    world.reach("gpu-1", "")
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


def test_no_line_of_a_new_boot_is_missed_by_a_stand_in_that_restarts_though_numbers_begin_anew(world: World) -> None:
    world.xid("gpu-1", 79)
    world.reach("gpu-1", "quarantined")
    world.reach("gpu-1", "")
    world.xid("gpu-1", 94, "after the boot")
    assert world.log("gpu-1").read_text().startswith("12,0,")
    world.restart()
    world.pass_time(3)
    assert [event["message"].split()[0] for event in world.events()] == ["ErrorCode:94"]


def test_lines_written_before_the_stand_in_began_are_old_news(tmp_path: Path) -> None:
    (tmp_path / "gpu-1.kmsg").write_text("12,5,1,-;kernel: NVRM: Xid (PCI:4001:11:00): 79, old\n")
    world = World(tmp_path)
    world.pass_time(5)
    assert world.states_seen("gpu-1") == []
    world.xid("gpu-1", 79)
    world.reach("gpu-1", "quarantined")


def test_an_api_server_that_is_away_for_a_while_is_waited_for_and_nothing_is_lost(world: World) -> None:
    world.xid("gpu-1", 119, "x")
    world.api.down = True
    world.pass_time(3)
    assert world.complaints
    world.api.down = False
    world.reach("gpu-1", "quarantined")
    world.api.down = True
    world.pass_time(3)
    world.api.down = False
    world.reach("gpu-1", "")
    assert world.states_seen("gpu-1") == HEALED


def test_a_quiet_cluster_is_left_in_peace(world: World) -> None:
    world.pass_time(1)
    before = world.api.calls
    world.pass_time(30)
    assert world.api.calls == before
