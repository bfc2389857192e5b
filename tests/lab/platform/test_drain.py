"""Which pods leave a node in quarantine, and how long that may take."""

from tests.lab.platform.world import World


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
    world.reach("gpu-1", "remediating")
    assert [path in world.api.objects for path in (*kept, *evicted)] == [True] * 5 + [False] * 2


def test_a_drain_waits_for_a_disruption_budget_and_for_pods_that_take_their_time(world: World) -> None:
    blocked, slow = world.add_pod("gpu-1", "blocked"), world.add_pod("gpu-1", "slow")
    world.api.blocked.add(blocked)
    world.api.lingering.add(slow)
    world.xid("gpu-1", 119, "Timeout")
    world.reach("gpu-1", "draining")
    world.pass_time(10)
    assert (world.state("gpu-1"), blocked in world.api.objects) == ("draining", True)
    world.api.blocked.clear()
    world.pass_time(1)
    assert (world.state("gpu-1"), blocked in world.api.objects) == ("draining", False)
    world.api.remove(slow)
    world.reach("gpu-1", "drain-succeeded")


def test_a_drain_that_never_ends_has_failed_at_last(world: World) -> None:
    world.api.blocked.add(world.add_pod("gpu-1", "blocked"))
    world.xid("gpu-1", 119, "Timeout")
    world.reach("gpu-1", "draining")
    world.until(lambda: world.state("gpu-1") == "drain-failed", limit=world.times.drain_limit + 1)
    world.pass_time(10)
    assert (world.state("gpu-1"), world.repairs()) == ("drain-failed", [])
