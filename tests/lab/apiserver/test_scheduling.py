"""The scheduler: GPUs, cordons, taints, selectors, and what it says when nothing fits."""

from typing import Any

import pytest

from scenario_runner.lab.apiserver.objects import condition
from scenario_runner.lab.controllers.fitting import quantity
from tests.lab.apiserver.world import World, deployment, pod


def node_of(world: World, name: str) -> str | None:
    return world.get("pods", name)["spec"].get("nodeName")


def why_unscheduled(world: World, name: str) -> str:
    found = condition(world.get("pods", name), "PodScheduled")
    assert (found["status"], found["reason"]) == ("False", "Unschedulable")
    return str(found["message"])


def test_pods_of_one_owner_are_spread_over_the_nodes(world: World) -> None:
    world.create("deployments", deployment(4, gpus=1))
    assert sorted(pod["spec"]["nodeName"] for pod in world.pods()) == ["gpu-1", "gpu-1", "gpu-2", "gpu-2"]


def test_a_bound_pod_has_an_event_and_a_condition(world: World) -> None:
    world.create("pods", pod("p"))
    assert condition(world.get("pods", "p"), "PodScheduled")["status"] == "True"
    assert world.events("Scheduled") == ["Successfully assigned default/p to gpu-1"]


def test_gpus_are_never_given_out_twice(world: World) -> None:
    for number in range(3):
        world.create("pods", pod(f"p{number}", gpus=8))
    assert [node_of(world, f"p{number}") for number in range(3)] == ["gpu-1", "gpu-2", None]
    assert why_unscheduled(world, "p2") == "0/2 nodes are available: 2 Insufficient nvidia.com/gpu."
    assert world.events("FailedScheduling") == ["0/2 nodes are available: 2 Insufficient nvidia.com/gpu."]


def test_a_pod_that_waits_is_scheduled_when_another_is_gone(world: World) -> None:
    for number in range(3):
        world.create("pods", pod(f"p{number}", gpus=8))
    world.run_kubelets()
    world.delete("pods", "p0")
    assert node_of(world, "p2") is None, "a pod that is going still holds its GPUs"
    world.run_kubelets()
    assert node_of(world, "p2") == "gpu-1"


def test_a_cordoned_node_gets_no_pods_until_it_is_uncordoned(world: World) -> None:
    for name in ("gpu-1", "gpu-2"):
        world.edit("nodes", name, lambda node: node["spec"].update(unschedulable=True))
    assert world.get("nodes", "gpu-1")["spec"]["taints"] == [
        {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    ]
    world.create("pods", pod("p"))
    assert why_unscheduled(world, "p") == "0/2 nodes are available: 2 node(s) were unschedulable."
    world.edit("nodes", "gpu-2", lambda node: node["spec"].pop("unschedulable"))
    assert "taints" not in world.get("nodes", "gpu-2")["spec"]
    assert node_of(world, "p") == "gpu-2"


@pytest.mark.parametrize(
    ("toleration", "expected"),
    [
        ({"key": "gpu", "value": "ill", "effect": "NoSchedule"}, "gpu-1"),
        ({"key": "gpu", "operator": "Exists"}, "gpu-1"),
        ({"operator": "Exists"}, "gpu-1"),
        ({"key": "gpu", "value": "well"}, "gpu-2"),
        ({"key": "gpu", "operator": "Exists", "effect": "NoExecute"}, "gpu-2"),
    ],
)
def test_a_taint_keeps_away_pods_that_do_not_tolerate_it(
    world: World, toleration: dict[str, str], expected: str
) -> None:
    taint = {"key": "gpu", "value": "ill", "effect": "NoSchedule"}
    world.edit("nodes", "gpu-1", lambda node: node["spec"].update(taints=[taint]))
    world.create("pods", pod("p", tolerations=[toleration]))
    assert node_of(world, "p") == expected


def _affinity(*expressions: dict[str, Any]) -> dict[str, Any]:
    terms = {"nodeSelectorTerms": [{"matchExpressions": list(expressions)}]}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}}


@pytest.mark.parametrize(
    "spec",
    [
        {"nodeSelector": {"kubernetes.io/hostname": "gpu-2"}},
        _affinity({"key": "kubernetes.io/hostname", "operator": "In", "values": ["gpu-2"]}),
        _affinity({"key": "kubernetes.io/hostname", "operator": "NotIn", "values": ["gpu-1"]}),
        _affinity({"key": "driver", "operator": "Exists"}),
        _affinity({"key": "driver", "operator": "Gt", "values": ["500"]}),
    ],
)
def test_a_pod_goes_where_its_selector_says(world: World, spec: dict[str, Any]) -> None:
    world.edit("nodes", "gpu-2", lambda node: node["metadata"]["labels"].update(driver="570"))
    world.create("pods", pod("p", **spec))
    assert node_of(world, "p") == "gpu-2"


def test_a_pod_without_a_node_to_go_to_waits_for_one() -> None:
    world = World()
    world.create("pods", pod("p"))
    assert why_unscheduled(world, "p") == "no nodes available to schedule pods"
    world.add_node("late")
    assert node_of(world, "p") == "late"


@pytest.mark.parametrize(
    ("text", "value"), [("500m", 0.5), ("2", 2.0), (8, 8.0), ("1Gi", 2.0**30), ("64M", 64e6), ("1500k", 1.5e6)]
)
def test_a_quantity_is_read_with_its_suffix(text: str | float, value: float) -> None:
    assert quantity(text) == pytest.approx(value)
