"""Reads YAML 1.2 (core types) into a small tree in which every key and value knows its line and column."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import yaml

from scenario_runner.errors import InvalidScenario, Problem
from scenario_runner.format.yaml_errors import sentence

MOST_BYTES = 1024 * 1024
MOST_NODES = 20_000  # after every alias is written out
DEEPEST = 40
_LONGEST_NUMBER = 30  # characters; longer digits stay text

Simple: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True)
class Mark:
    """A place in a file, both counted from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Scalar:
    """A single value."""

    mark: Mark
    value: Simple


@dataclass(frozen=True)
class Items:
    """A list."""

    mark: Mark
    items: "tuple[Tree, ...]"


@dataclass(frozen=True)
class Entry:
    """One key of a mapping and its value."""

    mark: Mark
    key: str
    value: "Tree"


@dataclass(frozen=True)
class Entries:
    """A mapping."""

    mark: Mark
    entries: tuple[Entry, ...]

    def find(self, key: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.key == key), None)


Tree: TypeAlias = Scalar | Items | Entries


def plain(tree: Tree) -> Any:
    """The tree as plain dicts, lists and values."""
    if isinstance(tree, Scalar):
        return tree.value
    if isinstance(tree, Items):
        return [plain(item) for item in tree.items]
    return {entry.key: plain(entry.value) for entry in tree.entries}


def parse_yaml(content: bytes, file: str) -> Tree:
    """The one document of a file; raise InvalidScenario with line, column and a sentence when it is none."""
    text = _decode(content, file)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _Builder(file, text, yaml.parse(text, Loader=loader)).document()
    except yaml.MarkedYAMLError as error:
        line, column, found = sentence(error, text)
        raise _invalid(file, Mark(line, column), found) from error
    except yaml.reader.ReaderError as error:
        raise _invalid(file, _mark_at(text, error.position), _control_character(error)) from error


def _control_character(error: yaml.reader.ReaderError) -> str:
    code = error.character if isinstance(error.character, int) else ord(str(error.character)[:1])
    return f"the character #x{code:04x} is not allowed in YAML: remove it"


def type_of_plain(text: str) -> Simple:
    """What an unquoted text means in YAML 1.2: only true and false are booleans, 010 is ten, 1:30 and on are texts."""
    if text in {"", "~", "null", "Null", "NULL"}:
        return None
    if text in {"true", "false"}:
        return text == "true"
    if len(text) > _LONGEST_NUMBER:
        return text
    return _number(text)


