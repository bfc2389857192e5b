"""Reads a scenario file, and says everything that is wrong with it at once."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from scenario_runner.core.bounds import shown
from scenario_runner.core.outcome import Phase
from scenario_runner.errors import InvalidScenario, Problem
from scenario_runner.format.entries import NOT_YET, Kinds, StepEntry, read_entries
from scenario_runner.format.lint import lint
from scenario_runner.format.scenario import PHASES, Header, Scenario
from scenario_runner.format.sentences import Reader, did_you_mean
from scenario_runner.format.targets import Declared, read_target
from scenario_runner.format.variables import VariableSources, substitute
from scenario_runner.format.yaml_core import MOST_BYTES, Entries, Items, Tree, parse_yaml, plain

_OWN = ("vars", "targets", *PHASES)
_TARGET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def load(path: Path, sources: VariableSources, kinds: Kinds) -> Scenario:
    """Raise InvalidScenario with all problems of the file; whether one without any makes sense is asked by `lint`."""
    content = _content(path)
    root = parse_yaml(content, str(path))
    reader = Reader(str(path))
    if not isinstance(root, Entries):
        reader.refuse(
            root.mark, (), f"a scenario is a mapping that begins with 'version: 1', found {shown(plain(root))}"
        )
        raise InvalidScenario(reader.problems)
    root, variables = substitute(root, sources, reader)
    header = _header(root, reader)
    targets = _targets(root, reader)
    steps = _steps(root, kinds, reader)
    digest = hashlib.sha256(content).hexdigest()
    if reader.problems or header is None:
        known = header or Header.model_construct(version=1, name="")
        torn = Scenario(
            path, digest, known, variables, targets, steps, root, torn=True, unread=_unread(root, targets, steps)
        )
        senseless = [finding.problem for finding in lint(torn) if finding.is_error]
        raise InvalidScenario(_first_of_each_place([*reader.problems, *senseless]))
    return Scenario(path, digest, header, variables, targets, steps, root)


def _unread(
    root: Entries, targets: Mapping[str, Declared], steps: Mapping[Phase, tuple[StepEntry, ...]]
) -> frozenset[str]:
    """Names of targets and ids of steps that stand in the file and could not be read."""
    block = root.find("targets")
    declared = {entry.key for entry in block.value.entries} if block and isinstance(block.value, Entries) else set()
    read = {name for entries in steps.values() for name in _ids_read(entries)}
    return frozenset(declared - targets.keys() | _ids_written(root) - read)


def _ids_read(entries: tuple[StepEntry, ...]) -> Iterator[str | None]:
    for entry in entries:
        yield entry.common.id
        yield from _ids_read(entry.inner)


def _ids_written(tree: Tree) -> set[str]:
    """The value of every key `id`, wherever it stands."""
    if isinstance(tree, Items):
        return {name for item in tree.items for name in _ids_written(item)}
    if not isinstance(tree, Entries):
        return set()
    own = {str(plain(entry.value)) for entry in tree.entries if entry.key == "id"}
    return own | {name for entry in tree.entries for name in _ids_written(entry.value)}


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if size > MOST_BYTES:
                text = f"the file has {size / MOST_BYTES:.1f} MiB: a scenario is at most 1 MiB"
                raise InvalidScenario([Problem(str(path), 1, 1, "", text)])
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InvalidScenario([Problem(str(path), 1, 1, "", f"can not be read: {error.strerror}")]) from error


def _first_of_each_place(problems: list[Problem]) -> list[Problem]:
    """In the order of the file; a value that could not be written out is not also no duration."""
    first: dict[tuple[int, int, str], Problem] = {}
    for problem in problems:
        first.setdefault((problem.line, problem.column, problem.path), problem)
    return sorted(first.values(), key=lambda one: (one.line, one.column))


def _header(root: Entries, reader: Reader) -> Header | None:
    known = tuple(entry for entry in root.entries if entry.key in Header.model_fields)
    for entry in root.entries:
        if entry.key in NOT_YET:
            reader.refuse(entry.mark, (entry.key,), f"'{entry.key}' is not there yet: write a file for each case")
        elif entry.key not in Header.model_fields and entry.key not in _OWN:
            hint = did_you_mean(entry.key, [*Header.model_fields, *_OWN])
            reader.refuse(entry.mark, (entry.key,), f"unknown key{hint}")
    return reader.model(Header, Entries(root.mark, known), ())


def _targets(root: Entries, reader: Reader) -> Mapping[str, Declared]:
    block = root.find("targets")
    if block is None:
        return {}
    if not isinstance(block.value, Entries):
        reader.refuse(block.value.mark, ("targets",), "expected a mapping of names to targets")
        return {}
    targets: dict[str, Declared] = {}
    for entry in block.value.entries:
        loc = ("targets", entry.key)
        if not _TARGET_NAME.fullmatch(entry.key):
            reader.refuse(entry.mark, loc, "a target's name has letters, digits, hyphens and underscores")
        target = read_target(entry.value, loc, reader)
        if target is not None:
            targets[entry.key] = target
    return targets


def _steps(root: Entries, kinds: Kinds, reader: Reader) -> Mapping[Phase, tuple[StepEntry, ...]]:
    steps: dict[Phase, tuple[StepEntry, ...]] = {}
    for key, phase in PHASES.items():
        entry = root.find(key)
        if entry is not None:
            steps[phase] = read_entries(entry.value, (key,), phase, kinds, reader)
    listed = root.find("steps")
    if listed is None:
        reader.refuse(root.mark, ("steps",), "is missing: what the scenario does, one step after the other")
    elif plain(listed.value) == []:
        reader.refuse(listed.value.mark, ("steps",), "must not be empty")
    return steps
