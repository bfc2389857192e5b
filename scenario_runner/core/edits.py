"""Edits of plain Kubernetes objects that address lists by key, and the claim that a run puts on an object first."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from scenario_runner.core.ports import Edit

# A change may only land while this annotation still names its promise ("<run>/<number>"), and its undo takes it away.
CLAIM = "scenario-runner/claim"
CLAIM_PATH = ("metadata", "annotations", CLAIM)

_Path = tuple[str, ...]


def leaf(content: Any, path: _Path) -> Any:
    """The value at a keyed path ("containers", "name=main", "image"); None when it is not there."""
    for part in path:
        if isinstance(content, list):
            content = next((one for one in content if _is(one, part)), None)
        elif isinstance(content, Mapping):
            content = content.get(part)
        else:
            return None
    return content


def claim_of(content: Mapping[str, Any]) -> str:
    """The claim on an object, "" when there is none."""
    return str(leaf(content, CLAIM_PATH) or "")


def edited(content: Mapping[str, Any], edits: Iterable[Edit]) -> dict[str, Any]:
    """A copy of an object with the edits made; what lacks on the way is created."""
    new = copy.deepcopy(dict(content))
    edit_in_place(new, edits)
    return new


def edit_in_place(content: dict[str, Any], edits: Iterable[Edit]) -> None:
    for edit in edits:
        _set(content, edit.path, edit.became)


def missing_parents(content: Mapping[str, Any], edits: Iterable[Edit]) -> tuple[_Path, ...]:
    """The paths on the way to the edits that do not exist yet, outermost first: they are empty once all is back."""
    found: dict[_Path, None] = {}
    for edit in edits:
        for length in range(1, len(edit.path)):
            parent = edit.path[:length]
            if leaf(content, parent) is None:
                found[parent] = None
    return tuple(sorted(found, key=len))


def emptied(content: Mapping[str, Any], edits: Iterable[Edit], made: Iterable[_Path]) -> list[Edit]:
    """Edits that also take out those of `made` in which nothing is left once `edits` are done."""
    wanted = list(edits)
    after = edited(content, wanted)
    for path in sorted(made, key=len, reverse=True):
        now = leaf(after, path)
        if now is not None and _is_bare(now, path[-1]):
            one = Edit(path, now, None)
            wanted.append(one)
            after = edited(after, [one])
    return wanted


def _is_bare(value: Any, part: str) -> bool:
    """Whether nothing is left in it but the key that it is found by."""
    key, keyed, wanted = part.partition("=")
    return value in ({}, []) or (bool(keyed) and value == {key: wanted})


def _is(element: Any, part: str) -> bool:
    key, keyed, wanted = part.partition("=")
    return bool(keyed) and isinstance(element, Mapping) and str(element.get(key)) == wanted


def _set(now: Any, path: _Path, became: Any) -> None:
    part, rest = path[0], path[1:]
    where = _find(now, part)
    if where is None or (rest and now[where] is None):
        if became is not None:
            _add(now, part, built(part, rest, became))
    elif rest:
        _set(now[where], rest, became)
    elif became is None:
        del now[where]
    else:
        now[where] = copy.deepcopy(became)


def _find(now: Any, part: str) -> Any:
    if isinstance(now, list):
        return next((at for at, one in enumerate(now) if _is(one, part)), None)
    return part if part in now else None


def _add(now: Any, part: str, value: Any) -> None:
    if isinstance(now, list):
        now.append(value)
    else:
        now[part] = value


def built(part: str, rest: _Path, became: Any) -> Any:
    """What has to stand at `part` so that the rest of the path leads to `became`."""
    value = copy.deepcopy(became)
    if rest:
        inner = built(rest[0], rest[1:], became)
        value = [inner] if "=" in rest[0] else {rest[0]: inner}
    key, keyed, wanted = part.partition("=")
    return {key: wanted, **value} if keyed and isinstance(value, dict) else value
