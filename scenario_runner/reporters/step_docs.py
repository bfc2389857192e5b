"""The reference of the kinds of steps as Markdown and as text, made from the step classes themselves."""

import inspect
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from scenario_runner.core.outcome import Role
from scenario_runner.core.quantities import format_seconds
from scenario_runner.core.step import Step


def render(kinds: Mapping[str, type[Step]]) -> str:
    """What `schemas/steps.md` is made from."""
    intro = (
        "Every step is one kind with its fields, and beside it the keys that all kinds share: `id`, `name`,\n"
        "`timeout`, `when`, `retry: {attempts, every}` (reads and requests only), `background`, `continue_on_failure`."
    )
    return "\n".join(["# Steps", "", intro, "", *(page(kinds[kind]) for kind in sorted(kinds))])


def page(kind: type[Step]) -> str:
    """One kind's page."""
    rows = [f"| `{one.name}` | {_needed(kind, one)} | {one.meaning} |" for one in _fields(kind)]
    lines = [
        f"## `{kind.kind()}`",
        "",
        inspect.getdoc(kind) or "",
        "",
        "```yaml",
        textwrap.dedent(kind.example).strip(),
        "```",
        "",
        "| field | needed | meaning |",
        "| --- | --- | --- |",
        *rows,
        "",
        *_words(kind),
        f"Beside it may stand {', '.join(f'`{key}`' for key in _beside(kind))}.",
        "",
    ]
    return "\n".join(lines)


def catalogue(kinds: Mapping[str, type[Step]]) -> list[tuple[str, str, str]]:
    """Kind, role and first sentence of each, for the list on the terminal."""
    return [
        (kind, str(kinds[kind].role), (inspect.getdoc(kinds[kind]) or "").partition("\n\n")[0].replace("\n", " "))
        for kind in sorted(kinds)
    ]


def value(kind: type[Step]) -> dict[str, Any]:
    """The same page for machines."""
    return {
        "kind": kind.kind(),
        "role": kind.role,
        "description": inspect.getdoc(kind) or "",
        "example": textwrap.dedent(kind.example).strip(),
        "bare": kind.bare,
        "fields": [asdict(one) for one in _fields(kind)],
        "beside": _beside(kind),
    }


@dataclass(frozen=True)
class Field:
    """One field as an author writes it."""

    name: str
    required: bool
    default: str | None
    words: tuple[str, ...]  # that may be written; none: not from a list
    meaning: str


def _fields(kind: type[Step]) -> list[Field]:
    described = kind.model_json_schema()["properties"]
    return [
        Field(
            name=field.alias or name,
            required=field.is_required(),
            default=_written(described[field.alias or name].get("default")),
            words=tuple(_allowed(described[field.alias or name])),
            meaning=field.description or "",
        )
        for name, field in kind.model_fields.items()
    ]


def _needed(kind: type[Step], field: Field) -> str:
    if field.required:
        bare = kind.bare is not None and (kind.model_fields[kind.bare].alias or kind.bare) == field.name
        return "yes, also bare" if bare else "yes"
    return "no" if field.default is None else f"default `{field.default}`"


def _written(default: Any) -> str | None:
    """A default as it would stand in a scenario; None for one that can only be left out."""
    if isinstance(default, bool):
        return "true" if default else "false"
    if isinstance(default, float):  # the only ones are durations
        return format_seconds(default)
    if isinstance(default, list):
        return f"[{', '.join(default)}]" if default else None
    return None if default is None else str(default)


def _allowed(schema: Any) -> Iterator[str]:
    """The words that a field's schema lists, wherever in it."""
    if isinstance(schema, dict):
        yield from map(str, schema.get("enum", ()))
        for key in ("anyOf", "items"):
            yield from _allowed(schema.get(key))
    elif isinstance(schema, list):
        for one in schema:
            yield from _allowed(one)


def _words(kind: type[Step]) -> Iterator[str]:
    """The lists of words, each once for all fields that take it."""
    fields: dict[tuple[str, ...], list[str]] = {}
    for one in _fields(kind):
        if one.words:
            fields.setdefault(one.words, []).append(f"`{one.name}`")
    for words, names in fields.items():
        text = f"Words for {', '.join(names)}: {', '.join(f'`{word}`' for word in words)}."
        yield textwrap.fill(text, 118, break_on_hyphens=False)
        yield ""


def _beside(kind: type[Step]) -> list[str]:
    """The common keys that make sense with this kind."""
    group = kind.role is Role.GROUP
    return [
        *("id", "name", "when", "continue_on_failure"),
        *(["timeout"] if not group else []),
        *(["retry"] if kind.reads_only and not group else []),
        *(["background"] if kind.can_run_in_background else []),
    ]
