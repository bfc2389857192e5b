"""Kubernetes JSON as the small pictures of `core.states`, and the paths under which objects are found."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from scenario_runner.core.states import (
    BudgetState,
    Condition,
    EventState,
    NodeState,
    PodState,
    ResourceState,
    ServiceState,
    State,
    WorkloadState,
)
from scenario_runner.workloads.kinds import KINDS

Json = Any
_OF_A_SIGNAL = frozenset({137, 143})  # exit codes of who was killed, or told to end


def node_state(raw: Json) -> NodeState:
    metadata, status = raw["metadata"], raw.get("status") or {}
    return NodeState(
        name=metadata["name"],
        uid=metadata["uid"],
        unschedulable=bool((raw.get("spec") or {}).get("unschedulable")),
        conditions={one["type"]: _condition(one) for one in status.get("conditions") or ()},
        labels=metadata.get("labels") or {},
        annotations=metadata.get("annotations") or {},
        boot_id=(status.get("nodeInfo") or {}).get("bootID", ""),
    )


def pod_state(raw: Json) -> PodState:
    metadata, status = raw["metadata"], raw.get("status") or {}
    containers = status.get("containerStatuses") or []
    conditions = {one["type"]: one["status"] for one in status.get("conditions") or ()}
    return PodState(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        node=(raw.get("spec") or {}).get("nodeName") or "",
        phase=status.get("phase") or "Pending",
        ready=conditions.get("Ready") == "True",
        deleting="deletionTimestamp" in metadata,
        restarts=sum(one.get("restartCount", 0) for one in containers),
        waiting=next(filter(None, map(_waiting, containers)), ""),
        died=any(_died(one, _told_to_go(metadata)) for one in containers),
        labels=metadata.get("labels") or {},
    )


def event_state(raw: Json) -> EventState:
    about = raw.get("involvedObject") or {}
    return EventState(
        namespace=raw["metadata"]["namespace"],
        name=raw["metadata"]["name"],
        uid=raw["metadata"]["uid"],
        kind=about.get("kind", ""),
        object_name=about.get("name", ""),
        reason=raw.get("reason") or "",
        message=raw.get("message") or "",
        type=raw.get("type") or "Normal",
        count=raw.get("count") or 1,
    )


def resource_state(raw: Json) -> ResourceState:
    """`state` is the newest condition that holds, e.g. "NodeReady", or "NodeReady=False" where none does."""
    metadata, status = raw["metadata"], raw.get("status") or {}
    conditions = sorted(
        status.get("conditions") or (),
        key=lambda one: (one["status"] == "True", one.get("lastTransitionTime") or ""),
    )
    newest = conditions[-1] if conditions else None
    return ResourceState(
        kind=raw.get("kind", ""),
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        uid=metadata["uid"],
        node=(raw.get("spec") or {}).get("nodeName") or "",
        state="" if newest is None else newest["type"] + ("" if newest["status"] == "True" else f"={newest['status']}"),
    )


def workload_state(kind: str, api_version: str, raw: Json) -> WorkloadState:
    """`kind` in lower case, as targets have it, read in that version."""
    metadata, known = raw["metadata"], KINDS[kind]
    selector = selector_text(known.selector(raw))
    name, uid = metadata["name"], metadata["uid"]
    return WorkloadState(kind, metadata["namespace"], name, uid, known.pods(raw), selector, api_version)


def service_state(raw: Json) -> ServiceState:
    """Each port under its name and under its number as text; `cluster_ip` is "" for a headless service."""
    spec, ports = raw["spec"], {}
    for port in spec.get("ports") or ():
        ports[str(port["port"])] = int(port["port"])
        if port.get("name"):
            ports[port["name"]] = int(port["port"])
    address = spec.get("clusterIP") or ""
    name = raw["metadata"]["name"]
    return ServiceState(raw["metadata"]["namespace"], name, "" if address == "None" else address, ports)


def budget_state(raw: Json) -> BudgetState | None:
    """None for a budget without a selector: it covers no pod, while an empty one covers all of its namespace."""
    spec = raw["spec"]
    if spec.get("selector") is None:
        return None
    demands = [f"{key} {spec[key]}" for key in ("minAvailable", "maxUnavailable") if spec.get(key) is not None]
    allowed = (raw.get("status") or {}).get("disruptionsAllowed") or 0
    selector = selector_text(spec["selector"])
    return BudgetState(raw["metadata"]["namespace"], raw["metadata"]["name"], selector, allowed, ", ".join(demands))


def selector_text(selector: Mapping[str, Json]) -> str:
    """A LabelSelector in the one-line form that lists take: "app=web,tier in (a,b)"."""
    words = {
        "In": "{key} in ({values})",
        "NotIn": "{key} notin ({values})",
        "Exists": "{key}",
        "DoesNotExist": "!{key}",
    }
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for one in selector.get("matchExpressions") or ():
        parts.append(words[one["operator"]].format(key=one["key"], values=",".join(one.get("values") or ())))
    return ",".join(parts)


def to_state(what: str) -> Callable[[Json], State]:
    """What turns the JSON of a watch's objects into states."""
    known: dict[str, Callable[[Json], State]] = {"nodes": node_state, "pods": pod_state, "events": event_state}
    return known.get(what, resource_state)


def list_path(what: str, namespace: str = "") -> str:
    """The path of a list: of "nodes", "pods", "events", or of a custom resource "group/version/plural"."""
    group_version, _, plural = what.rpartition("/")
    root = f"/apis/{group_version}" if group_version else "/api/v1"
    return f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}"


def _condition(raw: Json) -> Condition:
    return Condition(raw["status"], raw.get("reason") or "", raw.get("message") or "")


def _waiting(container: Json) -> str:
    waiting = (container.get("state") or {}).get("waiting") or {}
    return str(waiting.get("reason") or "")


def _told_to_go(metadata: Json) -> datetime | None:
    """When a pod was deleted or evicted; its `deletionTimestamp` is the end of the time that it was given for that."""
    if "deletionTimestamp" not in metadata:
        return None
    return _moment(metadata["deletionTimestamp"]) - timedelta(seconds=metadata.get("deletionGracePeriodSeconds") or 0)


def _died(container: Json, told: datetime | None) -> bool:
    """Whether it ended with an error of its own. Both times are whole seconds: within one, the exit code decides."""
    ended = (container.get("state") or {}).get("terminated") or {}
    if not ended.get("exitCode") or not ended.get("finishedAt"):
        return False
    finished = _moment(ended["finishedAt"])
    return told is None or finished < told or (finished == told and ended["exitCode"] not in _OF_A_SIGNAL)


def _moment(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp).replace(microsecond=0)
