"""What stands in each column of a table, per resource; a heading that ends with `+` is for `-o wide`."""

from collections.abc import Callable, Mapping
from typing import Any

from scenario_runner.lab.apiserver.objects import Json, condition, dig, is_going, labels_of, seconds_of

Cell = Callable[[Json, float], Any]
_ROLE = "node-role.kubernetes.io/"


def _at(path: str, absent: Any = "<none>") -> Cell:
    def cell(obj: Json, _now: float) -> Any:
        found = dig(obj, path)
        return absent if found is None or found == "" else found

    return cell


_MINUTE, _HOUR, _DAY = 60, 3600, 86400
# Up to how many seconds a span is written in which unit, and with which smaller one behind it.
_SPANS = (
    (2 * _MINUTE, 1, "s", 0, ""),
    (10 * _MINUTE, _MINUTE, "m", 1, "s"),
    (3 * _HOUR, _MINUTE, "m", 0, ""),
    (8 * _HOUR, _HOUR, "h", _MINUTE, "m"),
    (2 * _DAY, _HOUR, "h", 0, ""),
    (8 * _DAY, _DAY, "d", _HOUR, "h"),
)
_SHOWN = 3  # addresses in one cell


def duration(seconds: float) -> str:
    """Write a time span as kubectl does: `45s`, `3m5s`, `12m`, `5h3m`, `2d4h`, `45d`."""
    total = max(int(seconds), 0)
    for limit, size, unit, small, small_unit in _SPANS:
        if total < limit:
            rest = total % size // small if small else 0
            return f"{total // size}{unit}" + (f"{rest}{small_unit}" if rest else "")
    return f"{total // _DAY}d"


def _since(*paths: str) -> Cell:
    def cell(obj: Json, now: float) -> str:
        found = next((dig(obj, path) for path in paths if dig(obj, path)), None)
        return duration(now - seconds_of(found)) if found else "<unknown>"

    return cell


age: Cell = _since("metadata.creationTimestamp")


def _pod_ready(pod: Json, _now: float) -> str:
    states = dig(pod, "status.containerStatuses") or []
    return f"{sum(bool(one.get('ready')) for one in states)}/{len(pod['spec']['containers'])}"


def _pod_status(pod: Json, _now: float) -> str:
    if is_going(pod):
        return "Terminating"
    for state in dig(pod, "status.containerStatuses") or []:
        for kind in ("waiting", "terminated"):
            if reason := dig(state, f"state.{kind}.reason"):
                return str(reason)
    return str(dig(pod, "status.reason") or dig(pod, "status.phase") or "Unknown")


def _pod_restarts(pod: Json, now: float) -> str:
    states = dig(pod, "status.containerStatuses") or []
    count = sum(one.get("restartCount") or 0 for one in states)
    ends = [dig(one, "lastState.terminated.finishedAt") for one in states]
    last = max((end for end in ends if end), default=None)
    return f"{count} ({duration(now - seconds_of(last))} ago)" if count and last else str(count)


def _node_status(node: Json, _now: float) -> str:
    words = {"True": "Ready", "False": "NotReady"}
    found = words.get(condition(node, "Ready").get("status", ""), "NotReady" if condition(node, "Ready") else "Unknown")
    return found + (",SchedulingDisabled" if dig(node, "spec.unschedulable") else "")


def _node_roles(node: Json, _now: float) -> str:
    roles = sorted(label.removeprefix(_ROLE) for label in labels_of(node) if label.startswith(_ROLE))
    return ",".join(roles) or "<none>"


def _address(kind: str) -> Cell:
    def cell(node: Json, _now: float) -> str:
        found = dig(node, "status.addresses") or []
        return next((one["address"] for one in found if one["type"] == kind), "<none>")

    return cell


def _ready_of_wanted(obj: Json, _now: float) -> str:
    return f"{dig(obj, 'status.readyReplicas') or 0}/{obj['spec']['replicas']}"


def _containers(field: str) -> Cell:
    return lambda obj, _now: ",".join(one[field] for one in dig(obj, "spec.template.spec.containers"))


def _selector(path: str) -> Cell:
    def cell(obj: Json, _now: float) -> str:
        return ",".join(f"{name}={value}" for name, value in (dig(obj, path) or {}).items()) or "<none>"

    return cell


def _service_ports(obj: Json, _now: float) -> str:
    return ",".join(f"{one['port']}/{one['protocol']}" for one in obj["spec"].get("ports") or []) or "<none>"


def _slice_ports(obj: Json, _now: float) -> str:
    return ",".join(str(one.get("port", "*")) for one in obj.get("ports") or []) or "<unset>"


def _few(found: list[str]) -> str:
    more = f" + {len(found) - _SHOWN} more..." if len(found) > _SHOWN else ""
    return ",".join(found[:_SHOWN]) + more


