"""What a run shows on the terminal: a live view where there is one, plain lines elsewhere. The only user of rich."""

import sys
from collections.abc import Callable, Iterator
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from scenario_runner.core.events import (
    Event,
    Observed,
    RunEnded,
    RunStarted,
    StepEnded,
    StepProgress,
    StepStarted,
    StopRequested,
    Tick,
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


def console(stream: TextIO | None = None) -> Callable[[Event], None]:
    """A listener that writes to `stream` (standard output by default)."""
    target = stream or sys.stdout
    out = Console(file=target, highlight=False, soft_wrap=True)
    return LiveView(out) if out.is_terminal else PlainLines(lambda text: _write(target, text))


class PlainLines:
    """One line per event, for logs of pipelines."""

    def __init__(self, write: Callable[[Text], None]) -> None:
        self._write = write
        self._began = 0.0

    def __call__(self, event: Event) -> None:
        for text in self.lines(event):
            self._write(text)

    def lines(self, event: Event) -> Iterator[Text]:
        match event:
            case RunStarted():
                self._began = event.started_at
                yield Text(f"{event.plan.scenario} on {event.backend}, run {event.run_id}", style="bold")
            case StepStarted():
                yield Text(f"        ▸ {event.number} {event.name}")
            case StepEnded():
                yield _ended(event.outcome)
            case Observed(observation=seen) if _worth_telling(seen):
                yield _observed(seen, self._began)
            case StopRequested():
                yield Text(f"stopping: {event.text}; taking everything back", style="yellow")
            case RunEnded(report=report):
                mark, colour = MARKS[report.verdict.status]
                end = f"{mark} {report.verdict.status}: {report.verdict.reason} ({report.seconds:.1f} s)"
                yield Text(end, style=f"bold {colour}")


class LiveView(PlainLines):
    """The same lines, and below them what is going on right now."""

    def __init__(self, out: Console) -> None:
        super().__init__(out.print)
        self._out = out
        self._live: Live | None = None
        self._step: StepStarted | None = None
        self._step_began = 0.0
        self._progress = ""
        self._tick = Tick(0.0, {}, {})

    def __call__(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            self._live = Live(console=self._out, refresh_per_second=4, transient=True)
            self._live.start()
        if isinstance(event, RunEnded) and self._live is not None:
            self._live.stop()
            self._live = None
        if isinstance(event, StepStarted):
            self._step, self._step_began, self._progress = event, self._tick.elapsed, ""
        elif isinstance(event, StepProgress):
            self._progress = event.text
        elif isinstance(event, Tick):
            self._tick = event
        else:
            super().__call__(event)
        if self._live is not None:
            self._live.update(self._now())

    def _now(self) -> Text:
        if self._step is None:
            return Text(f"{self._tick.elapsed:6.1f}s …", style="dim")
        spent = max(0.0, self._tick.elapsed - self._step_began)
        parts = [
            f"{self._tick.elapsed:6.1f}s ▸ {self._step.number} {self._step.name}",
            f"{spent:.0f} s, {max(0.0, self._step.timeout - spent):.0f} s left",
            *(_load(name, *figures) for name, figures in self._tick.loads.items()),
            *(f"{name}: {ready}/{wanted} pods ready" for name, (ready, wanted) in self._tick.pods_ready.items()),
            self._progress,
        ]
        return Text("  ".join(filter(None, parts)), style="cyan")


def _write(stream: TextIO, text: Text) -> None:
    """Without rich, whose layout costs more than a step without waiting does."""
    stream.write(f"{text.plain}\n")
    stream.flush()


def _load(name: str, ended: int, succeeded: int, in_flight: int) -> str:
    share = f"{succeeded / ended:.1%} of {ended}" if ended else "no answer yet"
    return f"{name}: {share} ok, {in_flight} in flight"


def _ended(outcome: Outcome) -> Text:
    mark, colour = MARKS[outcome.status]
    text = Text(f"{outcome.offset + outcome.seconds:6.1f}s ")
    text.append(f"{mark} {outcome.number} {outcome.name}", style=colour)
    text.append(f": {outcome.summary} ({outcome.seconds:.1f} s)")
    return text


def _worth_telling(seen: Observation) -> bool:
    return seen.fact in _TOLD and not seen.initial


def _observed(seen: Observation, began: float) -> Text:
    was = f" (was {seen.was})" if seen.was else ""
    now = seen.value or ("gone" if seen.was else "there")
    return Text(f"{seen.at - began:6.1f}s   {seen.subject} {seen.name}: {seen.fact} is {now}{was}", style="dim")
