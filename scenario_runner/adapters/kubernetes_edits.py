"""Edits that address lists by key, as a JSON Patch for the object as it is right now."""

import copy
from collections.abc import Iterable
from typing import Any

from scenario_runner.core.edits import CLAIM, built
from scenario_runner.core.ports import Edit

Json = Any
Operation = dict[str, Json]


def json_patch(content: Json, edits: Iterable[Edit]) -> list[Operation]:
    """
    The operations that bring `content` (not changed) to what the edits want; what lacks on the way is created.

    Removing what is not there takes no operation.
    """
    now = copy.deepcopy(content)
    operations: list[Operation] = []
    for edit in edits:
        operations += _set(now, "", edit.path, edit.became)
    return operations


def precondition(uid: str, resource_version: str, claim: str = "") -> list[Operation]:
    """Operations that make a patch fail when the object is another one, has changed or lost the claim on it."""
    tests = {"/metadata/uid": uid, "/metadata/resourceVersion": resource_version}
    if claim:
        tests[f"/metadata/annotations/{_escaped(CLAIM)}"] = claim
    return [{"op": "test", "path": path, "value": value} for path, value in tests.items()]


def _set(now: Json, pointer: str, path: tuple[str, ...], became: Json) -> list[Operation]:
    """Change `now`, which lies at `pointer`, and say how; later edits must see what earlier ones did to the indexes."""
    part, rest = path[0], path[1:]
    where = _find(now, part)
    if where is None or (rest and now[where] is None):
        return [] if became is None else [_add(now, pointer, part, built(part, rest, became))]
    here = f"{pointer}/{_escaped(where)}"
    if rest:
        return _set(now[where], here, rest, became)
    if became is None:
        del now[where]
        return [{"op": "remove", "path": here}]
    now[where] = copy.deepcopy(became)
    return [{"op": "replace", "path": here, "value": became}]


def _find(now: Json, part: str) -> Any:
    """The index or key of a path part; None when it is not there."""
    if isinstance(now, list):
        key, _, wanted = part.partition("=")
        return next((at for at, one in enumerate(now) if str(one.get(key)) == wanted), None)
    return part if part in now else None


def _add(now: Json, pointer: str, part: str, value: Json) -> Operation:
    mine = copy.deepcopy(value)  # a later edit may add to it, and is an operation of its own
    if isinstance(now, list):
        now.append(mine)
        return {"op": "add", "path": f"{pointer}/-", "value": value}
    now[part] = mine
    return {"op": "add", "path": f"{pointer}/{_escaped(part)}", "value": value}


def _escaped(part: str | int) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")
