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
from scenario_runner.app.record import begin_junit, write_junit, write_reports
from scenario_runner.app.refusal import refusal
from scenario_runner.core.clock import Bell, SystemClock
from scenario_runner.core.outcome import Status
from scenario_runner.core.report import Report
from scenario_runner.engine.signals import LeftAtOnce, Signals
from scenario_runner.errors import ExitCode, InvalidScenario, Refused, ScenarioRunnerError, Unmet
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
    if options.junit:
        begin_junit(options.junit)
    reports: list[Report] = []
    codes: list[ExitCode] = []
    with Signals(SystemClock(Bell())) as signals:
        consent = Consent(options.yes, sys.stdin, say, signals)
        desk = Desk(signals, options.report_dir, options.seed, console(), consent)
        with backend(options.place) as where:
            for scenario in scenarios:
                code = _one(scenario, where, desk, say, reports, skip_unmet=options.skip_unmet)
                codes += [] if code is None else [code]
                if code in {ExitCode.LEFTOVER, ExitCode.INTERRUPTED}:
                    break
    if not codes:
        say("nothing was run: every scenario was skipped")
    junit = options.junit
    if junit and not _written(junit, say, lambda: write_junit(junit, reports)):
        codes.append(ExitCode.BROKEN)
    return worst(codes)


def choose(scenarios: Iterable[Scenario], options: RunOptions) -> list[Scenario]:
    """The scenarios with one of the wanted tags and none of the unwanted; Refused when none is left."""
    chosen = [
        one
        for one in scenarios
        if (not options.tags or set(options.tags) & set(one.tags)) and not set(options.skip_tags) & set(one.tags)
    ]
    if not chosen:
        raise Refused("no scenario has the tags that were asked for: nothing was run")
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


def _one(
    scenario: Scenario,
    where: Backend,
    desk: Desk,
    say: Callable[[str], None],
    reports: list[Report],
    *,
    skip_unmet: bool,
) -> ExitCode | None:
    """How a scenario ended; None for one that was skipped, which neither passes nor fails a run."""
    try:
        report = drill(scenario, where, desk)
    except LeftAtOnce as exc:
        say(f"{scenario.name}: {exc}; `scenario-runner recover` does it")
        return ExitCode.LEFTOVER
    except ScenarioRunnerError as exc:
        skipped = skip_unmet and isinstance(exc, Unmet)
        say(f"{scenario.name}: {'skipped: ' if skipped else ''}{exc}")
        status = Status.SKIPPED if skipped else Status.BROKEN
        reports.append(refusal(scenario, exc, where.words, SystemClock(Bell()), status))
        return None if skipped else exc.exit_code
    reports.append(report)
    return worst([ExitCode(report.verdict.exit_code), _keep(report, desk.report_dir / report.run_id, say)])


def _keep(report: Report, folder: Path, say: Callable[[str], None]) -> ExitCode:
    """Write a run's reports; what nobody can read afterwards is no pass."""
    if not _written(folder, say, lambda: write_reports(folder, report)):
        return ExitCode.BROKEN
    say(f"report: {folder / 'report.html'}")
    if any(outcome.attachments for outcome in report.outcomes):
        say(f"evidence: {folder / 'evidence'}")
    return ExitCode.PASSED


def _written(path: Path, say: Callable[[str], None], write: Callable[[], None]) -> bool:
    try:
        write()
    except OSError as exc:
        say(f"the report cannot be written to {path}: {exc.strerror}")
        return False
    return True
