"""Whether the pods of a workload have all become what its template says, by the status that its controller wrote."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from scenario_runner.core.ports import Document

_Json = Mapping[str, Any]


def unfinished(document: Document) -> str:
    """What a rollout still lacks, as a clause; "" when it is over, and for kinds that have no rollout."""
    judge = _KINDS.get(document.ref.kind)
    status = document.content.get("status")
    if judge is None or not status:
        return ""
    metadata = document.content.get("metadata") or {}
    seen = status.get("observedGeneration")
    if seen is not None and seen < metadata.get("generation", 0):
        return "its controller has not seen the change yet"
    return judge(document.content.get("spec") or {}, status)


def _replaced(updated: int, wanted: int, what: str = "pods") -> str:
    return f"{updated} of {wanted} {what} are of the new template" if updated < wanted else ""


def _deployment(spec: _Json, status: _Json) -> str:
    """Also counts pods of the old template that wait for new ones to become ready."""
    updated = status.get("updatedReplicas", 0)
    old = status.get("replicas", 0) - updated
    if old > 0:
        return f"{old} pods of the old template are still there"
    return _replaced(updated, spec.get("replicas", 1))


def _stateful_set(spec: _Json, status: _Json) -> str:
    wanted = spec.get("replicas", 1)
    if status.get("currentRevision") == status.get("updateRevision"):
        return ""
    return _replaced(status.get("updatedReplicas", 0), wanted) + _by_hand(spec)


def _daemon_set(spec: _Json, status: _Json) -> str:
    lacks = _replaced(status.get("updatedNumberScheduled", 0), status.get("desiredNumberScheduled", 0))
    return lacks + _by_hand(spec) if lacks else ""


def _by_hand(spec: _Json) -> str:
    by_hand = (spec.get("updateStrategy") or {}).get("type") == "OnDelete"
    return ", and the others stay until somebody deletes them (OnDelete)" if by_hand else ""


def _leader_worker_set(spec: _Json, status: _Json) -> str:
    if _condition(status, "UpdateInProgress") == "True":
        return "its update is in progress"
    return _replaced(status.get("updatedReplicas", 0), spec.get("replicas", 1), "groups")


def _graph_deployment(spec: _Json, status: _Json) -> str:
    del spec
    if (status.get("rollingUpdate") or {}).get("phase") in {"Pending", "InProgress"}:
        return "its rolling update is in progress"
    ready = _condition(status, "Ready")
    return "" if ready in {"True", ""} else "it is not ready"


def _condition(status: _Json, name: str) -> str:
    """The status of a condition, "" when there is none of that name."""
    return next((str(one.get("status")) for one in status.get("conditions") or () if one.get("type") == name), "")


_KINDS: Mapping[str, Callable[[_Json, _Json], str]] = MappingProxyType(
    {
        "Deployment": _deployment,
        "StatefulSet": _stateful_set,
        "DaemonSet": _daemon_set,
        "LeaderWorkerSet": _leader_worker_set,
        "DynamoGraphDeployment": _graph_deployment,
    }
)
