"""Writes scenario files for tests and tells what the loader and lint say about them."""

from pathlib import Path

from scenario_runner.errors import InvalidScenario, Problem
from scenario_runner.format.lint import lint
from scenario_runner.format.loader import load
from scenario_runner.format.scenario import Scenario
from scenario_runner.format.variables import VariableSources
from tests.format.kinds import KINDS

HEAD = "version: 1\nname: drill\n"
NOTHING_GIVEN = VariableSources()


def scenario(folder: Path, text: str, sources: VariableSources = NOTHING_GIVEN) -> Scenario:
    """The scenario of `text`, which begins after version and name (two lines)."""
    file = folder / "drill.yaml"
    file.write_text(HEAD + text)
    return load(file, sources, KINDS)


def short(problem: Problem) -> str:
    """A problem without its file."""
    path = f"{problem.path}: " if problem.path else ""
    return f"{problem.line}:{problem.column}: {path}{problem.text}"


def problems(folder: Path, text: str, sources: VariableSources = NOTHING_GIVEN) -> list[str]:
    """What the loader says; none when it takes the file."""
    try:
        scenario(folder, text, sources)
    except InvalidScenario as error:
        return [short(problem) for problem in error.problems]
    return []


def findings(folder: Path, text: str) -> list[str]:
    """What lint says about a file that the loader takes."""
    found = lint(scenario(folder, text))
    return [f"{'error' if one.is_error else 'warning'} {short(one.problem)}" for one in found]
