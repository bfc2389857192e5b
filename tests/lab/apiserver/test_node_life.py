"""Nodes that fall silent: NotReady, pods unready, evicted, replaced, and what happens when they return."""

from scenario_runner.lab.apiserver.objects import Json, condition, dig, is_ready
from tests.lab.apiserver.world import World, deployment, pod


def taints(world: World, name: str) -> list[tuple[str, str]]:
    found = world.get("nodes", name)["spec"].get("taints") or []
    return [(one["key"].removeprefix("node.kubernetes.io/"), one["effect"]) for one in found]


def ready(world: World, name: str) -> tuple[str, str]:
    found = condition(world.get("nodes", name), "Ready")
    return found["status"], found["reason"]


def going(pods: list[Json]) -> list[str]:
    return [pod["spec"]["nodeName"] for pod in pods if "deletionTimestamp" in pod["metadata"]]


def test_a_node_that_renews_its_lease_stays_ready(world: World) -> None:
    world.live(60)
    assert ready(world, "gpu-1") == ("True", "KubeletReady")


def test_a_node_that_falls_silent_is_unknown_after_the_grace_and_not_before(world: World) -> None:
    world.dead.add("gpu-1")
    world.live(7)
    assert ready(world, "gpu-1") == ("True", "KubeletReady")
    world.live(2)
    assert ready(world, "gpu-1") == ("Unknown", "NodeStatusUnknown")
    assert taints(world, "gpu-1") == [("unreachable", "NoSchedule"), ("unreachable", "NoExecute")]
    assert taints(world, "gpu-2") == []
    assert world.events("NodeNotReady") == ["Node gpu-1 status is now: NodeNotReady"]


def test_conditions_that_the_kubelet_does_not_own_survive_its_silence(world: World) -> None:
    at = world.api.at("nodes", name="gpu-1", sub="status")

    def add(node: Json) -> Json:
        node["status"]["conditions"].append({"type": "SysLogsXIDError", "status": "True"})
        return node

    world.api.change(at, add)
    world.dead.add("gpu-1")
    world.live(10)
    assert condition(world.get("nodes", "gpu-1"), "SysLogsXIDError")["status"] == "True"


def test_pods_of_a_silent_node_stop_serving_at_once_and_are_replaced_after_their_toleration(world: World) -> None:
    world.create("deployments", deployment(2))
    world.run_kubelets()
    world.dead.add("gpu-1")
    world.live(9)
    by_node = {pod["spec"]["nodeName"]: is_ready(pod) for pod in world.pods()}
    assert by_node == {"gpu-1": False, "gpu-2": True}
    assert going(world.pods()) == []
    world.live(6)
    assert going(world.pods()) == ["gpu-1"]
    serving = [pod for pod in world.pods() if is_ready(pod)]
    assert [pod["spec"]["nodeName"] for pod in serving] == ["gpu-2", "gpu-2"]
    [lost] = [pod for pod in world.pods() if pod not in serving]
    assert condition(lost, "DisruptionTarget")["reason"] == "DeletionByTaintManager"


def test_a_node_that_returns_in_time_keeps_its_pods(world: World) -> None:
    world.create("deployments", deployment(2))
    world.run_kubelets()
    before = {pod["metadata"]["uid"] for pod in world.pods()}
    world.dead.add("gpu-1")
    world.live(10)
    world.dead.clear()
    world.live(20)
    assert {pod["metadata"]["uid"] for pod in world.pods() if is_ready(pod)} == before
    assert ready(world, "gpu-1") == ("True", "KubeletReady")
    assert taints(world, "gpu-1") == []


def test_a_node_that_returns_late_finishes_the_pods_that_were_evicted(world: World) -> None:
    world.create("deployments", deployment(2))
    world.run_kubelets()
    world.dead.add("gpu-1")
    world.live(20)
    assert len(world.pods()) == 3
    world.dead.clear()
    world.live(2)
    assert len(world.pods()) == 2
    assert going(world.pods()) == []


def test_a_pod_that_tolerates_everything_stays_on_a_dead_node(world: World) -> None:
    world.create("pods", pod("agent", nodeName="gpu-1", tolerations=[{"operator": "Exists"}]))
    world.run_kubelets()
    world.dead.add("gpu-1")
    world.live(60)
    assert going(world.pods()) == []


def test_new_pods_get_the_tolerations_of_an_ill_node(world: World) -> None:
    created = world.create("pods", pod("p"))
    assert created["spec"]["tolerations"] == [
        {
            "key": f"node.kubernetes.io/{word}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": 5,
        }
        for word in ("not-ready", "unreachable")
    ]


def test_a_no_execute_taint_of_an_operator_evicts_at_once(world: World) -> None:
    world.create("pods", pod("p", nodeName="gpu-1"))
    world.run_kubelets()
    taint = {"key": "maintenance", "effect": "NoExecute"}
    world.edit("nodes", "gpu-1", lambda node: node["spec"].update(taints=[taint]))
    assert going(world.pods()) == ["gpu-1"]
    assert world.events("TaintManagerEviction") == ["Marking for deletion Pod default/p"]


def test_a_new_node_without_a_condition_is_not_ready_and_becomes_unknown_after_the_start_grace() -> None:
    world = World()
    world.create("nodes", {"metadata": {"name": "bare"}}, "")
    assert taints(world, "bare") == [("not-ready", "NoSchedule")]
    world.advance(19)
    assert dig(world.get("nodes", "bare"), "status.conditions") is None
    world.advance(2)
    assert ready(world, "bare") == ("Unknown", "NodeStatusUnknown")


def test_pods_of_a_deleted_node_are_deleted_without_their_kubelet(world: World) -> None:
    world.create("pods", pod("p", nodeName="gpu-1"))
    world.run_kubelets()
    world.delete("nodes", "gpu-1")
    assert world.pods() == []


def test_where_all_nodes_are_lost_none_is_evicted(world: World) -> None:
    world.dead |= {"gpu-1", "gpu-2"}
    world.live(12)
    assert [taints(world, name) for name in ("gpu-1", "gpu-2")] == [[("unreachable", "NoSchedule")]] * 2
    world.dead.remove("gpu-2")
    world.live(2)
    assert taints(world, "gpu-1") == [("unreachable", "NoSchedule"), ("unreachable", "NoExecute")]
    assert taints(world, "gpu-2") == []


def test_where_most_nodes_are_lost_no_further_one_is_evicted(world: World) -> None:
    for number in range(3, 8):
        world.add_node(f"gpu-{number}")
    for number in range(1, 5):  # the fourth of seven makes it 57 %
        world.dead.add(f"gpu-{number}")
        world.live(10)
    evicted = [f"gpu-{n}" for n in range(1, 8) if ("unreachable", "NoExecute") in taints(world, f"gpu-{n}")]
    assert evicted == ["gpu-1", "gpu-2", "gpu-3"]
