"""A stand-in that ends at any moment: the next one goes on from what is in the cluster."""

from collections.abc import Callable
from pathlib import Path

import pytest

from scenario_runner.lab.platform.api import ApiTrouble, Json
from tests.lab.platform.world import World

HEALED_WITH_PODS = ["quarantined", "draining", "drain-succeeded", "remediating", "remediation-succeeded", ""]


@pytest.mark.parametrize("xid", [79, 119])
@pytest.mark.parametrize("state", HEALED_WITH_PODS[:-1])
def test_a_restart_in_each_state_goes_on_to_the_end(tmp_path: Path, xid: int, state: str) -> None:
    world = World(tmp_path)
    world.add_pod("gpu-1", "worker")
    world.xid("gpu-1", xid)
    world.until(lambda: world.state("gpu-1") == state)
    world.restart()
    world.until(lambda: world.state("gpu-1") == "")
    assert world.states_seen("gpu-1") == HEALED_WITH_PODS
    assert len(world.reboots) == (1 if xid == 79 else 0)
    assert len(world.repairs()) == 1
    assert (world.node("gpu-1").unschedulable, world.node("gpu-1").annotations) == (False, {})


def test_a_restart_forgets_no_line_that_was_written_meanwhile(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.pass_time(1)
    world.xid("gpu-1", 119, "x")
    world.restart()
    world.until(lambda: world.state("gpu-1") == "quarantined")


def test_a_restart_takes_no_line_twice(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.xid("gpu-1", 74, "x")
    world.until(lambda: world.state("gpu-1") == "remediation-failed")
    world.acknowledge("gpu-1")
    world.until(lambda: world.state("gpu-1") == "")
    seen = len(world.states_seen("gpu-1"))
    world.restart()
    world.pass_time(5)
    assert len(world.states_seen("gpu-1")) == seen
    assert world.condition("gpu-1")["status"] == "False"


def test_a_reboot_that_happened_meanwhile_is_noticed(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.xid("gpu-1", 74, "x")
    world.until(lambda: world.state("gpu-1") == "remediation-failed")
    world.reboot("gpu-1")
    world.restart()
    world.until(lambda: world.state("gpu-1") == "")


def test_a_machine_that_went_down_while_the_answer_was_lost_is_not_rebooted_twice(tmp_path: Path) -> None:
    world = World(tmp_path)

    def reboot_without_an_answer(node: str) -> None:
        world.reboot(node)

    world.keeper = reboot_without_an_answer
    world.xid("gpu-1", 79)
    world.until(lambda: world.reboots)
    world.restart()
    world.until(lambda: world.state("gpu-1") == "")
    assert world.reboots == ["gpu-1"]


class Killed(BaseException):
    """Stands for a kill -9 in the middle of a call."""


def kill_at(world: World, number: int, *, after: bool) -> None:
    """Let call `number` of the ones that change something be the last one of this stand-in."""
    count = 0

    def deadly(change: Callable[..., Json]) -> Callable[..., Json]:
        def call(*args: object, **options: bool) -> Json:
            nonlocal count
            count += 1
            if count == number and not after:
                raise Killed
            answer = change(*args, **options)
            if count == number:
                raise Killed
            return answer

        return call

    world.api.create = deadly(world.api.create)  # type: ignore[method-assign]
    world.api.patch = deadly(world.api.patch)  # type: ignore[method-assign]


def revive(world: World) -> None:
    del world.api.create
    del world.api.patch
    world.restart()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("xid", [79, 119])
def test_a_kill_before_or_after_any_change_loses_nothing(tmp_path: Path, xid: int, after: bool) -> None:
    kills = 0
    for number in range(1, 200):
        folder = tmp_path / str(number)
        folder.mkdir()
        world = World(folder)
        world.pass_time(0.5)
        pod = world.add_pod("gpu-1", "worker")
        world.xid("gpu-1", xid)
        kill_at(world, number, after=after)
        try:
            world.until(lambda world=world: len(world.states_seen("gpu-1")) == 6)  # type: ignore[misc]
            assert not world.node("gpu-1").unschedulable
            break
        except Killed:
            kills += 1
        revive(world)
        world.until(
            lambda world=world: world.states_seen("gpu-1")[-1:] == [""] and not world.platform.busy  # type: ignore[misc]
        )
        node = world.node("gpu-1")
        assert (node.unschedulable, node.annotations, world.condition("gpu-1")["status"]) == (False, {}, "False")
        assert len(world.repairs()) == 1
        assert len(world.reboots) == (1 if xid == 79 else 0)
        assert pod not in world.api.objects
    assert kills > 15


def test_one_that_can_not_reach_the_api_server_does_not_start(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.api.down = True
    with pytest.raises(ApiTrouble):
        world.restart()
