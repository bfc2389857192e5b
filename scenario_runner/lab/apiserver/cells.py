"""What stands in each column of a table, per resource; `+` marks what `-o wide` shows, `#` a column of integers."""

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


def _event_source(obj: Json, _now: float) -> str:
    source = obj.get("source") or obj.get("deprecatedSource") or {}
    return ", ".join(filter(None, (source.get("component"), source.get("host"))))


def _size(obj: Json, _now: float) -> int:
    return len(obj.get("data") or {}) + len(obj.get("binaryData") or {})


_NAME = _at("metadata.name")
CELLS: Mapping[str, Mapping[str, Cell]] = {
    "pods": {
        "Name": _NAME,
        "Ready": _pod_ready,
        "Status": _pod_status,
        "Restarts": _pod_restarts,
        "Age": age,
        "IP+": _at("status.podIP"),
        "Node+": _at("spec.nodeName"),
        "Nominated Node+": _at("status.nominatedNodeName"),
        "Readiness Gates+": lambda _obj, _now: "<none>",
    },
    "nodes": {
        "Name": _NAME,
        "Status": _node_status,
        "Roles": _node_roles,
        "Age": age,
        "Version": _at("status.nodeInfo.kubeletVersion", ""),
        "Internal-IP+": _address("InternalIP"),
        "External-IP+": _address("ExternalIP"),
        "OS-Image+": _at("status.nodeInfo.osImage", "<unknown>"),
        "Kernel-Version+": _at("status.nodeInfo.kernelVersion", "<unknown>"),
        "Container-Runtime+": _at("status.nodeInfo.containerRuntimeVersion", "<unknown>"),
    },
    "deployments": {
        "Name": _NAME,
        "Ready": _ready_of_wanted,
        "Up-to-date": _at("status.updatedReplicas", 0),
        "Available": _at("status.availableReplicas", 0),
        "Age": age,
        "Containers+": _containers("name"),
        "Images+": _containers("image"),
        "Selector+": _selector("spec.selector.matchLabels"),
    },
    "replicasets": {
        "Name": _NAME,
        "Desired#": _at("spec.replicas"),
        "Current#": _at("status.replicas", 0),
        "Ready#": _at("status.readyReplicas", 0),
        "Age": age,
        "Containers+": _containers("name"),
        "Images+": _containers("image"),
        "Selector+": _selector("spec.selector.matchLabels"),
    },
    "services": {
        "Name": _NAME,
        "Type": _at("spec.type"),
        "Cluster-IP": _at("spec.clusterIP"),
        "External-IP": lambda _obj, _now: "<none>",
        "Port(s)": _service_ports,
        "Age": age,
        "Selector+": _selector("spec.selector"),
    },
    "events": {
        "Last Seen": _since("lastTimestamp", "eventTime", "deprecatedLastTimestamp", "metadata.creationTimestamp"),
        "Type": _at("type"),
        "Reason": _at("reason"),
        "Object": _event_object,
        "Subobject+": _at("involvedObject.fieldPath", ""),
        "Source+": _event_source,
        "Message": lambda obj, _now: str(obj.get("message") or obj.get("note") or "").strip(),
        "First Seen+": _since("firstTimestamp", "eventTime", "deprecatedFirstTimestamp", "metadata.creationTimestamp"),
        "Count+": _at("count", 1),
        "Name+": _NAME,
    },
    "endpointslices": {
        "Name": _NAME,
        "AddressType": _at("addressType"),
        "Ports": _slice_ports,
        "Endpoints": _slice_addresses,
        "Age": age,
    },
    "endpoints": {"Name": _NAME, "Endpoints": _endpoint_addresses, "Age": age},
    "configmaps": {"Name": _NAME, "Data": _size, "Age": age},
    "secrets": {"Name": _NAME, "Type": _at("type"), "Data": _size, "Age": age},
    "namespaces": {"Name": _NAME, "Status": _at("status.phase"), "Age": age},
    "leases": {"Name": _NAME, "Holder": _at("spec.holderIdentity", ""), "Age": age},
    "poddisruptionbudgets": {
        "Name": _NAME,
        "Min Available": _at("spec.minAvailable", "N/A"),
        "Max Unavailable": _at("spec.maxUnavailable", "N/A"),
        "Allowed Disruptions#": _at("status.disruptionsAllowed", 0),
        "Age": age,
    },
    "customresourcedefinitions": {"Name": _NAME, "Created At": _at("metadata.creationTimestamp")},
}
