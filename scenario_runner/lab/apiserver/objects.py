"""Kubernetes objects as plain JSON: their type, and the few questions that everybody asks them."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

Json = dict[str, Any]
Clock = Callable[[], float]
"""Answers the time in seconds since 1970; passed in, so that tests run in virtual time."""


class Key(NamedTuple):
    """Where an object is stored; the version of the group is no part of it."""

    group: str
    plural: str
    namespace: str
    name: str


def clone(value: Any) -> Any:
    """Copy nested dicts and lists; several times faster than `copy.deepcopy`, and JSON holds nothing else."""
    if isinstance(value, dict):
        return {name: clone(item) for name, item in value.items()}
    if isinstance(value, list):
        return [clone(item) for item in value]
    return value


def dig(obj: Any, path: str) -> Any:
    """Follow a dotted path; None where it ends early."""
    for part in path.split("."):
        obj = obj.get(part) if isinstance(obj, dict) else None
    return obj


def timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_of(text: str | None) -> float:
    """Read a timestamp with or without fractions; 0.0 where there is none."""
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def labels_of(obj: Json) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


def annotations_of(obj: Json) -> dict[str, str]:
    return obj["metadata"].get("annotations") or {}


def controller_of(obj: Json) -> Json | None:
    """The owner reference that says `controller: true`."""
    references = obj["metadata"].get("ownerReferences") or []
    return next((reference for reference in references if reference.get("controller")), None)


def controlled_by(objects: Iterable[Json], owner: Json) -> list[Json]:
    uid = owner["metadata"]["uid"]
    return [obj for obj in objects if (controller_of(obj) or {}).get("uid") == uid]


def owner_reference(owner: Json) -> Json:
    meta = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def is_going(obj: Json) -> bool:
    return "deletionTimestamp" in obj["metadata"]


def is_finished(pod: Json) -> bool:
    return dig(pod, "status.phase") in {"Succeeded", "Failed"}


def is_active(pod: Json) -> bool:
    """Whether a pod counts as one of its owner's replicas."""
    return not is_going(pod) and not is_finished(pod)


def condition(obj: Json, kind: str) -> Json:
    """The status condition of that type, `{}` where there is none."""
    found = (one for one in dig(obj, "status.conditions") or [] if one.get("type") == kind)
    return next(found, {})


def is_ready(obj: Json) -> bool:
    return bool(condition(obj, "Ready").get("status") == "True")


def set_condition(obj: Json, new: Json, now: float) -> None:
    """Write a condition in place; `lastTransitionTime` moves only when the status flips."""
    conditions: list[Json] = obj.setdefault("status", {}).setdefault("conditions", [])
    old = next((one for one in conditions if one.get("type") == new["type"]), None)
    if old is None:
        conditions.append({"lastTransitionTime": timestamp(now), **new})
        return
    if old.get("status") != new["status"]:
        old["lastTransitionTime"] = timestamp(now)
    old.update(new)


def share_of(value: int | str, total: int, *, up: bool) -> int:
    """Read a count or a percentage (`"25%"`) of a total, rounded up or down."""
    if isinstance(value, int):
        return value
    hundredths = int(value.removesuffix("%")) * total
    return -(-hundredths // 100) if up else hundredths // 100
