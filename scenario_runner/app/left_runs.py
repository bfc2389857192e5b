"""Dead runs that left something, and what came of taking it back: in words, and as values for machines."""

from collections.abc import Callable
from dataclasses import dataclass

from scenario_runner.core.report import UndoSummary
from scenario_runner.engine.records import Replay
from scenario_runner.engine.recover import Recovery
from scenario_runner.errors import ExitCode, ScenarioRunnerError

Say = Callable[[str], None]


@dataclass(frozen=True)
class LeftRun:
    """A dead run, what it left, and who knows of it."""

    run: str
    left: tuple[str, ...]
    known_from: str  # "this machine" or "the cluster"

    @property
    def words(self) -> str:
        far = " (known from the cluster)" if self.known_from == "the cluster" else ""
        return f"{self.run}: {', '.join(self.left)}{far}"


@dataclass(frozen=True)
class EndedRun:
    """What came of taking one run back."""

    run: str
    exit_code: ExitCode
    undo: tuple[UndoSummary, ...] = ()
    notes: tuple[str, ...] = ()


def subjects_of(past: Replay) -> tuple[str, ...]:
    """What is open, for people."""
    return (*(promise.subject() for promise in past.outstanding), *past.bad)


def to_take_back(past: Replay) -> list[str]:
    """What a person agrees to: each promise, and what exactly it sets back."""
    lines = []
    for promise in past.outstanding:
        lines.append(f"to take back: {promise.subject()} (step {promise.step_id})")
        lines += [f"  {line}" for line in (promise.undo.differences() if promise.undo else ())]
    return lines


def tell(result: Recovery, say: Say) -> EndedRun:
    for one in result.undo:
        say(f"{result.run_id}: {one.subject}: {one.outcome}: {one.detail} ({one.seconds:.1f} s)")
    for line in (*result.bad, *result.notes):
        say(f"{result.run_id}: {line}")
    return EndedRun(result.run_id, result.exit_code, result.undo, (*result.bad, *result.notes))


def not_taken_back(run_id: str, why: ScenarioRunnerError, say: Say) -> EndedRun:
    """Whatever the reason: what the run left is still there."""
    say(f"{run_id}: {why}")
    return EndedRun(run_id, ExitCode.LEFTOVER, notes=(str(why),))
