"""Endpoints, disruption budgets, garbage, namespaces, and events."""

from typing import Any

import pytest

from scenario_runner.lab.apiserver.deletion import Deletion
from scenario_runner.lab.apiserver.eviction import evict
from scenario_runner.lab.apiserver.failures import ApiError
from scenario_runner.lab.apiserver.objects import Json, condition, is_ready
from tests.lab.apiserver.world import World, deployment, pod

SERVICE = {
    "metadata": {"name": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]},
}


def slices(world: World) -> list[Json]:
    return world.api.select("endpointslices", "default")


def test_a_service_lists_its_ready_pods_and_marks_the_others(world: World) -> None:
    world.create("services", SERVICE)
    world.create("pods", pod("a"))
    world.run_kubelets()
    world.unready.add("server:1")
    world.create("pods", pod("b"))
    world.run_kubelets()
    [found] = slices(world)
    assert found["ports"] == [{"name": "", "port": 8000, "protocol": "TCP"}]
    assert found["metadata"]["labels"]["kubernetes.io/service-name"] == "web"
    conditions = {one["targetRef"]["name"]: one["conditions"] for one in found["endpoints"]}
    assert conditions["b"] == {"ready": False, "serving": False, "terminating": False}
    [subset] = world.get("endpoints", "web")["subsets"]
    assert [one["targetRef"]["name"] for one in subset["notReadyAddresses"]] == ["a", "b"]


def test_a_pod_that_is_going_is_no_longer_ready_behind_its_service(world: World) -> None:
    world.create("services", SERVICE)
    world.create("pods", pod("a"))
    world.run_kubelets()
    world.delete("pods", "a")
    [endpoint] = slices(world)[0]["endpoints"]
    assert endpoint["conditions"] == {"ready": False, "serving": True, "terminating": True}
    world.run_kubelets()
    assert slices(world)[0]["endpoints"] is None


def test_the_endpoints_go_with_their_service(world: World) -> None:
    world.create("services", SERVICE)
    world.delete("services", "web")
    assert slices(world) == []
    assert world.api.select("endpoints") == []


def budget(world: World, **spec: Any) -> None:
    body = {"metadata": {"name": "b"}, "spec": {"selector": {"matchLabels": {"app": "web"}}} | spec}
    world.create("poddisruptionbudgets", body)


def allowed(world: World) -> tuple[int, int, int, int]:
    status = world.get("poddisruptionbudgets", "b")["status"]
    names = ("expectedPods", "desiredHealthy", "currentHealthy", "disruptionsAllowed")
    expected, desired, healthy, count = (int(status[name]) for name in names)
    return expected, desired, healthy, count


@pytest.mark.parametrize(
    ("spec", "figures"),
    [
        ({"minAvailable": 3}, (4, 3, 4, 1)),
        ({"minAvailable": "50%"}, (4, 2, 4, 2)),
        ({"maxUnavailable": 1}, (4, 3, 4, 1)),
        ({"maxUnavailable": "30%"}, (4, 2, 4, 2)),
        ({"minAvailable": 5}, (4, 5, 4, 0)),
    ],
)
def test_a_budget_counts_its_pods(world: World, spec: dict[str, Any], figures: tuple[int, int, int, int]) -> None:
    world.create("deployments", deployment(4))
    budget(world, **spec)
    world.run_kubelets()
    assert allowed(world) == figures


def evict_pod(world: World, name: str, **options: Any) -> None:
    evict(world.api, world.api.at("pods", "default", name, "eviction"), {"deleteOptions": options})
    world.advance(0)


def test_evictions_in_a_row_stop_where_the_budget_is_used_up(world: World) -> None:
    world.create("deployments", deployment(3))
    budget(world, maxUnavailable=1)
    world.run_kubelets()
    first, second, _third = (pod["metadata"]["name"] for pod in world.pods())
    evict_pod(world, first)
    with pytest.raises(ApiError) as refusal:
        evict_pod(world, second)
    assert refusal.value.status() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "Cannot evict pod as it would violate the pod's disruption budget.",
        "reason": "TooManyRequests",
        "details": {
            "causes": [
                {
                    "reason": "DisruptionBudget",
                    "message": "The disruption budget b needs 2 healthy pods and has 2 currently",
                }
            ]
        },
        "code": 429,
    }
    world.run_kubelets()
    evict_pod(world, second)


