"""What a Deployment says about its rollout: counts, conditions, the progress deadline."""

from scenario_runner.lab.apiserver.api import Api
from scenario_runner.lab.apiserver.objects import Json, Key, condition, dig, seconds_of, set_condition, timestamp
from scenario_runner.lab.controllers.rollout import Limits

_DONE = "NewReplicaSetAvailable"
_LATE = "ProgressDeadlineExceeded"


def write_status(api: Api, key: Key, owned: list[Json], current: str | None) -> float | None:
    """Write the status of a deployment; returns the seconds until its progress deadline, if that counts."""
    deployment = api.store.get(key)
    if deployment is None:
        return None
    counts = _counts(deployment, owned, current)
    now = api.now()

    def edit(obj: Json) -> Json:
        before = obj.get("status") or {}
        obj["status"] = counts | {"conditions": before.get("conditions") or []}
        set_condition(obj, _availability(deployment, counts), now)
        if progress := _progress(deployment, counts, current, now):
            _set_progress(obj, progress, now)
        return obj

    api.change(api.at("deployments", key.namespace, key.name, "status"), edit)
    return _seconds_left(api.store.get(key) or deployment, now)


def _counts(deployment: Json, owned: list[Json], current: str | None) -> Json:
    new = [one for one in owned if one["metadata"]["name"] == current]
    replicas = _total(owned, "replicas")
    available = _total(owned, "availableReplicas")
    counts: Json = {"observedGeneration": deployment["metadata"]["generation"]}
    counts |= {"replicas": replicas, "updatedReplicas": _total(new, "replicas")}
    counts |= {"readyReplicas": _total(owned, "readyReplicas"), "availableReplicas": available}
    wanted = sum(one["spec"]["replicas"] for one in owned)
    return counts | {"unavailableReplicas": max(wanted - available, 0)}


def _total(owned: list[Json], name: str) -> int:
    return sum(dig(one, f"status.{name}") or 0 for one in owned)


def _availability(deployment: Json, counts: Json) -> Json:
    limits = Limits.of(deployment)
    enough = counts["availableReplicas"] >= limits.replicas - limits.unavailable
    reason = "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable"
    message = "Deployment has minimum availability." if enough else "Deployment does not have minimum availability."
    return {"type": "Available", "status": "True" if enough else "False", "reason": reason, "message": message}


def _progress(deployment: Json, counts: Json, current: str | None, now: float) -> Json | None:
    """The Progressing condition to write, None where it stays as it is."""
    old = condition(deployment, "Progressing")
    if deployment["spec"].get("paused") or current is None:
        return _paused() if deployment["spec"].get("paused") else None
    if _is_complete(deployment, counts):
        return _condition("True", _DONE, f'ReplicaSet "{current}" has successfully progressed.')
    if old.get("reason") == _DONE and counts["replicas"] == counts["updatedReplicas"]:
        return None  # a pod that falters later does not start the rollout again
    if _has_moved(deployment, counts) or old.get("reason") in {None, _DONE, "DeploymentPaused"}:
        return _condition("True", "ReplicaSetUpdated", f'ReplicaSet "{current}" is progressing.')
    left = _seconds_left(deployment, now)
    if left is not None and left <= 0:
        return _condition("False", _LATE, f'ReplicaSet "{current}" has timed out progressing.')
    return None


def _paused() -> Json:
    return _condition("Unknown", "DeploymentPaused", "Deployment is paused")


def _condition(status: str, reason: str, message: str) -> Json:
    return {"type": "Progressing", "status": status, "reason": reason, "message": message}


def _is_complete(deployment: Json, counts: Json) -> bool:
    wanted = deployment["spec"]["replicas"]
    names = ("updatedReplicas", "replicas", "availableReplicas")
    return all(counts[name] == wanted for name in names)


def _has_moved(deployment: Json, counts: Json) -> bool:
    before = deployment.get("status") or {}
    ups = any(
        counts[name] > (before.get(name) or 0) for name in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )
    old_before = (before.get("replicas") or 0) - (before.get("updatedReplicas") or 0)
    return ups or counts["replicas"] - counts["updatedReplicas"] < old_before


def _set_progress(obj: Json, new: Json, now: float) -> None:
    old = condition(obj, "Progressing")
    repeated = (
        new["reason"] != "ReplicaSetUpdated"
        and old.get("reason") == new["reason"]
        and old.get("message") == new["message"]
    )
    updated = old.get("lastUpdateTime") if repeated else timestamp(now)
    set_condition(obj, new | {"lastUpdateTime": updated}, now)


def _seconds_left(deployment: Json, now: float) -> float | None:
    """Seconds until the progress deadline; None once the rollout is complete, late or paused."""
    progress = condition(deployment, "Progressing")
    if progress.get("reason") in {None, _DONE, _LATE, "DeploymentPaused"}:
        return None
    return seconds_of(progress.get("lastUpdateTime")) + float(deployment["spec"]["progressDeadlineSeconds"]) - now
