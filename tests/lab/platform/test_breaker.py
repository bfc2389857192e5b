"""The circuit breaker."""

from tests.lab.platform.world import World


def trip(world: World) -> None:
    for node in world.nodes[:2]:
        world.xid(node, 74, "x")
    world.until(lambda: all(world.state(node) for node in world.nodes[:2]))
    world.xid("gpu-3", 74, "x")
    world.until(lambda: world.config("circuit-breaker")["status"] == "TRIPPED")


def test_one_node_of_three_does_not_trip_it(world: World) -> None:
    world.xid("gpu-1", 74, "x")
    world.pass_time(3)
    assert world.config("circuit-breaker")["status"] == "CLOSED"


def test_with_half_of_the_gpu_nodes_cordoned_in_the_window_nothing_is_quarantined_any_more(world: World) -> None:
    trip(world)
    world.pass_time(10)
    assert (world.state("gpu-3"), world.node("gpu-3").unschedulable) == ("", False)
    assert world.condition("gpu-3")["status"] == "True"


def test_while_it_is_tripped_nothing_is_released_either(world: World) -> None:
    trip(world)
    world.until(lambda: world.state("gpu-1") == "remediation-failed")
    world.acknowledge("gpu-1")
    world.pass_time(10)
    assert world.condition("gpu-1")["status"] == "False"
    assert (world.state("gpu-1"), world.node("gpu-1").unschedulable) == ("remediation-failed", True)


def test_closed_by_hand_it_lets_everything_go_on_that_waited(world: World) -> None:
    trip(world)
    world.acknowledge("gpu-1")
    world.restart()
    world.pass_time(5)
    assert world.config("circuit-breaker")["status"] == "TRIPPED"
    world.api.patch("/api/v1/namespaces/nvsentinel/configmaps/circuit-breaker", {"data": {"status": "CLOSED"}})
    world.until(lambda: world.state("gpu-1") == "" and world.state("gpu-3") == "remediation-failed")
    assert (world.node("gpu-1").unschedulable, world.node("gpu-3").unschedulable) == (False, True)


def test_cordons_outside_the_window_do_not_count(world: World) -> None:
    for node in world.nodes:
        world.xid(node, 74, "x")
        world.pass_time(world.times.breaker + 0.5)
    assert [world.state(node) for node in world.nodes] == ["remediation-failed"] * 3
    assert world.config("circuit-breaker")["status"] == "CLOSED"


def test_a_restart_does_not_forget_the_cordons_in_the_window(world: World) -> None:
    for node in world.nodes[:2]:
        world.xid(node, 74, "x")
    world.until(lambda: all(world.state(node) for node in world.nodes[:2]))
    world.restart()
    world.xid("gpu-3", 74, "x")
    world.pass_time(3)
    assert (world.config("circuit-breaker")["status"], world.state("gpu-3")) == ("TRIPPED", "")


def test_nodes_without_the_gpu_label_do_not_count(world: World) -> None:
    for node in world.nodes:
        world.api.patch(f"/api/v1/nodes/{node}", {"metadata": {"labels": {"nvidia.com/gpu.present": None}}})
        world.xid(node, 74, "x")
    world.until(lambda: all(world.state(node) for node in world.nodes))
    assert world.config("circuit-breaker")["status"] == "CLOSED"
