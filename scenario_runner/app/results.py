"""What came of each scenario that was asked for: all of them are in the JUnit file, whatever happens."""

from collections.abc import Sequence
from pathlib import Path

from scenario_runner.app.record import begin_junit, write_junit
from scenario_runner.app.refusal import refusal
from scenario_runner.core.outcome import Status
from scenario_runner.core.report import Report
from scenario_runner.format.scenario import Scenario

_KILLED = "the runner was killed before it had come to the end of this"


class Results:
    """The reports so far; a scenario that has none counts as cut off."""

    def __init__(self, scenarios: Sequence[Scenario], junit: Path | None) -> None:
        """Raise Refused when the JUnit file cannot be written."""
        self._scenarios = scenarios
        self._junit = junit
        self._reports: list[Report] = []
        if junit:
            begin_junit(junit, self._with_rest(_KILLED, "", Status.INTERRUPTED))

    def add(self, report: Report) -> None:
        """The report of the next scenario."""
        self._reports.append(report)

    @property
    def missing(self) -> list[str]:
        """Names of the scenarios that have no report yet."""
        return [one.name for one in self._scenarios[len(self._reports) :]]

    def write(self, reason: str = "", backend: str = "", status: Status = Status.SKIPPED) -> None:
        """The JUnit file; `reason` is why the last scenarios have no report. Raise OSError."""
        if self._junit:
            write_junit(self._junit, self._with_rest(reason, backend, status))

    def _with_rest(self, reason: str, backend: str, status: Status) -> list[Report]:
        rest = self._scenarios[len(self._reports) :]
        return [*self._reports, *(refusal(one, reason, backend, status) for one in rest)]
