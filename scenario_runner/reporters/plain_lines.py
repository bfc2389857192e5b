"""One plain line per event of a run, for logs of pipelines; a terminal shows them in colours."""

from collections.abc import Callable, Iterator
from typing import TextIO

from scenario_runner.core.events import (
    Event,
    Observed,
    RunEnded,
    RunStarted,
    StepEnded,
    StepStarted,
    StopRequested,
)
from scenario_runner.core.observations import Observation
from scenario_runner.core.outcome import Outcome, Status

MARKS = {
    Status.PASSED: ("✓", "green"),
    Status.FAILED: ("✗", "red"),
    Status.BROKEN: ("!", "magenta"),
    Status.SKIPPED: ("-", "dim"),
    Status.INTERRUPTED: ("^", "yellow"),
}

# What of the cluster is worth a line while a drill runs; the rest is in the report.
_TOLD = ("schedulable", "condition/SysLogsXIDError", "label/dgxc.nvidia.com/nvsentinel-state", "state", "gap", "status")

Line = tuple[tuple[str, str], ...]  # texts, each with its style ("" for none)


class PlainLines:
    """Hands one line per event to whoever writes it."""

    def __init__(self, write: Callable[[Line], None]) -> None:
        self._write = write
        self._began = 0.0

    def __call__(self, event: Event) -> None:
        for line in self.lines(event):
            self._write(line)

    def lines(self, event: Event) -> Iterator[Line]:
        match event:
            case RunStarted():
                self._began = event.started_at
                yield ((f"{event.plan.scenario} on {event.backend}, run {event.run_id}", "bold"),)
            case StepStarted():
                yield ((f"        ▸ {event.number} {event.name}", ""),)
            case StepEnded():
                yield _ended(event.outcome)
            case Observed(observation=seen) if _worth_telling(seen):
                yield _observed(seen, self._began)
            case StopRequested():
                yield ((f"stopping: {event.text}; taking everything back", "yellow"),)
            case RunEnded(report=report):
                mark, colour = MARKS[report.verdict.status]
                end = f"{mark} {report.verdict.status}: {report.verdict.reason} ({report.seconds:.1f} s)"
                yield ((end, f"bold {colour}"),)


def write_plain(stream: TextIO, line: Line) -> None:
    """Without styles, and at once."""
    stream.write("".join(text for text, _ in line) + "\n")
    stream.flush()


def _ended(outcome: Outcome) -> Line:
    mark, colour = MARKS[outcome.status]
    return (
        (f"{outcome.offset + outcome.seconds:6.1f}s ", ""),
        (f"{mark} {outcome.number} {outcome.name}", colour),
        (f": {outcome.summary} ({outcome.seconds:.1f} s)", ""),
    )


def _worth_telling(seen: Observation) -> bool:
    of_a_node = seen.subject == "node" and seen.fact == "ready"  # pods come and go all the time
    return (of_a_node or seen.fact in _TOLD) and not seen.initial


def _observed(seen: Observation, began: float) -> Line:
    was = f" (was {seen.was})" if seen.was else ""
    now = seen.value or ("gone" if seen.was else "there")
    return ((f"{seen.at - began:6.1f}s   {seen.subject} {seen.name}: {seen.fact} is {now}{was}", "dim"),)
