"""What lint finds, with its place in the file."""

from dataclasses import dataclass

from scenario_runner.errors import Problem
from scenario_runner.format.scenario import Scenario
from scenario_runner.format.sentences import Loc, dotted, locate


@dataclass(frozen=True)
class Finding:
    """One thing that lint found; an error keeps the scenario from running."""

    problem: Problem
    is_error: bool


class Findings:
    """Collects what is found about one scenario, each thing once."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._found: dict[Finding, None] = {}

    def error(self, loc: Loc, text: str, about: str = "") -> None:
        """It could never work, or be green by accident; `about` is a name that may be there and only not be read."""
        if about not in self._scenario.unread:
            self._note(loc, text, is_error=True)

    def warn(self, loc: Loc, text: str) -> None:
        """It is odd, and may be meant all the same; of a torn file nobody knows."""
        if not self._scenario.torn:
            self._note(loc, text, is_error=False)

    def _note(self, loc: Loc, text: str, *, is_error: bool) -> None:
        reached, mark = locate(self._scenario.root, loc)  # a bare value has no key of its own
        problem = Problem(str(self._scenario.file), mark.line, mark.column, dotted(reached), text)
        self._found[Finding(problem, is_error)] = None

    def sorted(self) -> list[Finding]:
        """In the order of the file."""
        return sorted(self._found, key=lambda one: (one.problem.line, one.problem.column))
