"""Carries out one piece of a step author's work and turns whatever happens into a value."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass

from scenario_runner.core.outcome import Finding, Status
from scenario_runner.errors import ScenarioRunnerError, StepFailed, Stopped


@dataclass(frozen=True)
class Attempt:
    """How one attempt ended."""

    status: Status
    finding: Finding
    trace: str | None = None


def attempt(work: Callable[[], Finding]) -> Attempt:
    """`failed` blames the system under test, `broken` blames us; nothing but a dying process gets past this."""
    try:
        return Attempt(Status.PASSED, work())
    except StepFailed as exc:
        return Attempt(Status.FAILED, Finding(str(exc)))
    except Stopped as exc:
        return Attempt(Status.INTERRUPTED, Finding(str(exc)))
    except ScenarioRunnerError as exc:
        return Attempt(Status.BROKEN, Finding(str(exc)))
    except Exception as exc:  # noqa: BLE001 - a bug in a step must not cost the undo
        return Attempt(Status.BROKEN, Finding(f"bug in step: {exc!r}"), traceback.format_exc())