def test_an_evicted_pod_says_why_it_goes(world: World) -> None:
    world.create("pods", pod("p"))
    world.run_kubelets()
    evict_pod(world, "p")
    found = world.get("pods", "p")
    assert condition(found, "DisruptionTarget")["reason"] == "EvictionByEvictionAPI"
    assert found["metadata"]["deletionGracePeriodSeconds"] == 30


def test_a_dry_eviction_changes_nothing(world: World) -> None:
    world.create("pods", pod("p"))
    world.run_kubelets()
    before = world.get("pods", "p")
    evict_pod(world, "p", dryRun=["All"])
    assert world.get("pods", "p") == before


def test_a_pod_that_does_not_serve_may_be_evicted_while_enough_others_do(world: World) -> None:
    world.unready.add("server:ill")
    ill = pod("ill")
    ill["spec"]["containers"][0]["image"] = "server:ill"
    world.create("pods", ill)
    world.create("deployments", deployment(2))
    world.run_kubelets()
    budget(world, minAvailable=2)
    evict_pod(world, "ill")
    assert "deletionTimestamp" in world.get("pods", "ill")["metadata"]


def child(name: str, owner: Json, **reference: Any) -> Json:
    known = {"apiVersion": owner["apiVersion"], "kind": owner["kind"]}
    known |= {"name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
    return {"metadata": {"name": name, "ownerReferences": [known | reference]}}


def test_dependents_are_deleted_after_their_owner(world: World) -> None:
    owner = world.create("configmaps", {"metadata": {"name": "owner"}})
    world.create("configmaps", child("child", owner))
    world.delete("configmaps", "owner")
    assert [one["metadata"]["name"] for one in world.api.select("configmaps", "default")] == ["kube-root-ca.crt"]


def test_a_dependent_of_an_owner_that_never_was_is_deleted(world: World) -> None:
    ghost = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ghost", "uid": "0-0"}}
    world.create("configmaps", child("child", ghost))
    assert [one["metadata"]["name"] for one in world.api.select("configmaps", "default")] == ["kube-root-ca.crt"]


def test_foreground_deletion_takes_the_dependents_first(world: World) -> None:
    world.create("deployments", deployment(1))
    world.run_kubelets()
    world.delete("deployments", "web", Deletion(propagation="Foreground"))
    assert world.get("deployments", "web")["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert "deletionTimestamp" in world.pods()[0]["metadata"]
    world.run_kubelets()
    assert world.pods() == []
    assert world.api.select("replicasets") + world.api.select("deployments") == []


def test_orphaning_deletion_leaves_the_dependents_alone(world: World) -> None:
    world.create("deployments", deployment(1))
    world.run_kubelets()
    world.delete("deployments", "web", Deletion(propagation="Orphan"))
    assert world.api.select("deployments") == []
    [replica_set] = world.api.select("replicasets")
    assert "ownerReferences" not in replica_set["metadata"]
    assert is_ready(world.pods()[0])


def test_a_deleted_namespace_is_emptied_before_it_goes(world: World) -> None:
    world.create("namespaces", {"metadata": {"name": "team"}}, "")
    world.create("deployments", deployment(1), "team")
    world.run_kubelets()
    world.delete("namespaces", "team", namespace="")
    assert world.get("namespaces", "team", "")["status"]["phase"] == "Terminating"
    with pytest.raises(ApiError) as refusal:
        world.create("configmaps", {"metadata": {"name": "late"}}, "team")
    assert (refusal.value.code, refusal.value.reason) == (403, "Forbidden")
    world.run_kubelets()
    assert [one for one in world.api.store.everything() if "team" in one[0]] == []


def test_each_namespace_gets_a_default_service_account(world: World) -> None:
    names = {one["metadata"]["namespace"] for one in world.api.select("serviceaccounts")}
    assert names == {"default", "kube-system", "kube-public", "kube-node-lease"}


def test_a_repeated_event_is_counted_instead_of_written_again(world: World) -> None:
    world.create("deployments", deployment(1))
    for replicas in (0, 1, 0, 1):
        world.edit("deployments", "web", lambda d, n=replicas: d["spec"].update(replicas=n))  # type: ignore[misc]
        world.run_kubelets()
    counts = [one["count"] for one in world.api.select("events") if one["reason"] == "ScalingReplicaSet"]
    assert sorted(counts) == [2, 3]
