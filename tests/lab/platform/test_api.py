"""The calls that the stand-in makes, on the fake and on the lab's real API server alike."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scenario_runner.lab.platform import maintenance
from scenario_runner.lab.platform.api import Api, ApiTrouble, Json, LabApi
from scenario_runner.lab.platform.cluster import Cluster
from tests.lab.platform.fake_api import FakeApi
from tests.lab.platform.real_api import api_server


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.lab)])
def api(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Api]:
    if request.param == "fake":
        yield FakeApi()
    else:
        with api_server(tmp_path) as kubeconfig:
            yield LabApi(kubeconfig)


@pytest.fixture
def cluster(api: Api) -> Cluster:
    cluster = Cluster(api)
    cluster.prepare(maintenance.definitions())
    return cluster


def make_node(api: Api, name: str = "gpu-1") -> None:
    api.create("/api/v1/nodes", {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"a": "b"}}, "spec": {},
    })  # fmt: skip
    condition = {"type": "Ready", "status": "True", "reason": "r", "message": "m"}
    status = {"conditions": [condition], "nodeInfo": {"bootID": "boot-1"}}
    api.patch(f"/api/v1/nodes/{name}/status", {"status": status}, strategic=True)


def make_pod(api: Api, name: str, node: str) -> None:
    spec: Json = {"nodeName": node, "containers": [{"name": "worker", "image": "lab/x:1"}]}
    meta: Json = {"name": name, "namespace": "default"}
    api.create("/api/v1/namespaces/default/pods", {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})


def test_preparing_twice_is_fine(api: Api, cluster: Cluster) -> None:
    cluster.prepare(maintenance.definitions())
    assert api.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/rebootnodes.janitor.dgxc.nvidia.com")


def test_a_patch_sets_and_removes_labels_annotations_and_the_cordon(api: Api, cluster: Cluster) -> None:
    make_node(api)
    cluster.patch_node(
        "gpu-1",
        {"metadata": {"labels": {"x": "1", "a": None}, "annotations": {"n": "2"}}, "spec": {"unschedulable": True}},
    )
    node = cluster.nodes()["gpu-1"]
    assert (node.labels.get("x"), "a" in node.labels, node.annotations.get("n"), node.unschedulable) == (
        "1",
        False,
        "2",
        True,
    )
    cluster.patch_node(
        "gpu-1",
        {
            "metadata": {"labels": {"x": None, "never": None}, "annotations": {"n": None}},
            "spec": {"unschedulable": False},
        },
    )
    node = cluster.nodes()["gpu-1"]
    assert ("x" in node.labels, "n" in node.annotations, node.unschedulable) == (False, False, False)


def test_a_condition_is_added_beside_the_others_and_replaced_by_its_type(api: Api, cluster: Cluster) -> None:
    make_node(api)
    for status in ("True", "False"):
        condition = {"type": "SysLogsXIDError", "status": status, "reason": f"Is{status}", "message": "m"}
        cluster.set_condition("gpu-1", condition)
    node = cluster.nodes()["gpu-1"]
    assert node.is_up_in("boot-1")
    assert not node.is_up_in("boot-2")
    kinds = [one["type"] for one in node.raw["status"]["conditions"] if one["type"] in ("Ready", "SysLogsXIDError")]
    assert sorted(kinds) == ["Ready", "SysLogsXIDError"]
    found = node.condition("SysLogsXIDError") or {}
    assert (found["status"], found["reason"]) == ("False", "IsFalse")


def test_a_patch_of_a_node_that_is_not_there_is_trouble_404(cluster: Cluster) -> None:
    with pytest.raises(ApiTrouble) as caught:
        cluster.patch_node("gpu-9", {"metadata": {"labels": {"x": "1"}}})
    assert caught.value.status == 404


def test_only_the_pods_of_the_node_are_listed(api: Api, cluster: Cluster) -> None:
    for node in ("gpu-1", "gpu-2"):
        make_node(api, node)
        make_pod(api, f"pod-on-{node}", node)
    assert [pod["metadata"]["name"] for pod in cluster.pods_on("gpu-2")] == ["pod-on-gpu-2"]


def test_an_evicted_pod_is_gone_or_going_and_one_that_is_gone_counts_as_evicted(api: Api, cluster: Cluster) -> None:
    make_node(api)
    make_pod(api, "worker", "gpu-1")
    assert cluster.evict("default", "worker")
    left = cluster.pods_on("gpu-1")
    assert all("deletionTimestamp" in pod["metadata"] for pod in left)
    assert cluster.evict("default", "never-there")


def test_a_config_begins_empty_and_keeps_the_keys_that_are_not_set_again(cluster: Cluster) -> None:
    assert cluster.config("circuit-breaker") == {}
    cluster.set_config("circuit-breaker", {"status": "CLOSED", "cordoned": "{}"})
    cluster.set_config("circuit-breaker", {"status": "TRIPPED"})
    assert cluster.config("circuit-breaker") == {"status": "TRIPPED", "cordoned": "{}"}


@pytest.mark.parametrize("kind", maintenance.KINDS, ids=lambda kind: kind.kind)
def test_a_repair_is_made_once_listed_and_decided_by_its_status(cluster: Cluster, kind: maintenance.Kind) -> None:
    body = maintenance.body(kind, "maintenance-gpu-1-x", "gpu-1", ("GPU-1",))
    cluster.create_maintenance(kind.plural, body)
    cluster.create_maintenance(kind.plural, body)
    [found] = cluster.maintenances(kind.plural)
    assert (found["spec"], maintenance.verdict(kind, found)) == (body["spec"], None)
    conditions = [{"type": kind.done, "status": "True", "reason": "r", "message": "m"}]
    cluster.set_maintenance_status(kind.plural, "maintenance-gpu-1-x", {"conditions": conditions, "startTime": "t"})
    done = cluster.maintenance(kind.plural, "maintenance-gpu-1-x")
    assert maintenance.verdict(kind, done) is True
    assert cluster.maintenance(kind.plural, "another") is None


def test_an_event_on_a_node_is_made(api: Api, cluster: Cluster) -> None:
    cluster.create_event(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": "gpu-1.x", "namespace": "default"},
            "involvedObject": {"apiVersion": "v1", "kind": "Node", "name": "gpu-1", "uid": "gpu-1"},
            "type": "SysLogsXIDError",
            "reason": "SysLogsXIDErrorIsNotHealthy",
            "message": "m",
        }
    )
    found = api.get("/api/v1/namespaces/default/events/gpu-1.x") or {}
    assert (found["reason"], found["type"]) == ("SysLogsXIDErrorIsNotHealthy", "SysLogsXIDError")


@pytest.mark.lab
def test_an_eviction_that_a_budget_forbids_is_refused_and_the_pod_stays(tmp_path: Path) -> None:
    with api_server(tmp_path) as kubeconfig:
        api = LabApi(kubeconfig)
        make_node(api)
        make_pod(api, "worker", "gpu-1")
        api.patch("/api/v1/namespaces/default/pods/worker", {"metadata": {"labels": {"app": "worker"}}})
        ready = {"conditions": [{"type": "Ready", "status": "True"}], "phase": "Running"}
        api.patch("/api/v1/namespaces/default/pods/worker/status", {"status": ready}, strategic=True)
        api.create("/apis/policy/v1/namespaces/default/poddisruptionbudgets", {
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b", "namespace": "default"},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "worker"}}},
        })  # fmt: skip
        assert Cluster(api).evict("default", "worker") is False
        [pod] = Cluster(api).pods_on("gpu-1")
        assert "deletionTimestamp" not in pod["metadata"]


@pytest.mark.lab
def test_a_watch_reports_each_change_and_survives_the_loss_of_its_server(tmp_path: Path) -> None:
    connected, changed, stop = threading.Event(), threading.Event(), threading.Event()
    with api_server(tmp_path) as kubeconfig:
        api = LabApi(kubeconfig)
        make_node(api)
        watcher = threading.Thread(target=api.watch_nodes, args=(connected.set, changed.set, stop), daemon=True)
        watcher.start()
        assert connected.wait(20)
        changed.clear()
        Cluster(api).patch_node("gpu-1", {"metadata": {"labels": {"x": "1"}}})
        assert changed.wait(20)
    changed.clear()
    assert changed.wait(20)
    stop.set()
    watcher.join(20)
    assert not watcher.is_alive()


def test_a_server_that_is_not_there_is_trouble_without_a_status(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text('{"clusters": [{"cluster": {"server": "http://127.0.0.1:1"}}], "users": [{"user": {}}]}')
    with pytest.raises(ApiTrouble) as caught:
        LabApi(kubeconfig).get("/api/v1/nodes/gpu-1")
    assert (caught.value.status, str(caught.value)) == (
        0,
        "GET /api/v1/nodes/gpu-1: [Errno 111] Connection refused",
    )


@pytest.mark.parametrize(
    ("server", "complaint"),
    [
        ("https://10.0.0.1:6443", "names https://10.0.0.1:6443 without a file of the authority that signed for it"),
        ("ftp://10.0.0.1", "names ftp://10.0.0.1, which is neither http nor https"),
    ],
)
def test_a_server_that_can_not_be_spoken_to_is_named(tmp_path: Path, server: str, complaint: str) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(f'{{"clusters": [{{"cluster": {{"server": "{server}"}}}}], "users": [{{"user": {{}}}}]}}')
    with pytest.raises(ValueError, match=f"^{re.escape(f'{kubeconfig} {complaint}')}$"):
        LabApi(kubeconfig)
