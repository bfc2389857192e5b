"""`run`: scenarios one after the other, and one exit code for all of them."""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from scenario_runner.app.backend import Backend, backend
from scenario_runner.app.consent import Consent
from scenario_runner.app.drill import Desk, drill
from scenario_runner.app.files import Sources, read
from scenario_runner.app.place import Place
from scenario_runner.app.record import write_reports
from scenario_runner.app.refusal import refusal
from scenario_runner.app.results import Results
from scenario_runner.core.clock import Bell, SystemClock
from scenario_runner.core.outcome import Phase, Status
from scenario_runner.core.report import Report
from scenario_runner.engine.signals import LeftAtOnce, Signals
from scenario_runner.errors import ExitCode, InvalidScenario, ScenarioRunnerError, Unmet, WrongCommand
from scenario_runner.format.lint import lint
from scenario_runner.format.scenario import Scenario
from scenario_runner.reporters.console import console

# Of several that apply the first wins.
_ORDER = (
    ExitCode.LEFTOVER,
    ExitCode.INTERRUPTED,
    ExitCode.BROKEN,
    ExitCode.INVALID,
    ExitCode.FAILED,
    ExitCode.PASSED,
)
_BAD = {Status.FAILED, Status.BROKEN}


@dataclass(frozen=True)
class RunOptions:
    """The options of `run`, as the command line has them."""

    paths: tuple[Path, ...]
    place: Place
    variables: tuple[str, ...]
    vars_file: tuple[Path, ...]
    tags: tuple[str, ...]
    skip_tags: tuple[str, ...]
    report_dir: Path
    junit: Path | None
    seed: int | None
    yes: bool
    skip_unmet: bool


def run(options: RunOptions, say: Callable[[str], None]) -> ExitCode:
    """Run everything that is asked for; errors of the input and refusals are raised before any change."""
    scenarios = choose(read(options.paths, Sources(options.variables, options.vars_file)), options)
    refuse_errors(scenarios)
    results = Results(scenarios, options.junit)
    with Signals(SystemClock(Bell())) as signals:
        consent = Consent(options.yes, sys.stdin, say, signals)
        desk = Desk(signals, options.report_dir, options.seed, console(), consent)
        try:
            with backend(options.place) as where:
                ends, why = _all(scenarios, where, desk, results, skip_unmet=options.skip_unmet)
        except ScenarioRunnerError as exc:
            why = str(exc)
            _written(options.junit, say, lambda: results.write(why, status=Status.BROKEN))
            raise
    if results.missing:
        say(f"not run: {', '.join(results.missing)}: {why}")
    codes = [code for code in ends if code is not None]
    if not codes:
        say("nothing was run: every scenario was skipped")
    if not _written(options.junit, say, lambda: results.write(f"not run: {why}", where.words)):
        codes.append(ExitCode.BROKEN)
    return worst(codes)


def choose(scenarios: Iterable[Scenario], options: RunOptions) -> list[Scenario]:
    """The scenarios with one of the wanted tags and none of the unwanted; WrongCommand when none is left."""
    chosen = [
        one
        for one in scenarios
        if (not options.tags or set(options.tags) & set(one.tags)) and not set(options.skip_tags) & set(one.tags)
    ]
    if not chosen:
        raise WrongCommand("no scenario has the tags that were asked for: nothing was run")
    return chosen


def refuse_errors(scenarios: Iterable[Scenario]) -> None:
    """Raise InvalidScenario for what could never work or be green by accident, before a cluster is even looked at."""
    errors = [finding.problem for one in scenarios for finding in lint(one) if finding.is_error]
    if errors:
        raise InvalidScenario(errors)


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """The exit code of a whole run."""
    seen = set(codes)
    return next((code for code in _ORDER if code in seen), ExitCode.BROKEN)


def _all(
    scenarios: Iterable[Scenario], where: Backend, desk: Desk, results: Results, *, skip_unmet: bool
) -> tuple[list[ExitCode | None], str]:
    """How the scenarios ended (None: skipped, which neither passes nor fails a run), and why the last were not run."""
    ends: list[ExitCode | None] = []
    for scenario in scenarios:
        report, code = _one(scenario, where, desk, skip_unmet=skip_unmet)
        results.add(report)
        ends.append(code)
        if why := _end(report, code):
            return ends, why
    return ends, ""


def _end(report: Report, code: ExitCode | None) -> str:
    """Why nothing may be run after this, "" where the next scenario may."""
    if code is ExitCode.LEFTOVER:
        return "something is left to take back"
    if code is ExitCode.INTERRUPTED:
        return "the run was interrupted"
    ill = [one for one in report.outcomes if one.phase is Phase.HEALTH_AFTER and one.status in _BAD]
    return f"after {report.plan.scenario} the cluster is not healthy: {ill[0].summary}" if ill else ""


def _one(scenario: Scenario, where: Backend, desk: Desk, *, skip_unmet: bool) -> tuple[Report, ExitCode | None]:
    try:
        report = drill(scenario, where, desk)
    except ScenarioRunnerError as exc:
        status, code, text = _refused(exc, skip_unmet=skip_unmet)
        desk.consent.say(f"{scenario.name}: {text}")
        return refusal(scenario, str(exc), where.words, status, exc.exit_code), code
    kept = _keep(report, desk.report_dir / report.run_id, desk.consent.say)
    return report, worst([ExitCode(report.verdict.exit_code), kept])


def _refused(error: ScenarioRunnerError, *, skip_unmet: bool) -> tuple[Status, ExitCode | None, str]:
    """What it means that a scenario ended without a report of its own, and what is said."""
    if isinstance(error, LeftAtOnce):
        return Status.INTERRUPTED, ExitCode.LEFTOVER, f"{error}; `scenario-runner recover` does it"
    if isinstance(error, Unmet) and skip_unmet:
        return Status.SKIPPED, None, f"skipped: {error}"
    return Status.BROKEN, error.exit_code, str(error)


def _keep(report: Report, folder: Path, say: Callable[[str], None]) -> ExitCode:
    """Write a run's reports; what nobody can read afterwards is no pass."""
    if not _written(folder, say, lambda: write_reports(folder, report)):
        return ExitCode.BROKEN
    say(f"report: {folder / 'report.html'}")
    if any(outcome.attachments for outcome in report.outcomes):
        say(f"evidence: {folder / 'evidence'}")
    return ExitCode.PASSED


def _written(path: Path | None, say: Callable[[str], None], write: Callable[[], None]) -> bool:
    try:
        write()
    except OSError as exc:
        say(f"the report cannot be written to {path}: {exc.strerror}")
        return False
    return True