def _slice_addresses(obj: Json, _now: float) -> str:
    found = [address for one in obj.get("endpoints") or [] for address in one["addresses"]]
    return _few(found) or "<unset>"


def _endpoint_addresses(obj: Json, _now: float) -> str:
    found = [
        f"{address['ip']}:{port['port']}"
        for subset in obj.get("subsets") or []
        for address in subset.get("addresses") or []
        for port in subset.get("ports") or []
    ]
    return _few(found) or "<none>"


def _event_object(obj: Json, _now: float) -> str:
    about = obj.get("involvedObject") or obj.get("regarding") or {}
    return f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"


def _size(obj: Json, _now: float) -> int:
    return len(obj.get("data") or {}) + len(obj.get("binaryData") or {})


_NAME = _at("metadata.name")
CELLS: Mapping[str, Mapping[str, Cell]] = {
    "pods": {
        "NAME": _NAME,
        "READY": _pod_ready,
        "STATUS": _pod_status,
        "RESTARTS": _pod_restarts,
        "AGE": age,
        "IP+": _at("status.podIP"),
        "NODE+": _at("spec.nodeName"),
        "NOMINATED NODE+": _at("status.nominatedNodeName"),
        "READINESS GATES+": lambda _obj, _now: "<none>",
    },
    "nodes": {
        "NAME": _NAME,
        "STATUS": _node_status,
        "ROLES": _node_roles,
        "AGE": age,
        "VERSION": _at("status.nodeInfo.kubeletVersion", ""),
        "INTERNAL-IP+": _address("InternalIP"),
        "EXTERNAL-IP+": _address("ExternalIP"),
        "OS-IMAGE+": _at("status.nodeInfo.osImage", "<unknown>"),
        "KERNEL-VERSION+": _at("status.nodeInfo.kernelVersion", "<unknown>"),
        "CONTAINER-RUNTIME+": _at("status.nodeInfo.containerRuntimeVersion", "<unknown>"),
    },
    "deployments": {
        "NAME": _NAME,
        "READY": _ready_of_wanted,
        "UP-TO-DATE": _at("status.updatedReplicas", 0),
        "AVAILABLE": _at("status.availableReplicas", 0),
        "AGE": age,
        "CONTAINERS+": _containers("name"),
        "IMAGES+": _containers("image"),
        "SELECTOR+": _selector("spec.selector.matchLabels"),
    },
    "replicasets": {
        "NAME": _NAME,
        "DESIRED": _at("spec.replicas"),
        "CURRENT": _at("status.replicas", 0),
        "READY": _at("status.readyReplicas", 0),
        "AGE": age,
        "CONTAINERS+": _containers("name"),
        "IMAGES+": _containers("image"),
        "SELECTOR+": _selector("spec.selector.matchLabels"),
    },
    "services": {
        "NAME": _NAME,
        "TYPE": _at("spec.type"),
        "CLUSTER-IP": _at("spec.clusterIP"),
        "EXTERNAL-IP": lambda _obj, _now: "<none>",
        "PORT(S)": _service_ports,
        "AGE": age,
        "SELECTOR+": _selector("spec.selector"),
    },
    "events": {
        "LAST SEEN": _since("lastTimestamp", "eventTime", "deprecatedLastTimestamp", "metadata.creationTimestamp"),
        "TYPE": _at("type"),
        "REASON": _at("reason"),
        "OBJECT": _event_object,
        "MESSAGE": lambda obj, _now: str(obj.get("message") or obj.get("note") or "").strip(),
        "COUNT+": _at("count", 1),
        "NAME+": _NAME,
    },
    "endpointslices": {
        "NAME": _NAME,
        "ADDRESSTYPE": _at("addressType"),
        "PORTS": _slice_ports,
        "ENDPOINTS": _slice_addresses,
        "AGE": age,
    },
    "endpoints": {"NAME": _NAME, "ENDPOINTS": _endpoint_addresses, "AGE": age},
    "configmaps": {"NAME": _NAME, "DATA": _size, "AGE": age},
    "secrets": {"NAME": _NAME, "TYPE": _at("type"), "DATA": _size, "AGE": age},
    "namespaces": {"NAME": _NAME, "STATUS": _at("status.phase"), "AGE": age},
    "leases": {"NAME": _NAME, "HOLDER": _at("spec.holderIdentity", ""), "AGE": age},
    "poddisruptionbudgets": {
        "NAME": _NAME,
        "MIN AVAILABLE": _at("spec.minAvailable", "N/A"),
        "MAX UNAVAILABLE": _at("spec.maxUnavailable", "N/A"),
        "ALLOWED DISRUPTIONS": _at("status.disruptionsAllowed", 0),
        "AGE": age,
    },
    "customresourcedefinitions": {"NAME": _NAME, "CREATED AT": _at("metadata.creationTimestamp")},
}
