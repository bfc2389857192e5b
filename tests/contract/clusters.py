"""Clusters for the contract tests: the fake one, and a real API server with a hand that does what controllers do."""

import json
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from scenario_runner.adapters.kubernetes_cluster import KubernetesCluster
from scenario_runner.core.ports import Cluster, ObjectRef
from scenario_runner.core.states import BudgetState, NodeState, PodState
from tests.fakes import FakeCluster

DEPLOYMENT = ObjectRef("apps/v1", "Deployment", "default", "web", "")
CONTAINER = {"name": "main", "image": "web", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}


class Stand(Protocol):
    """A cluster and a hand that changes it."""

    cluster: Cluster

    def add_node(self, name: str, **labels: str) -> None: ...
    def cordon(self, name: str) -> None: ...
    def remove_node(self, name: str) -> None: ...
    def add_pod(self, name: str, node: str, **labels: str) -> None: ...
    def add_deployment(self) -> ObjectRef: ...
    def add_budget(self) -> None: ...


BUDGET = {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}


class FakeStand:
    """The fake cluster of the tests."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()

    def add_node(self, name: str, **labels: str) -> None:
        self.cluster.put(NodeState(name, f"uid-{name}", labels=labels))

    def cordon(self, name: str) -> None:
        self.cluster.change_node(name, unschedulable=True)

    def remove_node(self, name: str) -> None:
        self.cluster.remove(self.cluster.node_states[name])

    def add_pod(self, name: str, node: str, **labels: str) -> None:
        self.cluster.put(PodState("default", name, f"uid-{name}", node, labels=labels))

    def add_budget(self) -> None:
        self.cluster.budget_states.append(BudgetState("default", "keep", "app=web", 0, "minAvailable 1"))

    def add_deployment(self) -> ObjectRef:
        content = {"spec": {"template": {"spec": {"containers": [json.loads(json.dumps(CONTAINER))]}}}}
        self.cluster.documents["Deployment/default/web"] = {"uid": "uid-web", "version": 1, "content": content}
        return replace(DEPLOYMENT, uid="uid-web")


class RealStand:
    """The lab's API server; without a kubelet nothing becomes ready."""

    def __init__(self, kubeconfig: Path) -> None:
        self._api = json.loads(kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
        self.cluster = KubernetesCluster(kubeconfig)
        self._made: list[str] = []

    def add_node(self, name: str, **labels: str) -> None:
        self._create(
            "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
        )

    def cordon(self, name: str) -> None:
        self.call("PATCH", f"/api/v1/nodes/{name}", {"spec": {"unschedulable": True}})

    def remove_node(self, name: str) -> None:
        path = f"/api/v1/nodes/{name}"
        self._made.remove(path)
        self.call("DELETE", path)

    def add_pod(self, name: str, node: str, **labels: str) -> None:
        spec = {"nodeName": node, "containers": [{"name": "main", "image": "web"}]}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}
        self._create("/api/v1/namespaces/default/pods", body)

    def add_deployment(self) -> ObjectRef:
        template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [CONTAINER]}}
        spec = {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": template}
        body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}
        made = self._create("/apis/apps/v1/namespaces/default/deployments", body)
        return replace(DEPLOYMENT, uid=made["metadata"]["uid"])

    def add_budget(self) -> None:
        body = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "keep"}, "spec": BUDGET}
        self._create("/apis/policy/v1/namespaces/default/poddisruptionbudgets", body)

    def leave_nothing(self) -> None:
        for path in reversed(self._made):
            self.call("DELETE", path, {"gracePeriodSeconds": 0})
        self.cluster.close()

    def call(self, method: str, path: str, body: Any = None) -> Any:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._api + path, data, {"Content-Type": kind}, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def _create(self, path: str, body: dict[str, Any]) -> Any:
        made = self.call("POST", path, body)
        self._made.append(f"{path}/{made['metadata']['name']}")
        return made


def write_kubeconfig(folder: Path, url: str, token: str = "") -> Path:
    """A kubeconfig for one server, as JSON (which is YAML)."""
    path = folder / "kubeconfig"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": url}}],
        "users": [{"name": "me", "user": {"token": token} if token else {}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "me"}}],
    }
    path.write_text(json.dumps(content))
    return path
