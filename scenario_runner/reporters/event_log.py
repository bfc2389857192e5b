"""The events of a run, one JSON object a line, and the report rebuilt from them when a run was killed."""

import json
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from scenario_runner.core.events import Event, Observed, RunEnded, RunStarted, StepEnded, Tick
from scenario_runner.core.outcome import Status
from scenario_runner.core.report import Report, Verdict
from scenario_runner.errors import ExitCode


@cache
def _adapter(kind: str) -> TypeAdapter[Any] | None:
    return next((TypeAdapter(cls) for cls in Event.__args__ if cls.__name__ == kind), None)


def line(event: Event) -> str | None:
    """The event as one line, or None for those that are only for the live view."""
    if isinstance(event, Tick):
        return None
    kind = type(event).__name__
    adapter = _adapter(kind)
    assert adapter is not None
    return json.dumps({"event": kind, **adapter.dump_python(event, mode="json")}, ensure_ascii=False) + "\n"


def read(lines: Iterable[str]) -> list[Event]:
    """The events of a log. A torn last line and events of other versions are left out."""
    events: list[Event] = []
    for text in lines:
        try:
            content = json.loads(text)
            adapter = _adapter(content.pop("event"))
            if adapter is not None:
                events.append(adapter.validate_python(content))
        except (ValueError, ValidationError, KeyError, AttributeError):
            continue
    return events


def rebuild(events: Iterable[Event], *, reason: str) -> Report | None:
    """The report of a run that did not live to write it; None when it had not begun."""
    report: Report | None = None
    for event in events:
        if isinstance(event, RunEnded):
            return event.report
        if isinstance(event, RunStarted):
            verdict = Verdict(Status.INTERRUPTED, ExitCode.INTERRUPTED, reason)
            report = Report(
                event.run_id, event.backend, event.started, 0.0, event.plan, verdict, (), (), (), (), (), ()
            )
        elif report is not None and isinstance(event, StepEnded):
            ended = event.outcome.offset + event.outcome.seconds
            outcomes = (*report.outcomes, event.outcome)
            report = replace(report, outcomes=outcomes, seconds=max(report.seconds, ended))
        elif report is not None and isinstance(event, Observed):
            report = replace(report, observations=(*report.observations, event.observation))
    return report
