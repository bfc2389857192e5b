"""The reference of the kinds of steps as Markdown and as text, made from the step classes themselves."""

import inspect
import textwrap
from collections.abc import Mapping

from pydantic.fields import FieldInfo

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
    rows = [f"| `{name}` | {_needed(kind, field)} | {field.description} |" for name, field in _fields(kind)]
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
    ]
    return "\n".join(lines)


def catalogue(kinds: Mapping[str, type[Step]]) -> list[tuple[str, str, str]]:
    """Kind, role and first sentence of each, for the list on the terminal."""
    return [
        (kind, str(kinds[kind].role), (inspect.getdoc(kinds[kind]) or "").partition("\n\n")[0].replace("\n", " "))
        for kind in sorted(kinds)
    ]


def _fields(kind: type[Step]) -> list[tuple[str, FieldInfo]]:
    return [(field.alias or name, field) for name, field in kind.model_fields.items()]


def _needed(kind: type[Step], field: FieldInfo) -> str:
    if field.is_required():
        bare = kind.bare is not None and kind.model_fields[kind.bare] is field
        return "yes, also bare" if bare else "yes"
    default = field.get_default(call_default_factory=False)
    return "no" if default is None else f"default `{default}`"
