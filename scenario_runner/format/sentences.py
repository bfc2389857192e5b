"""Turns what a model complains about into sentences: what was seen, what was expected, what to do."""

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from scenario_runner.core.bounds import shown
from scenario_runner.errors import Problem
from scenario_runner.format.yaml_core import Entries, Items, Mark, Scalar, Tree, plain

M = TypeVar("M", bound=BaseModel)

Loc = tuple[int | str, ...]

_EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a text",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dataclass_type": "a mapping",
    "mapping_type": "a mapping",
    "none_required": "nothing",
}


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """ ": did you mean X?", or the list of what there is."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f": did you mean {close[0]}?"
    return f": there is {', '.join(names)}" if names else ""


def dotted(loc: Loc) -> str:
    """A path as problems print it: steps[2].inject_xid.xid."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


class Reader:
    """Collects the problems of one file while its tree is turned into models."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def refuse(self, mark: Mark, loc: Loc, text: str) -> None:
        self.problems.append(Problem(self.file, mark.line, mark.column, dotted(loc), text))

    def model(self, cls: type[M], tree: Tree, loc: Loc, extra: Mapping[str, str] | None = None) -> M | None:
        """The model of a tree, or None after its problems were noted; `extra`: sentences for certain unknown keys."""
        data = plain(tree)
        if not isinstance(tree, Entries):
            self.refuse(tree.mark, loc, f"expected a mapping, found {shown(data)}")
            return None
        return self.data(cls, data, tree, loc, extra)

    def data(self, cls: type[M], data: Any, tree: Tree, loc: Loc, extra: Mapping[str, str] | None = None) -> M | None:
        """Like `model`, for data that is not written exactly like the model; marks are looked up in `tree`."""
        try:
            return cls.model_validate_json(json.dumps(data), strict=True)
        except ValidationError as error:
            self._note(cls, error, tree, loc, extra or {})
            return None

    def _note(
        self, cls: type[BaseModel], error: ValidationError, tree: Tree, loc: Loc, extra: Mapping[str, str]
    ) -> None:
        found: dict[tuple[Loc, bool], list[Any]] = {}
        for one in error.errors(include_url=False):
            place, _ = locate(tree, one["loc"])
            found.setdefault((place, one["type"] == "missing"), []).append(one)
        for (place, missing), errors in found.items():
            if not missing and _is_other_way(place, errors, found):
                continue
            for mark, path, text in _sentences(cls, tree, place, errors, extra):
                self.refuse(mark, (*loc, *path), text)


def _is_other_way(place: Loc, errors: list[Any], found: Iterable[tuple[Loc, bool]]) -> bool:
    """Whether these are only the other ways to write what was written as a mapping, whose own problems are told."""
    deeper = any(other[: len(place)] == place and (other != place or missing) for other, missing in found)
    return deeper and all(error["type"] in _EXPECTED for error in errors)


def locate(tree: Tree, loc: Loc) -> tuple[Loc, Mark]:
    """How far `loc` leads into the tree (tags of unions are left out), and where that is: a value, or else its key."""
    reached: list[int | str] = []
    mark = tree.mark
    for part in loc:
        if isinstance(tree, Items) and isinstance(part, int) and part < len(tree.items):
            tree = tree.items[part]
            mark = tree.mark
        elif isinstance(tree, Entries) and isinstance(part, str) and (entry := tree.find(part)) is not None:
            tree, mark = entry.value, entry.mark
        else:
            continue
        reached.append(part)
    return tuple(reached), tree.mark if isinstance(tree, Scalar) else mark


def _sentences(
    cls: type[BaseModel], tree: Tree, place: Loc, errors: list[Any], extra: Mapping[str, str]
) -> list[tuple[Mark, Loc, str]]:
    mark = locate(tree, place)[1]
    kinds = {one["type"] for one in errors}
    if kinds == {"missing"}:
        return [(mark, (*place, one["loc"][-1]), _missing(cls, place, str(one["loc"][-1]))) for one in errors]
    if "extra_forbidden" in kinds:
        return [(_key_mark(tree, place), place, extra.get(str(place[-1])) or _unknown(cls, place))]
    texts = [text for one in errors if (text := _text(one)) is not None]
    expected = [word for one in errors if (word := _expected(one)) is not None]
    if expected and not (texts and len(errors) > 1 and any(one["type"] == "value_error" for one in errors)):
        both = " or ".join(dict.fromkeys(expected))
        return [(mark, place, f"expected {both}, found {shown(errors[0]['input'])}")]
    return [(mark, place, text) for text in dict.fromkeys(texts)]


def _key_mark(tree: Tree, place: Loc) -> Mark:
    for part in place[:-1]:
        if isinstance(tree, Items) and isinstance(part, int):
            tree = tree.items[part]
        elif isinstance(tree, Entries) and (entry := tree.find(str(part))) is not None:
            tree = entry.value
    entry = tree.find(str(place[-1])) if isinstance(tree, Entries) else None
    return tree.mark if entry is None else entry.mark


def _fields(cls: type[BaseModel], place: Loc) -> Mapping[str, str]:
    """The fields (name in the file -> description) of the model at the end of `place`, as far as it can be told."""
    model: Any = cls
    for part in place:
        if isinstance(part, int):
            continue
        field = next((one for name, one in model.model_fields.items() if (one.alias or name) == part), None)
        inner = _model_in(field.annotation) if field is not None else None
        if inner is None:
            return {}
        model = inner
    return {field.alias or name: field.description or "" for name, field in model.model_fields.items()}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(one) for one in getattr(annotation, "__args__", ()))
    return next((one for one in found if one is not None), None)


def _missing(cls: type[BaseModel], place: Loc, key: str) -> str:
    about = _fields(cls, place).get(key, "")
    return f"is missing{': ' + about[:1].lower() + about[1:].rstrip('.') if about else ''}"


def _unknown(cls: type[BaseModel], place: Loc) -> str:
    return f"unknown key{did_you_mean(str(place[-1]), _fields(cls, place[:-1]))}"


def _expected(error: Any) -> str | None:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "literal_error":
        return str(context["expected"]).replace("'", "")
    return _EXPECTED.get(kind)


# What the patterns of the format ask for.
_PATTERNS = {
    r"^[a-z0-9][a-z0-9-]{0,62}$": "write lower-case letters, digits and hyphens, at most 63, like lost-gpu",
    r"^[a-z0-9][a-z0-9._-]*$": "write lower-case letters, digits, dots, hyphens and underscores, like gpu or team.a",
    r"^[A-Za-z0-9][A-Za-z0-9_-]*$": "write letters, digits, hyphens and underscores, like calm or lost_1",
}

_LIMITS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}


def _text(error: Any) -> str | None:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind in _LIMITS:
        name, words = _LIMITS[kind]
        return f"must be {words} {context[name]:g}, found {shown(error['input'])}"
    if kind in {"string_too_short", "too_short"}:
        return "must not be empty"
    if kind == "string_pattern_mismatch":
        return f"{shown(error['input'])} is not allowed: {_PATTERNS.get(context['pattern'], context['pattern'])}"
    return None if kind in _EXPECTED or kind == "literal_error" else str(error["msg"])
