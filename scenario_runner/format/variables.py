"""Variables of a scenario: where their values come from, and how `{{ name }}` is written out (with Jinja)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scenario_runner.core.bounds import shown
from scenario_runner.core.plan import Variable
from scenario_runner.errors import InvalidScenario, Problem
from scenario_runner.format.sentences import Loc, Reader, did_you_mean
from scenario_runner.format.yaml_core import (
    Entries,
    Entry,
    Items,
    Mark,
    Scalar,
    Simple,
    Tree,
    parse_yaml,
    type_of_plain,
)

if TYPE_CHECKING:
    from jinja2 import nodes
    from jinja2.sandbox import SandboxedEnvironment

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_NAMES = re.compile(r"\{\{ ?([a-z][a-z0-9_]*) ?\}\}")
_JUST_NAMES = re.compile(rf"(?:[^{{}}]|{_NAMES.pattern})*")
_FILTERS = ("float", "int", "lower", "string", "trim", "upper")
_LONGEST_TEXT = 100_000  # characters that one value may become


@dataclass(frozen=True)
class VariableSources:
    """What may override variables: `--var` (raw texts), each `--vars-file` (later ones win), the environment."""

    flags: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def substitute(root: Entries, sources: VariableSources, reader: Reader) -> tuple[Entries, tuple[Variable, ...]]:
    """The tree with every `{{ }}` outside `vars` written out, and the variables; problems go to the reader."""
    declared = _declared(root, reader)
    _refuse_unknown_flags(declared, sources, reader)
    files = [(str(path), read_vars_file(path)) for path in sources.files]
    variables = tuple(_choose(entry, sources, files, reader) for entry in declared.values())
    writer = _Writer({variable.name: variable.value for variable in variables}, reader)
    entries = (
        entry if entry.key == "vars" else Entry(entry.mark, entry.key, writer.tree(entry.value, (entry.key,)))
        for entry in root.entries
    )
    return Entries(root.mark, tuple(entries)), variables


def read_vars_file(path: Path) -> Entries:
    """A YAML mapping of names to single values; raise InvalidScenario when it is none."""
    try:
        tree = parse_yaml(path.read_bytes(), str(path))
    except OSError as error:
        raise InvalidScenario([Problem(str(path), 1, 1, "", f"can not be read: {error.strerror}")]) from error
    reader = Reader(str(path))
    if not isinstance(tree, Entries):
        reader.refuse(tree.mark, (), "expected a mapping of variables, like 'calm: 3s'")
        raise InvalidScenario(reader.problems)
    for entry in tree.entries:
        _check_value(entry, (), reader)
    if reader.problems:
        raise InvalidScenario(reader.problems)
    return tree


def _declared(root: Entries, reader: Reader) -> dict[str, Entry]:
    block = root.find("vars")
    if block is None or (isinstance(block.value, Scalar) and block.value.value is None):
        return {}
    if not isinstance(block.value, Entries):
        reader.refuse(block.value.mark, ("vars",), "expected a mapping of variables, like 'calm: 30s'")
        return {}
    return {entry.key: entry for entry in block.value.entries if _check_value(entry, ("vars",), reader)}


def _check_value(entry: Entry, loc: Loc, reader: Reader) -> bool:
    loc = (*loc, entry.key)
    if not _NAME.fullmatch(entry.key):
        reader.refuse(entry.mark, loc, "a variable's name has lower-case letters, digits and underscores")
    elif not isinstance(entry.value, Scalar) or entry.value.value is None:
        found = "nothing" if isinstance(entry.value, Scalar) else "a list or a mapping"
        reader.refuse(entry.value.mark, loc, f"a variable is a single value, found {found}")
    elif isinstance(entry.value.value, str) and "{{" in entry.value.value:
        reader.refuse(entry.value.mark, loc, "a variable's own value can not refer to variables")
    else:
        return True
    return False


def _refuse_unknown_flags(declared: Mapping[str, Entry], sources: VariableSources, reader: Reader) -> None:
    for name in sources.flags:
        if name not in declared:
            hint = did_you_mean(name, declared) or ": it has no vars"
            reader.refuse(Mark(1, 1), (), f"--var {name}: the scenario has no such variable{hint}")


def _choose(entry: Entry, sources: VariableSources, files: list[tuple[str, Entries]], reader: Reader) -> Variable:
    assert isinstance(entry.value, Scalar), "checked by _check_value"
    name, default = entry.key, entry.value.value
    given, source = default, "file"
    in_environment = f"SCENARIO_VAR_{name.upper()}"
    if in_environment in sources.environment:
        given, source = _typed(sources.environment[in_environment], default), in_environment
    for path, tree in files:
        found = tree.find(name)
        if found is not None and isinstance(found.value, Scalar):
            given, source = found.value.value, f"--vars-file {path}"
    if name in sources.flags:
        given, source = _typed(sources.flags[name], default), "--var"
    if not _same_kind(given, default):
        text = f"{source} gives {shown(given)}, and the scenario has {_kind(default)} ({shown(default)}) here"
        reader.refuse(entry.value.mark, ("vars", name), text)
    return Variable(name, given, source)


def _typed(text: str, default: Simple) -> Simple:
    return text if isinstance(default, str) else type_of_plain(text)


def _kind(value: Simple) -> str:
    if isinstance(value, bool):
        return "true or false"
    return {int: "a whole number", float: "a number"}.get(type(value), "a text")


def _same_kind(given: Simple, default: Simple) -> bool:
    both = {type(given), type(default)}
    return len(both) == 1 or both == {int, float}


class _Writer:
    """Writes templates out. A text that is exactly one `{{ x }}` keeps the type of x."""

    def __init__(self, values: Mapping[str, Simple], reader: Reader) -> None:
        self._values = values
        self._reader = reader
        self._environment: SandboxedEnvironment | None = None

    def tree(self, tree: Tree, loc: Loc) -> Tree:
        if isinstance(tree, Items):
            return Items(tree.mark, tuple(self.tree(item, (*loc, at)) for at, item in enumerate(tree.items)))
        if isinstance(tree, Entries):
            inner = (Entry(one.mark, one.key, self.tree(one.value, (*loc, one.key))) for one in tree.entries)
            return Entries(tree.mark, tuple(inner))
        if not isinstance(tree.value, str) or not any(mark in tree.value for mark in ("{{", "{%", "{#")):
            return tree
        return Scalar(tree.mark, self._written(tree.value, tree.mark, loc))

    def _written(self, text: str, mark: Mark, loc: Loc) -> Simple:
        names = _NAMES.findall(text)
        if _JUST_NAMES.fullmatch(text) and all(name in self._values for name in names):
            return self._named(text, names)
        return self._expressed(text, mark, loc)

    def _named(self, text: str, names: list[str]) -> Simple:
        """Nearly every template is just names: Jinja, which takes a while to import, is for the others."""
        if len(names) == 1 and _NAMES.fullmatch(text):
            return self._values[names[0]]
        return _NAMES.sub(lambda found: str(_as_yaml(self._values[found[1]])), text)

    def _expressed(self, text: str, mark: Mark, loc: Loc) -> Simple:
        from jinja2 import TemplateError, TemplateSyntaxError

        if "{%" in text or "{#" in text:
            self._reader.refuse(mark, loc, "only {{ variable }} may stand in a value, not {% %} or {# #}")
            return text
        try:
            return self._evaluated(text, mark, loc)
        except TemplateSyntaxError:
            hint = "what stands between {{ and }} is no variable, nor anything that is made of variables"
            self._reader.refuse(mark, loc, f"{shown(text)} can not be written out: {hint}")
            return text
        except TemplateError as error:
            self._reader.refuse(mark, loc, f"{shown(text)} can not be written out: {error.message}")
            return text

    def _evaluated(self, text: str, mark: Mark, loc: Loc) -> Simple:
        environment = self._sandbox()
        template = environment.parse(text)
        wrong = self._wrong(template)
        if wrong is not None:
            self._reader.refuse(mark, loc, wrong)
            return text
        if _is_one_expression(template):
            expression = environment.compile_expression(text.strip()[2:-2].strip("-+ "), undefined_to_none=False)
            value: Simple = expression(**self._values)
        else:
            value = environment.from_string(text).render(**self._values)
        if isinstance(value, str) and len(value) > _LONGEST_TEXT:
            self._reader.refuse(mark, loc, f"this becomes longer than {_LONGEST_TEXT} characters")
            return text
        return value

    def _wrong(self, template: "nodes.Template") -> str | None:
        from jinja2 import meta, nodes

        allowed = (
            nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Filter, nodes.Concat, nodes.Compare,
            nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.CondExpr,
        )  # fmt: skip
        for node in template.find_all(nodes.Node):
            if not isinstance(node, allowed) or (isinstance(node, nodes.Filter) and node.name not in _FILTERS):
                return f"only variables, comparisons and the filters {', '.join(_FILTERS)} may stand in {{{{ }}}}"
        unknown = sorted(meta.find_undeclared_variables(template) - set(self._values))
        if unknown:
            hint = did_you_mean(unknown[0], self._values) or ": the scenario has no vars"
            return f"the variable {unknown[0]} is not defined{hint}"
        return None

    def _sandbox(self) -> "SandboxedEnvironment":
        if self._environment is None:
            from jinja2 import StrictUndefined
            from jinja2.sandbox import SandboxedEnvironment

            self._environment = SandboxedEnvironment(
                undefined=StrictUndefined, finalize=_as_yaml, keep_trailing_newline=True
            )
            self._environment.globals.clear()
        return self._environment


def _as_yaml(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _is_one_expression(template: "nodes.Template") -> bool:
    from jinja2 import nodes

    body = template.body
    if len(body) != 1 or not isinstance(body[0], nodes.Output) or len(body[0].nodes) != 1:
        return False
    return not isinstance(body[0].nodes[0], nodes.TemplateData)