def _number(text: str) -> Simple:
    if re.fullmatch(r"[-+]?[0-9]+", text):
        return int(text)
    if re.fullmatch(r"0o[0-7]+", text):
        return int(text[2:], 8)
    if re.fullmatch(r"0x[0-9a-fA-F]+", text):
        return int(text[2:], 16)
    if re.fullmatch(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", text):
        return float(text)
    return text


def _decode(content: bytes, file: str) -> str:
    if len(content) > MOST_BYTES:
        size = f"{len(content) / MOST_BYTES:.1f} MiB"
        raise _invalid(file, Mark(1, 1), f"the file has {size}: a scenario is at most 1 MiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", errors="replace")
        message = f"the byte 0x{content[error.start]:02x} is not UTF-8: save the file as UTF-8"
        raise _invalid(file, _mark_at(before, len(before)), message) from error


def _mark_at(text: str, position: int) -> Mark:
    before = text[:position]
    return Mark(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


def _invalid(file: str, mark: Mark, text: str, path: str = "") -> InvalidScenario:
    return InvalidScenario([Problem(file, mark.line, mark.column, path, text)])


def _mark(event: yaml.Event) -> Mark:
    mark = event.start_mark
    return Mark(1, 1) if mark is None else Mark(mark.line + 1, mark.column + 1)


class _Builder:
    """Builds the tree from the parser's events, so that depth and size are bounded while reading."""

    def __init__(self, file: str, text: str, events: Iterator[yaml.Event]) -> None:
        self._file = file
        self._lines = text.split("\n")
        self._events = events
        self._anchors: dict[str, tuple[Tree | None, int]] = {}  # None while it is being built
        self._nodes = 0
        self._problems: list[Problem] = []

    def document(self) -> Tree:
        next(self._events)  # the stream begins
        begin = next(self._events)
        if isinstance(begin, yaml.StreamEndEvent):
            raise _invalid(self._file, Mark(1, 1), "the file is empty")
        tree = self._tree(next(self._events), 0)
        next(self._events)  # the document ends
        more = next(self._events)
        if not isinstance(more, yaml.StreamEndEvent):
            raise _invalid(self._file, _mark(more), "a second document begins here: one file is one scenario")
        if self._problems:
            raise InvalidScenario(self._problems)
        return tree

    def _refuse(self, mark: Mark, text: str) -> InvalidScenario:
        return _invalid(self._file, mark, text)

    def _tree(self, event: yaml.Event, depth: int) -> Tree:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        self._check(event, depth)
        before, anchor = self._nodes, getattr(event, "anchor", None)
        if anchor is not None:
            self._anchors[anchor] = (None, 0)
        self._count(_mark(event), 1)
        tree = self._new(event, depth)
        if anchor is not None:
            self._anchors[anchor] = (tree, self._nodes - before)
        return tree

    def _check(self, event: yaml.Event, depth: int) -> None:
        if depth > DEEPEST:
            raise self._refuse(_mark(event), f"more than {DEEPEST} levels lie inside each other")
        tag = getattr(event, "tag", None)
        if tag not in {None, "!"}:
            short = str(tag).replace("tag:yaml.org,2002:", "!!")
            raise self._refuse(_mark(event), f"the tag {short} has no meaning here: remove it")

    def _count(self, mark: Mark, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MOST_NODES:
            text = f"with its aliases written out the file has more than {MOST_NODES} values: write them out yourself"
            raise self._refuse(mark, text)

    def _alias(self, event: yaml.AliasEvent) -> Tree:
        tree, nodes = self._anchors.get(event.anchor or "", (None, -1))
        if tree is None:
            why = "is not defined before this line" if nodes < 0 else "contains itself"
            raise self._refuse(_mark(event), f"the anchor '{event.anchor}' {why}")
        self._count(_mark(event), nodes)
        return tree

    def _new(self, event: yaml.Event, depth: int) -> Tree:
        mark = _mark(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return Items(mark, tuple(self._tree(inner, depth + 1) for inner in self._until(yaml.SequenceEndEvent)))
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(mark, depth)
        assert isinstance(event, yaml.ScalarEvent), "nothing else is left"
        quoted = bool(event.style)  # the C parser says "" where the Python one says None
        return Scalar(mark, event.value if quoted else type_of_plain(event.value))

    def _until(self, end: type[yaml.Event]) -> Iterator[yaml.Event]:
        while not isinstance(event := next(self._events), end):
            yield event

    def _mapping(self, mark: Mark, depth: int) -> Entries:
        entries: dict[str, Entry] = {}
        for event in self._until(yaml.MappingEndEvent):
            at, key = _mark(event), self._key(mark, event)
            value = self._tree(next(self._events), depth + 1)
            if key in entries:
                first = entries[key].mark.line
                text = f"the key '{key}' is given twice (first in line {first}): remove one"
                self._problems.append(Problem(self._file, at.line, at.column, "", text))
                continue
            entries[key] = Entry(at, key, value)
        return Entries(mark, tuple(entries.values()))

    def _key(self, mapping: Mark, event: yaml.Event) -> str:
        if isinstance(event, yaml.ScalarEvent):
            if event.value == "<<" and not event.style:
                raise self._refuse(_mark(event), "merge keys (<<) are not part of YAML 1.2: write the keys out")
            return str(event.value)
        line = self._lines[mapping.line - 1][mapping.column - 1 :]
        if template := re.match(r"\{\{.*?\}\}[^\s,}\]]*", line):
            raise self._refuse(mapping, f'put this value in quotes: "{template[0]}"')
        raise self._refuse(_mark(event), "a key is a text, not a list or a mapping")
