"""Finds scenario files and reads them, all problems at once."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from scenario_runner.errors import InvalidScenario, Problem
from scenario_runner.format.loader import load
from scenario_runner.format.scenario import Scenario
from scenario_runner.format.variables import VariableSources
from scenario_runner.lab.layout import labs_folder
from scenario_runner.steps import STEPS


@dataclass(frozen=True)
class Sources:
    """Where variables come from, as the command line says."""

    variables: tuple[str, ...] = ()
    vars_file: tuple[Path, ...] = ()


def find(paths: Iterable[Path]) -> list[Path]:
    """The scenario files: of a folder its *.yaml and *.yml files by name, not those in folders below."""
    files: list[Path] = []
    problems: list[Problem] = []
    for path in paths:
        inside = sorted(file for file in path.glob("*.y*ml") if file.suffix in {".yaml", ".yml"})
        if path.is_dir() and not inside:
            problems.append(Problem(str(path), 1, 1, "", "this folder holds no *.yaml file"))
        elif not path.exists():
            problems.append(Problem(str(path), 1, 1, "", "there is no such file or folder"))
        files += inside if path.is_dir() else [path]
    if problems:
        raise InvalidScenario(problems)
    return files


def read(paths: Iterable[Path], sources: Sources) -> list[Scenario]:
    """Every scenario, or InvalidScenario with what is wrong with any of them."""
    scenarios: list[Scenario] = []
    problems: list[Problem] = []
    given = VariableSources(_flags(sources.variables), sources.vars_file, os.environ)
    for file in find(paths):
        try:
            scenarios.append(load(file, given, STEPS))
        except InvalidScenario as exc:
            problems += exc.problems
    if problems:
        raise InvalidScenario(problems)
    return scenarios


def state_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the program keeps what outlives a run: claims, known runs, labs."""
    return labs_folder(environment).parent


def _flags(texts: Iterable[str]) -> Mapping[str, str]:
    """`--var name=value` as a mapping; InvalidScenario for what is not of that form."""
    pairs = {text.partition("=")[0]: text.partition("=")[2] for text in texts}
    bad = [text for text in texts if not text.partition("=")[1] or not text.partition("=")[0]]
    if bad:
        raise InvalidScenario([Problem("--var", 1, 1, "", f"{text!r} is not of the form name=value") for text in bad])
    return pairs
