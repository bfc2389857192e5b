"""
The commands that only look: lint, plan, steps, schema, xids. Each returns what is to be printed.

What only one of them needs is imported there: editors and commit hooks run `lint` again and again.
"""

import json
import random
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path

from scenario_runner.app.files import Sources, find, read, state_folder
from scenario_runner.app.place import Place
from scenario_runner.errors import ExitCode, InvalidScenario, Problem, WrongCommand
from scenario_runner.format.lint import lint as lint_scenario
from scenario_runner.reporters import step_docs
from scenario_runner.steps import STEPS


@dataclass(frozen=True)
class PlanOptions:
    """The options of `plan`, as the command line has them."""

    path: Path
    place: Place
    variables: tuple[str, ...]
    vars_file: tuple[Path, ...]
    seed: int | None
    as_json: bool


@dataclass(frozen=True)
class LintResult:
    """What is wrong with files: what refuses them, and what is only doubtful."""

    files: int
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.INVALID if self.errors else ExitCode.PASSED

    def text(self) -> str:
        lines = [*map(str, self.errors), *(f"{problem} (warning)" for problem in self.warnings)]
        end = f"{_count(self.files, 'file')}: {_count(len(self.errors), 'error')}, "
        end += _count(len(self.warnings), "warning")
        return "\n".join([*lines, end])

    def json_lines(self) -> str:
        rows = [("error", one) for one in self.errors] + [("warning", one) for one in self.warnings]
        return "\n".join(json.dumps({"severity": severity, **asdict(one)}) for severity, one in rows)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def lint(paths: Iterable[Path], sources: Sources) -> LintResult:
    """Everything that is wrong with the files; nothing is raised for what the files hold."""
    errors: list[Problem] = []
    warnings: list[Problem] = []
    found = find(paths)
    for file in found:
        try:
            scenario = read([file], sources)[0]
        except InvalidScenario as exc:
            errors += exc.problems
            continue
        for finding in lint_scenario(scenario):
            (errors if finding.is_error else warnings).append(finding.problem)
    return LintResult(len(found), tuple(errors), tuple(warnings))


def plan(options: PlanOptions) -> str:
    """The plan of one scenario, as text or as JSON."""
    from scenario_runner.adapters.cuda_library import CudaLibraryFiles
    from scenario_runner.app.backend import backend
    from scenario_runner.app.consent import cluster_lines
    from scenario_runner.app.preflight import refuse_what_is_not_permitted, refuse_what_steps_object_to
    from scenario_runner.format.plan import make_plan
    from scenario_runner.format.plan_json import plan_value
    from scenario_runner.format.plan_text import render

    scenario = read([options.path], Sources(options.variables, options.vars_file))[0]
    seed = random.SystemRandom().randrange(2**31) if options.seed is None else options.seed
    with backend(options.place) as where:
        made = make_plan(scenario, where.cluster, where.agent, seed=seed)
        refuse_what_is_not_permitted(made, where)
        refuse_what_steps_object_to(made, where, CudaLibraryFiles(state_folder()))
        if options.as_json:
            return json.dumps({"cluster": where.words, "identity": where.identity, **plan_value(made)}, indent=2)
        return "\n".join([*cluster_lines(where), render(made)])


def steps(kind: str | None, *, as_json: bool) -> str:
    """The catalogue of kinds, or the page of one."""
    if kind is not None and kind not in STEPS:
        raise WrongCommand(f"there is no kind of step {kind!r}; there are: {', '.join(sorted(STEPS))}")
    if as_json:
        values = [step_docs.value(STEPS[one]) for one in ([kind] if kind else sorted(STEPS))]
        return json.dumps(values[0] if kind else values, indent=2, ensure_ascii=False)
    if kind is None:
        rows = step_docs.catalogue(STEPS)
        return "\n".join(f"{name:<20} {role:<10} {text}" for name, role, text in rows)
    return step_docs.page(STEPS[kind])


def schema() -> str:
    """The JSON Schema of scenario files."""
    from scenario_runner.format.schema import json_schema

    return json.dumps(json_schema(STEPS), indent=2, ensure_ascii=False)


def xids(*, as_json: bool) -> str:
    """The table of XIDs."""
    if as_json:
        return (files("scenario_runner.gpu") / "xids.json").read_text(encoding="utf-8").rstrip()
    head = f"{'XID':>3}  {'severity':<8}  {'platform':<34}  meaning"
    from scenario_runner.gpu.xids import xid_table

    rows = (
        f"{one.number:>3}  {one.severity:<8}  {', '.join(one.consequences) or 'event only':<34}  {one.title}"
        for one in xid_table().xids
    )
    return "\n".join([head, *rows])
