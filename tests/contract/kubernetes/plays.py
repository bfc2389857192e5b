"""Sequences of calls that are played on several servers, and what came back in a form that can be compared."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.contract.kubernetes.server import JSON_PATCH, MERGE, STRATEGIC, Answer, Json, Space

_UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
# What no two servers agree on, or what only controllers write, each at its own pace.
_OWN = {
    "uid",
    "resourceVersion",
    "managedFields",
    "continue",
    "clusterIP",
    "clusterIPs",
    "message",
    "tolerationSeconds",
}
_CONTROLLED = {"Deployment", "ReplicaSet", "PodDisruptionBudget"}
_REVISION = "deployment.kubernetes.io/revision"
ROOT_CA = "kube-root-ca.crt"  # a controller's config map in each namespace of a real cluster
_PATCHES: Mapping[str, str] = {"merge": MERGE, "strategic": STRATEGIC, "json": JSON_PATCH}
WATCHED = ("ConfigMap", "Pod", "Secret")


def play(space: Space, calls: Sequence[Json]) -> Json:
    """
    Do the calls one after the other in an empty namespace: `{"answers": [...], "events": {kind: [...]}}`.

    A call is a mapping: `do` (create, replace, merge, strategic, json, delete, read, list), `kind`, and as it needs
    them `name`, `sub`, `body`, `query`. The texts `{uid}` and `{version}` in a body are those of the named object.
    """
    kinds = [kind for kind in WATCHED if any(call["kind"] == kind for call in calls)]
    since = {kind: space.listed(kind).version for kind in kinds}
    answers = [normal(space, _do(space, call)) for call in calls]
    return {"answers": answers, "events": {kind: _events(space, kind, since[kind]) for kind in kinds}}


def _do(space: Space, call: Json) -> Answer:
    kind, name, sub, query = call["kind"], call.get("name", ""), call.get("sub", ""), call.get("query", {})
    if call["do"] in {"read", "list"}:
        return space.server.call("GET", space.path(kind, name, sub), **query)
    body = _filled(space, call)
    if call["do"] == "create":
        return space.create(body, **query)
    if call["do"] == "delete":
        return space.server.call("DELETE", space.path(kind, name), body, **query)
    if call["do"] == "replace":
        return space.server.call("PUT", space.path(kind, name, sub), body, **query)
    return space.server.call("PATCH", space.path(kind, name, sub), body, _PATCHES[call["do"]], **query)


def _filled(space: Space, call: Json) -> Any:
    body = call.get("body")
    if "{uid}" not in str(body) and "{version}" not in str(body):
        return body
    meta = space.read(call["kind"], call["name"]).body.get("metadata", {})
    values = {"{uid}": meta.get("uid", ""), "{version}": meta.get("resourceVersion", "")}
    return _mapped(body, lambda text: values.get(text, text))


def _mapped(value: Any, change: Any) -> Any:
    if isinstance(value, dict):
        return {name: _mapped(item, change) for name, item in value.items()}
    if isinstance(value, list):
        return [_mapped(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


def _events(space: Space, kind: str, since: str) -> list[Json]:
    """All changes of the play: a last object says when they have been told."""
    end = {"kind": "ConfigMap", "metadata": {"name": "the-end"}}
    end |= {"Secret": {"kind": "Secret"}, "Pod": {"kind": "Pod", "spec": _END_POD}}.get(kind, {})
    space.made(end)
    found: list[Json] = []
    with space.server.watching(space.path(kind), resourceVersion=since) as events:
        for event in events:
            if event["object"]["metadata"]["name"] == "the-end":
                break
            if event["object"]["metadata"]["name"] != ROOT_CA:
                found.append({"type": event["type"], "object": _plain(space, event["object"])})
    return found


_END_POD = {"containers": [{"name": "c", "image": "i"}], "schedulerName": "nobody"}


def normal(space: Space, answer: Answer) -> Json:
    """Code and body, without what differs between any two servers; of a refusal, what clients branch on."""
    if answer.body.get("kind") == "Status" and answer.status >= 400:
        details = answer.body.get("details") or {}
        causes = sorted([one.get("field", ""), one.get("reason", "")] for one in details.get("causes") or [])
        told = {name: details.get(name) for name in ("name", "group", "kind")} | {"causes": causes}
        return {"status": answer.status, "reason": answer.body.get("reason", ""), "details": told}
    return {"status": answer.status, "body": _plain(space, answer.body)}


def _plain(space: Space, body: Json) -> Json:
    body = {name: value for name, value in body.items() if name != "status" or body.get("kind") not in _CONTROLLED}
    if "items" in body:
        items = [one for one in body["items"] if one["metadata"]["name"] != ROOT_CA]
        body = body | {"items": [_plain(space, {"kind": body["kind"].removesuffix("List")} | one) for one in items]}
    cleaned: Json = _cleaned(body)
    if body.get("kind") in _CONTROLLED:  # a controller's annotation is a new generation, sooner or later
        cleaned.get("metadata", {}).pop("generation", None)
    annotations = cleaned.get("metadata", {}).get("annotations", {})
    if annotations.pop(_REVISION, None) and not annotations:
        del cleaned["metadata"]["annotations"]
    return dict(_mapped(cleaned, lambda text: _anonymous(space, text)))


def _cleaned(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _cleaned(item) for name, item in value.items() if name not in _OWN}
    return [_cleaned(item) for item in value] if isinstance(value, list) else value


def _anonymous(space: Space, text: str) -> str:
    return _TIME.sub("<time>", _UID.sub("<uid>", text.replace(space.namespace, "<space>")))


def differences(first: Any, second: Any, at: str = "") -> Iterable[str]:
    """Lines `path: one | other`, with `<absent>` where only one has something."""
    if isinstance(first, dict) and isinstance(second, dict):
        for name in sorted({*first, *second}):
            yield from differences(first.get(name, "<absent>"), second.get(name, "<absent>"), f"{at}.{name}")
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for index, (one, other) in enumerate(zip(first, second, strict=True)):
            yield from differences(one, other, f"{at}[{index}]")
    elif first != second:
        yield f"{at.removeprefix('.')}: {first} | {second}"
