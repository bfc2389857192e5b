"""Deleting: preconditions, grace of bound pods, finalizers, and the choice what happens to dependents."""

from dataclasses import dataclass

from scenario_runner.lab.apiserver import failures
from scenario_runner.lab.apiserver.objects import Json, clone, dig, is_finished, is_going, seconds_of, timestamp
from scenario_runner.lab.apiserver.resources import Target
from scenario_runner.lab.apiserver.store import Store

# What the garbage collector works off before an object may go, by propagation policy.
PROPAGATION = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}


@dataclass(frozen=True)
class Deletion:
    """DeleteOptions: grace in seconds (None: the pod's own), preconditions, propagation policy."""

    grace: int | None = None
    uid: str | None = None
    version: str | None = None
    propagation: str = "Background"
    dry_run: bool = False


def delete(store: Store, at: Target, obj: Json, wanted: Deletion, now: float) -> Json:
    """Remove an object, or mark it as going where a kubelet or a finalizer still has work to do.

    Raises ApiError (409) where a precondition does not hold.
    """
    _check_preconditions(at, obj, wanted)
    going: Json = clone(obj)
    meta = going["metadata"]
    grace = _grace(at, obj, wanted)
    if is_going(obj):
        grace = min(grace, meta.get("deletionGracePeriodSeconds") or 0)
    elif finalizer := PROPAGATION.get(wanted.propagation):
        meta["finalizers"] = [*(meta.get("finalizers") or []), finalizer]
    waits = grace > 0 or meta.get("finalizers") or dig(obj, "spec.finalizers")
    if not waits and at.resource.kind != "Pod":  # a pod is always seen going before it is gone
        return obj if wanted.dry_run else store.remove(at.key)
    _mark(going, grace, now)
    if at.resource.kind == "Namespace":
        going["status"]["phase"] = "Terminating"
    if wanted.dry_run:
        return going
    store.put(at.key, going)
    return going if waits else store.remove(at.key)


def _mark(going: Json, grace: int, now: float) -> None:
    """Say until when it has time; a shorter grace counts from the first deletion."""
    meta = going["metadata"]
    if is_going(going):
        now = seconds_of(meta["deletionTimestamp"]) - (meta.get("deletionGracePeriodSeconds") or 0)
    elif "generation" in meta:
        meta["generation"] += 1
    meta["deletionTimestamp"] = timestamp(now + grace)
    meta["deletionGracePeriodSeconds"] = grace


def _check_preconditions(at: Target, obj: Json, wanted: Deletion) -> None:
    meta = obj["metadata"]
    for what, expected, actual, end in (
        ("UID", wanted.uid, meta["uid"], "deleted and then recreated"),
        ("ResourceVersion", wanted.version, meta["resourceVersion"], "modified"),
    ):
        if expected is not None and expected != actual:
            why = f"the {what} in the precondition ({expected}) does not match the {what} in record ({actual})"
            why += f". The object might have been {end}"
            raise failures.conflict(at.resource.kind, at.resource.group, at.name, why)


def _grace(at: Target, obj: Json, wanted: Deletion) -> int:
    """Only a pod that a kubelet runs is given time."""
    if at.resource.kind != "Pod" or not obj["spec"].get("nodeName") or is_finished(obj):
        return 0
    if wanted.grace is not None:
        return wanted.grace if wanted.grace >= 0 else 1
    return int(obj["spec"].get("terminationGracePeriodSeconds") or 0)
