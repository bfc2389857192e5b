"""What a run shows on a terminal: what is going on right now, below the lines. The only user of rich."""

from collections.abc import Callable
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from scenario_runner.core.events import Event, RunEnded, RunStarted, StepProgress, StepStarted, Tick
from scenario_runner.reporters.plain_lines import PlainLines


def live_view(stream: TextIO) -> Callable[[Event], None]:
    """A listener for a stream that is a terminal, or says that it takes colours."""
    out = Console(file=stream, highlight=False, soft_wrap=True)
    return LiveView(out) if out.is_terminal else PlainLines(lambda line: out.print(Text.assemble(*line)))


class LiveView(PlainLines):
    """The same lines, and below them what is going on right now."""

    def __init__(self, out: Console) -> None:
        super().__init__(lambda line: out.print(Text.assemble(*line)))
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


def _load(name: str, ended: int, succeeded: int, in_flight: int) -> str:
    share = f"{succeeded / ended:.1%} of {ended} ok" if ended else "no answer yet"
    return f"{name}: {share}, {in_flight} in flight"
