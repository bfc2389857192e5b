"""The Kubernetes API as `core.ports.Cluster`: the questions and edits of the runner, and nothing else of Kubernetes."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from scenario_runner.adapters.kubeconfig import Selection, select
from scenario_runner.adapters.kubernetes_access import Access
from scenario_runner.adapters.kubernetes_changes import KubernetesChanges
from scenario_runner.adapters.kubernetes_lists import names, pages, selection
from scenario_runner.adapters.kubernetes_objects import (
    budget_state,
    list_path,
    node_state,
    pod_state,
    service_state,
    workload_state,
)
from scenario_runner.adapters.kubernetes_paths import KubernetesPaths
from scenario_runner.adapters.kubernetes_rest import KubernetesRest
from scenario_runner.adapters.kubernetes_watch import KubernetesWatch
from scenario_runner.adapters.service_ways import ServiceWays, Wish
from scenario_runner.core.clock import Bell, Clock, SystemClock
from scenario_runner.core.permissions import Permission
from scenario_runner.core.ports import Document, Edit, ObjectRef, Seen, Subscription, Watch
from scenario_runner.core.states import BudgetState, NodeState, PodState, ServiceState, WorkloadState
from scenario_runner.errors import TargetRefused
from scenario_runner.workloads.kinds import KINDS

Json = Any
_ALL: Mapping[str, str] = MappingProxyType({})
_SILENCE = 90.0  # seconds; servers send a bookmark at least once a minute, so more means that nobody is there


class KubernetesCluster:
    """
    Implements `core.ports.Cluster` for the server that a kubeconfig names.

    No request takes longer than `timeout` seconds, all its tries together. Raise Refused for an unusable kubeconfig.
    """

    def __init__(
        self,
        kubeconfig: Path | Selection,
        *,
        timeout: float = 5.0,
        silence: float = _SILENCE,
        clock: Clock | None = None,
        reach: Wish = "direct",
    ) -> None:
        """A path stands for the current context of that file; `reach` is how requests of ours get to services."""
        clock = clock or SystemClock(Bell())
        selection = select([kubeconfig], None) if isinstance(kubeconfig, Path) else kubeconfig
        self._rest = KubernetesRest(Access(selection, clock), clock, timeout=timeout)
        self._silence = silence
        self._ways = ServiceWays(self._rest, reach)
        self._paths = KubernetesPaths(self._rest)
        self._changes = KubernetesChanges(self._rest, self._paths)

    def close(self) -> None:
        """Close idle connections; a watch has its own `close`."""
        self._rest.close()

    @property
    def address(self) -> str:
        """The API server's scheme, host and port."""
        return self._rest.address

    @property
    def rest(self) -> KubernetesRest:
        """For what else speaks through this API server."""
        return self._rest

    def identity(self) -> str:
        return str(self._must("/api/v1/namespaces/kube-system")["metadata"]["uid"])

    def namespaces(self) -> tuple[str, ...]:
        return tuple(one["metadata"]["name"] for one in self._items("/api/v1/namespaces"))

    def may(self, permission: Permission) -> bool:
        """Whether the API server would let us."""
        resource, _, subresource = permission.resource.partition("/")
        attributes = {
            "verb": permission.verb,
            "group": permission.group,
            "resource": resource,
            "subresource": subresource,
            "namespace": permission.namespace,
            "name": permission.name,
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
        }
        answer = self._rest.send("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
        return bool(answer["status"].get("allowed"))

    def node(self, name: str) -> NodeState | None:
        raw = self._rest.get(f"/api/v1/nodes/{name}")
        return None if raw is None else node_state(raw)

    def nodes(self, selector: str = "", *, cordoned: bool = False) -> tuple[NodeState, ...]:
        query = selection(selector, {"spec.unschedulable": "true" if cordoned else ""})
        return tuple(map(node_state, self._items("/api/v1/nodes", query)))

    def node_names(self, selector: str = "") -> tuple[str, ...]:
        return tuple(names(self._rest, "/api/v1/nodes", selection(selector)))

    def pods(self, namespace: str, selector: str = "", *, name: str = "", node: str = "") -> tuple[PodState, ...]:
        query = selection(selector, {"metadata.name": name, "spec.nodeName": node})
        return tuple(map(pod_state, self._items(list_path("pods", namespace), query)))

    def workload(self, kind: str, namespace: str, name: str) -> WorkloadState | None:
        if kind not in KINDS:
            raise TargetRefused(f"{kind} is no kind of workload; there are {', '.join(KINDS)}", code="BadKind")
        version, raw = self._first(kind, namespace, f"/{name}")
        return None if raw is None else workload_state(kind, version, raw)

    def workloads(self, namespace: str) -> tuple[WorkloadState, ...]:
        found: list[WorkloadState] = []
        for kind in KINDS:
            version, raw = self._first(kind, namespace)
            found += [workload_state(kind, version, one) for one in (raw or {"items": ()})["items"]]
        return tuple(found)

    def _first(self, kind: str, namespace: str, name: str = "") -> tuple[str, Json | None]:
        """What there is in the first version of a kind of workload that has it; not every cluster knows every kind."""
        known = KINDS[kind]
        for version in known.api_versions:
            raw = self._rest.get(f"/apis/{version}/namespaces/{namespace}/{known.plural}{name}")
            if raw is not None:
                return version, raw
        return "", None

    def service(self, namespace: str, name: str) -> ServiceState | None:
        raw = self._rest.get(f"/api/v1/namespaces/{namespace}/services/{name}")
        if raw is None:
            return None
        way = self._ways.way(raw)
        return replace(service_state(raw), way=way.name, urls=way.urls)

    def services(self, namespace: str) -> tuple[ServiceState, ...]:
        return tuple(map(service_state, self._items(list_path("services", namespace))))

    def budgets(self) -> tuple[BudgetState, ...]:
        return tuple(filter(None, map(budget_state, self._items(list_path("policy/v1/poddisruptionbudgets")))))

    def logs(self, namespace: str, pod: str, *, previous: bool, max_bytes: int) -> str:
        query = {"previous": str(previous).lower(), "limitBytes": str(max_bytes)}
        return self._rest.text(f"/api/v1/namespaces/{namespace}/pods/{pod}/log", query)

    def describe(self, kind: str, namespace: str, name: str) -> str:
        raw = self._described(kind, namespace, name)
        raw["metadata"].pop("managedFields", None)
        return yaml.safe_dump(raw, sort_keys=False, allow_unicode=True, width=120)

    def _described(self, kind: str, namespace: str, name: str) -> Json:
        if kind.lower() not in KINDS:
            version, known = self._paths.kind(kind)
            return self._must(self._paths.of(ObjectRef(version, known, namespace, name)))
        _, raw = self._first(kind.lower(), namespace, f"/{name}")
        if raw is None:
            raise TargetRefused(f"there is no {kind}/{name} in namespace {namespace}", code="NotFound")
        return raw

    def follow(self, watch: Watch, sink: Callable[[Seen], None]) -> Subscription:
        subscription = KubernetesWatch(self._rest, watch, sink, self._silence)
        subscription.start()
        return subscription

    def read(self, ref: ObjectRef) -> Document | None:
        return self._changes.read(ref)

    def refuses_pod(self, namespace: str, pod: Mapping[str, Any]) -> str:
        return self._changes.refuses_pod(namespace, pod)

    def edit(self, ref: ObjectRef, resource_version: str, edits: tuple[Edit, ...]) -> Document:
        return self._changes.edit(ref, resource_version, edits)

    def claim(self, ref: ObjectRef, claim: str) -> Document:
        return self._changes.claim(ref, claim)

    def edit_claimed(self, ref: ObjectRef, claim: str, edits: tuple[Edit, ...]) -> Document:
        return self._changes.edit_claimed(ref, claim, edits)

    def create(self, ref: ObjectRef, claim: str, content: Mapping[str, Any]) -> Document:
        return self._changes.create(ref, claim, content)

    def delete(self, ref: ObjectRef) -> None:
        self._changes.delete(ref)

    def _items(self, path: str, query: Mapping[str, str] = _ALL) -> Iterator[Json]:
        """One after the other: what is made of them is small, and a cluster may have thousands."""
        for page in pages(self._rest, path, query):
            if page is None:
                raise TargetRefused(f"the API server at {self.address} has no {path}", code="NotFound")
            yield from page["items"]

    def _must(self, path: str) -> Json:
        raw = self._rest.get(path)
        if raw is None:
            raise TargetRefused(f"{path.removeprefix('/api/v1/')} does not exist", code="NotFound")
        return raw
