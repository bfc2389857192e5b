"""The Kubernetes API as `core.ports.Cluster`: the questions and edits of the runner, and nothing else of Kubernetes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from scenario_runner.adapters.kubernetes_edits import json_patch, precondition
from scenario_runner.adapters.kubernetes_objects import (
    WORKLOAD_KINDS,
    list_path,
    node_state,
    pod_state,
    service_state,
    workload_state,
)
from scenario_runner.adapters.kubernetes_rest import KubernetesRest
from scenario_runner.adapters.kubernetes_watch import KubernetesWatch
from scenario_runner.core.ports import Document, Edit, ObjectRef, Seen, Subscription, Watch
from scenario_runner.core.states import NodeState, PodState, ServiceState, WorkloadState
from scenario_runner.errors import TargetRefused

Json = Any
_SILENCE = 90.0  # seconds; servers send a bookmark at least once a minute, so more means that nobody is there
_CORE = {
    "Node": "nodes",
    "Pod": "pods",
    "Service": "services",
    "ConfigMap": "configmaps",
    "Event": "events",
    "Namespace": "namespaces",
}
_APPS = {
    "Deployment": "deployments",
    "StatefulSet": "statefulsets",
    "DaemonSet": "daemonsets",
    "ReplicaSet": "replicasets",
}
_PLURALS = {("v1", kind): plural for kind, plural in _CORE.items()} | {
    ("apps/v1", kind): plural for kind, plural in _APPS.items()
}


class KubernetesCluster:
    """
    Implements `core.ports.Cluster` for the server that a kubeconfig names.

    No request is retried and none takes longer than `timeout` seconds. Raise Refused for an unusable kubeconfig.
    """

    def __init__(
        self, kubeconfig: Path, *, context: str | None = None, timeout: float = 5.0, silence: float = _SILENCE
    ) -> None:
        self._rest = KubernetesRest(kubeconfig, context=context, timeout=timeout)
        self._silence = silence
        self._plurals = dict(_PLURALS)

    def close(self) -> None:
        """Close idle connections; a watch has its own `close`."""
        self._rest.close()

    @property
    def url(self) -> str:
        """The API server's address."""
        return self._rest.url

    def identity(self) -> str:
        return str(self._must("/api/v1/namespaces/kube-system")["metadata"]["uid"])

    def namespaces(self) -> tuple[str, ...]:
        return tuple(one["metadata"]["name"] for one in self._items("/api/v1/namespaces"))

    def node(self, name: str) -> NodeState | None:
        raw = self._rest.get(f"/api/v1/nodes/{name}")
        return None if raw is None else node_state(raw)

    def nodes(self, selector: str = "") -> tuple[NodeState, ...]:
        return tuple(map(node_state, self._items("/api/v1/nodes", selector)))

    def pods(self, namespace: str, selector: str = "") -> tuple[PodState, ...]:
        return tuple(map(pod_state, self._items(list_path("pods", namespace), selector)))

    def workload(self, kind: str, namespace: str, name: str) -> WorkloadState | None:
        if kind not in WORKLOAD_KINDS:
            raise TargetRefused(f"{kind} is no kind of workload; there are {', '.join(WORKLOAD_KINDS)}", code="BadKind")
        raw = self._rest.get(f"/apis/apps/v1/namespaces/{namespace}/{WORKLOAD_KINDS[kind]}/{name}")
        return None if raw is None else workload_state(kind, raw)

    def workloads(self, namespace: str) -> tuple[WorkloadState, ...]:
        return tuple(
            workload_state(kind, raw)
            for kind, plural in WORKLOAD_KINDS.items()
            for raw in self._items(f"/apis/apps/v1/namespaces/{namespace}/{plural}")
        )

    def service(self, namespace: str, name: str) -> ServiceState | None:
        raw = self._rest.get(f"/api/v1/namespaces/{namespace}/services/{name}")
        return None if raw is None else service_state(raw)

    def services(self, namespace: str) -> tuple[ServiceState, ...]:
        return tuple(map(service_state, self._items(list_path("services", namespace))))

    def logs(self, namespace: str, pod: str, *, previous: bool, max_bytes: int) -> str:
        query = {"previous": str(previous).lower(), "limitBytes": str(max_bytes)}
        return self._rest.text(f"/api/v1/namespaces/{namespace}/pods/{pod}/log", query)

    def describe(self, kind: str, namespace: str, name: str) -> str:
        versions = {known.lower(): (version, known) for version, known in self._plurals}
        if kind.lower() not in versions:
            raise TargetRefused(f"cannot describe a {kind}; there are {', '.join(sorted(versions))}", code="BadKind")
        version, known = versions[kind.lower()]
        raw = self._must(self._path(ObjectRef(version, known, namespace, name)))
        raw["metadata"].pop("managedFields", None)
        return yaml.safe_dump(raw, sort_keys=False, allow_unicode=True, width=120)

    def follow(self, watch: Watch, sink: Callable[[Seen], None]) -> Subscription:
        subscription = KubernetesWatch(self._rest, watch, sink, self._silence)
        subscription.start()
        return subscription

    def read(self, ref: ObjectRef) -> Document | None:
        raw = self._rest.get(self._path(ref))
        return None if raw is None else _document(ref, raw)

    def edit(self, ref: ObjectRef, resource_version: str, edits: tuple[Edit, ...]) -> Document:
        path = self._path(ref)
        now = self._must(path)
        if (now["metadata"]["uid"], now["metadata"]["resourceVersion"]) != (ref.uid, resource_version):
            raise self._conflict(ref)
        try:
            operations = precondition(ref.uid, resource_version) + json_patch(now, edits)
            return _document(ref, self._rest.json_patch(path, operations))
        except TargetRefused as refusal:
            # A failed test and an invalid result are both 422: only another look tells them apart.
            if refusal.code in {"Invalid", "Conflict"} and self._changed(ref, resource_version):
                raise self._conflict(ref) from refusal
            raise

    def _changed(self, ref: ObjectRef, resource_version: str) -> bool:
        now = self.read(ref)
        return now is None or (now.ref.uid, now.resource_version) != (ref.uid, resource_version)

    @staticmethod
    def _conflict(ref: ObjectRef) -> TargetRefused:
        name = f"{ref.namespace}/{ref.name}" if ref.namespace else ref.name
        return TargetRefused(f"{ref.kind} {name} has changed since it was read", code="Conflict")

    def _items(self, path: str, selector: str = "") -> list[Json]:
        answer = self._rest.get(path, {"labelSelector": selector} if selector else None)
        if answer is None:
            raise TargetRefused(f"the API server at {self.url} has no {path}", code="NotFound")
        items: list[Json] = answer["items"]
        return items

    def _must(self, path: str) -> Json:
        raw = self._rest.get(path)
        if raw is None:
            raise TargetRefused(f"{path.removeprefix('/api/v1/')} does not exist", code="NotFound")
        return raw

    def _path(self, ref: ObjectRef) -> str:
        root = f"/apis/{ref.api_version}" if "/" in ref.api_version else f"/api/{ref.api_version}"
        namespace = f"/namespaces/{ref.namespace}" if ref.namespace else ""
        return f"{root}{namespace}/{self._plural(root, ref)}/{ref.name}"

    def _plural(self, root: str, ref: ObjectRef) -> str:
        """The name in the path; looked up in discovery (once) for kinds that are not built in."""
        if (ref.api_version, ref.kind) not in self._plurals:
            known = self._rest.get(root) or {"resources": ()}
            for one in known["resources"]:
                if "/" not in one["name"]:
                    self._plurals[ref.api_version, one["kind"]] = one["name"]
        plural = self._plurals.get((ref.api_version, ref.kind))
        if plural is None:
            raise TargetRefused(
                f"the API server at {self.url} knows no {ref.kind} in {ref.api_version}", code="BadKind"
            )
        return plural


def _document(ref: ObjectRef, raw: Json) -> Document:
    metadata = raw["metadata"]
    found = ObjectRef(ref.api_version, ref.kind, ref.namespace, ref.name, metadata["uid"])
    return Document(found, metadata["resourceVersion"], raw)
