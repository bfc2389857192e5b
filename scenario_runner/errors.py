"""
Every error this package raises on purpose.

* ScenarioRunnerError
  x InvalidScenario      the file is wrong; nothing was touched                         (exit 2)
  x WrongCommand         the command line is wrong; nothing was touched                 (exit 2)
  x Refused              the run may not start: lock, guard, unmet requirement          (exit 3)
    + Orphaned           ... because an earlier run left something to undo              (exit 4)
    + Unmet              ... because the cluster lacks what the scenario requires       (exit 3)
  x StepFailed           the system under test did not do what was asked                (exit 1)
    + DeadlineExceeded   ... in the time allowed
  x StepBroken           we could not carry the step out; it says nothing about them    (exit 3)
    + TargetUnreachable  the other side did not answer
    + TargetRefused      the other side answered no
  x Stopped              the run was asked to stop; undo still happens                  (exit 130, 1 or 3)

Errors of client libraries never leave `adapters/`: they are raised again as one of these, with the original
chained as the cause.
"""

from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """How the process ends; of several that apply the first of LEFTOVER, INTERRUPTED, BROKEN, FAILED wins."""

    PASSED = 0
    FAILED = 1
    INVALID = 2
    BROKEN = 3
    LEFTOVER = 4
    INTERRUPTED = 130


class ScenarioRunnerError(Exception):
    """Base of every error that is ours."""

    exit_code = ExitCode.BROKEN


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a file: where, and a sentence that says what to do."""

    file: str
    line: int
    column: int
    path: str  # e.g. "steps[2].inject_xid.xid"; empty for the file as a whole
    text: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: "
        return where + (f"{self.path}: {self.text}" if self.path else self.text)


class InvalidScenario(ScenarioRunnerError):
    """The input cannot be run; `problems` lists everything wrong with it, not only the first."""

    exit_code = ExitCode.INVALID

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


class WrongCommand(ScenarioRunnerError):
    """The command line asks for what can not be; nothing was touched."""

    exit_code = ExitCode.INVALID


class Refused(ScenarioRunnerError):
    """The run may not start; nothing was touched."""


class Orphaned(Refused):
    """An earlier run left promises open: `scenario-runner recover` comes first."""

    exit_code = ExitCode.LEFTOVER


class Unmet(Refused):
    """The cluster does not have what the scenario says that it requires."""


class StepFailed(ScenarioRunnerError):
    """The system under test did not behave as the step demands."""

    exit_code = ExitCode.FAILED


class DeadlineExceeded(StepFailed):
    """The awaited state did not come in time."""


class StepBroken(ScenarioRunnerError):
    """The step itself could not be carried out, so it says nothing about the system under test."""


class Fenced(StepBroken):
    """The run's claim has passed to somebody else: it may change nothing any more, and takes nothing back."""


class TargetUnreachable(StepBroken):
    """
    The agent, the API server or the service did not answer.

    `sent` is true when the request may have been carried out all the same (its outcome is unknown).
    """

    def __init__(self, message: str, *, sent: bool = False) -> None:
        super().__init__(message)
        self.sent = sent


class TargetRefused(StepBroken):
    """The agent, the API server or the service answered with a refusal; `code` is its machine-readable reason."""

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Stopped(ScenarioRunnerError):
    """The run was asked to stop; the latch of the run knows why."""

    exit_code = ExitCode.INTERRUPTED
