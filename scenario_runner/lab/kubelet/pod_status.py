"""The status of a pod, computed from its containers."""

from collections.abc import Sequence

from scenario_runner.lab.kube import Json
from scenario_runner.lab.kubelet import stamps


def phase_of(containers: Sequence[Json]) -> str:
    """From container statuses; a container that waits for its restart counts as running."""
    states = [one["state"] for one in containers]
    if all("terminated" in state for state in states):
        return "Succeeded" if all(state["terminated"]["exitCode"] == 0 for state in states) else "Failed"
    has_run = any("waiting" not in one["state"] or one["lastState"] for one in containers)
    return "Running" if has_run else "Pending"


def conditions_of(containers: Sequence[Json], phase: str, before: Sequence[Json]) -> list[Json]:
    """`before` gives the moments of conditions that did not flip."""
    waiting = [one["name"] for one in containers if not one["ready"]]
    unready: Json = {}
    if phase in {"Succeeded", "Failed"}:
        unready = {"reason": "PodCompleted" if phase == "Succeeded" else "PodFailed"}
    elif waiting:
        text = f"containers with unready status: [{' '.join(waiting)}]"
        unready = {"reason": "ContainersNotReady", "message": text}
    ready = phase == "Running" and not waiting
    wanted = [("PodReadyToStartContainers", True), ("Initialized", True), ("Ready", ready), ("ContainersReady", ready)]
    return [_condition(kind, before, {} if is_true else unready, is_true=is_true) for kind, is_true in wanted]


def _condition(kind: str, before: Sequence[Json], why: Json, *, is_true: bool) -> Json:
    status = "True" if is_true else "False"
    old = next((one for one in before if one["type"] == kind and one["status"] == status), None)
    since = (old or {}).get("lastTransitionTime") or stamps.now()
    return {"type": kind, "status": status, "lastTransitionTime": since, "reason": None, "message": None} | why


def is_ready(status: Json) -> bool:
    """Whether a status says so; one that was never told does not."""
    conditions = status.get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
