"""One stored object, several faces: Scale of a workload, and the Event of the other API group."""

from scenario_runner.lab.apiserver.objects import Json, clone
from scenario_runner.lab.apiserver.resources import Target

# core/v1 name -> events.k8s.io/v1 name
_EVENT_NAMES = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
_STORED_EVENT_NAMES = {new: old for old, new in _EVENT_NAMES.items()}


def shown(at: Target, obj: Json) -> Json:
    """The object as a client of that resource and subresource sees it."""
    if at.sub == "scale":
        return _scale(obj)
    if at.resource.group == "events.k8s.io":
        return _renamed(obj, _EVENT_NAMES) | {"apiVersion": "events.k8s.io/v1"}
    if at.resource.is_custom and obj["apiVersion"] != at.resource.api_version:
        return obj | {"apiVersion": at.resource.api_version}
    return obj


def stored(at: Target, seen: Json, old: Json | None) -> Json:
    """The way back: what to store for what a client sent."""
    if at.sub == "scale" and old is not None:
        result = clone(old)
        result["metadata"]["resourceVersion"] = seen.get("metadata", {}).get("resourceVersion")
        result["spec"]["replicas"] = (seen.get("spec") or {}).get("replicas", 0)
        return dict(result)
    if at.resource.group == "events.k8s.io":
        return _renamed(seen, _STORED_EVENT_NAMES) | {"apiVersion": "v1"}
    return seen


def _renamed(obj: Json, names: dict[str, str]) -> Json:
    return {names.get(name, name): value for name, value in obj.items()}


def _scale(obj: Json) -> Json:
    meta = {
        name: obj["metadata"][name]
        for name in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        if name in obj["metadata"]
    }
    labels = (obj["spec"].get("selector") or {}).get("matchLabels") or {}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": meta,
        "spec": {"replicas": obj["spec"].get("replicas", 0)},
        "status": {
            "replicas": (obj.get("status") or {}).get("replicas", 0),
            "selector": ",".join(f"{name}={value}" for name, value in sorted(labels.items())),
        },
    }
