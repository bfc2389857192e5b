"""What the parts of the stand-in do in the cluster, and the names of everything they write there."""

from collections.abc import Mapping
from dataclasses import dataclass

from scenario_runner.lab.platform.api import Api, ApiTrouble, Json

NAMESPACE = "nvsentinel"
GROUP = "janitor.dgxc.nvidia.com"
VERSION = "v1alpha1"

_CONFLICT = 409
_NOT_FOUND = 404
_TOO_MANY = 429


@dataclass(frozen=True)
class Node:
    """A node as it was when it was read."""

    raw: Json

    @property
    def name(self) -> str:
        return str(self.raw["metadata"]["name"])

    @property
    def labels(self) -> Mapping[str, str]:
        return self.raw["metadata"].get("labels") or {}

    @property
    def annotations(self) -> Mapping[str, str]:
        return self.raw["metadata"].get("annotations") or {}

    @property
    def unschedulable(self) -> bool:
        return bool(self.raw.get("spec", {}).get("unschedulable"))

    def is_up_in(self, boot_id: str) -> bool:
        """Ready, and not a picture of an earlier boot."""
        ready = (self.condition("Ready") or {}).get("status") == "True"
        return ready and self.raw.get("status", {}).get("nodeInfo", {}).get("bootID", "") in ("", boot_id)

    def condition(self, kind: str) -> Json | None:
        conditions: list[Json] = self.raw.get("status", {}).get("conditions") or []
        return next((one for one in conditions if one["type"] == kind), None)


class Cluster:
    """Every method raises ApiTrouble if the API server can not be reached or refuses."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def nodes(self) -> dict[str, Node]:
        """All nodes by name."""
        found = [Node(raw) for raw in self._api.select("/api/v1/nodes", {})]
        return {node.name: node for node in found}

    def patch_node(self, name: str, patch: Json) -> None:
        self._api.patch(f"/api/v1/nodes/{name}", patch)

    def set_condition(self, node: str, condition: Json) -> None:
        self._api.patch(f"/api/v1/nodes/{node}/status", {"status": {"conditions": [condition]}}, strategic=True)

    def create_event(self, event: Json) -> None:
        self._create("/api/v1/namespaces/default/events", event)

    def pods_on(self, node: str) -> list[Json]:
        return self._api.select("/api/v1/pods", {"fieldSelector": f"spec.nodeName={node}"})

    def evict(self, namespace: str, name: str) -> bool:
        """False if a disruption budget does not allow it now; a pod that is gone already counts as evicted."""
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}
        try:
            self._api.create(f"/api/v1/namespaces/{namespace}/pods/{name}/eviction", body)
        except ApiTrouble as trouble:
            if trouble.status == _TOO_MANY:
                return False
            if trouble.status != _NOT_FOUND:
                raise
        return True

    def prepare(self, definitions: list[Json]) -> None:
        """Make the namespace and the custom resources that are absent."""
        self._create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        for definition in definitions:
            self._create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)

    def config(self, name: str) -> dict[str, str]:
        """The data of a ConfigMap in the platform's namespace, made empty if it is absent."""
        found = self._api.get(f"/api/v1/namespaces/{NAMESPACE}/configmaps/{name}")
        if found is None:
            metadata = {"name": name, "namespace": NAMESPACE}
            self._create(
                f"/api/v1/namespaces/{NAMESPACE}/configmaps",
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {}},
            )
        return dict((found or {}).get("data") or {})

    def set_config(self, name: str, data: Mapping[str, str]) -> None:
        """Change only the keys in `data`."""
        self._api.patch(f"/api/v1/namespaces/{NAMESPACE}/configmaps/{name}", {"data": dict(data)})

    def maintenances(self, plural: str) -> list[Json]:
        return self._api.select(f"/apis/{GROUP}/{VERSION}/{plural}", {})

    def maintenance(self, plural: str, name: str) -> Json | None:
        return self._api.get(f"/apis/{GROUP}/{VERSION}/{plural}/{name}")

    def create_maintenance(self, plural: str, body: Json) -> None:
        self._create(f"/apis/{GROUP}/{VERSION}/{plural}", body)

    def set_maintenance_status(self, plural: str, name: str, status: Json) -> None:
        self._api.patch(f"/apis/{GROUP}/{VERSION}/{plural}/{name}/status", {"status": status})

    def _create(self, path: str, body: Json) -> None:
        try:
            self._api.create(path, body)
        except ApiTrouble as trouble:
            if trouble.status != _CONFLICT:  # it is there already, which is all we want
                raise
