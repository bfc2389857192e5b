"""The objects that the checks create, as small as the real server takes them."""

from typing import Any

from tests.contract.kubernetes.server import Json, api_version

IMAGE = "registry.invalid/nothing:1"  # never pulled: where it is used, no kubelet looks


def _meta(name: str, **meta: Any) -> Json:
    return {"name": name} | meta


def config_map(name: str, data: Json | None = None, **meta: Any) -> Json:
    return {"kind": "ConfigMap", "metadata": _meta(name, **meta), "data": {"a": "1"} if data is None else data}


def pod_spec(**spec: Any) -> Json:
    container = {"name": "main", "image": IMAGE, "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}
    return {"containers": [container], "terminationGracePeriodSeconds": 3} | spec


def pod(name: str, node: str = "", labels: Json | None = None, **spec: Any) -> Json:
    """Bound to a node from the start, where one is named: no scheduler has a say."""
    where = {"nodeName": node} if node else {"schedulerName": "nobody"}
    return {"kind": "Pod", "metadata": _meta(name, labels=labels or {}), "spec": pod_spec(**where, **spec)}


def deployment(name: str, replicas: int = 0, pods: Json | None = None, **spec: Any) -> Json:
    """`pods` is what the spec of its pods has besides the containers."""
    side = {"name": "side", "image": IMAGE}
    template_spec = pod_spec(**(pods or {}))
    template_spec["containers"] = [*template_spec["containers"], side]
    template = {"metadata": {"labels": {"app": name}}, "spec": template_spec}
    wanted = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template} | spec
    return {"kind": "Deployment", "metadata": _meta(name), "spec": wanted}


def budget(name: str, labels: Json, **spec: Any) -> Json:
    return {
        "kind": "PodDisruptionBudget",
        "metadata": _meta(name),
        "spec": {"selector": {"matchLabels": labels}} | spec,
    }


def custom_resource(group: str) -> Json:
    """The definition of `widgets`: `spec.size` is at least 1, other fields of `spec` are unknown."""
    spec = {"type": "object", "properties": {"size": {"type": "integer", "minimum": 1}}}
    status = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": spec, "status": status}}
    version = {"name": "v1", "served": True, "storage": True, "subresources": {"status": {}}}
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
    return {
        "apiVersion": api_version("CustomResourceDefinition"),
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "names": names,
            "scope": "Namespaced",
            "versions": [version | {"schema": {"openAPIV3Schema": schema}}],
        },
    }


def owned_by(owner: Json, **more: Any) -> list[Json]:
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"]}
    return [reference | {"name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]} | more]
