"""What counts as a verdict about requests: which of them, how many, and when they can be trusted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from scenario_runner.core.clock import Deadline, Look, wait_until
from scenario_runner.core.faults import Interval
from scenario_runner.core.loads import LoadHandle
from scenario_runner.core.outcome import Role
from scenario_runner.core.samples import MOST_LATE, Selection
from scenario_runner.core.step import Context, Step
from scenario_runner.errors import DeadlineExceeded, StepBroken

_WINDOWS = ("fault", "baseline", "recovery")
DRAIN = 5.0  # seconds beyond the request timeout after which every request must have been told of


@dataclass(frozen=True)
class Judged:
    """Requests that may be judged: all of them ended, there are enough, and we sent them in time."""

    load: str
    during: str | None
    chosen: Selection
    open: bool  # the window was still open: judged up to now

    @property
    def where(self) -> str:
        """ " of traffic in window fault (still open)"."""
        window = f" in window {self.during}" if self.during else ""
        return f" of {self.load}{window}{' (still open)' if self.open else ''}"

    @property
    def successes(self) -> str:
        """ "612 of 620 requests of traffic (98.7 %) succeeded"."""
        share = 100 * self.chosen.succeeded / self.chosen.total
        return f"{self.chosen.succeeded} of {self.chosen.total} requests{self.where} ({share:.1f} %) succeeded"


def judge(ctx: Context, load: str, during: str | None, least: int) -> Judged:
    """
    The requests of a load (`during` a window) once each of them has ended.

    Raise StepBroken when the window never opened, fewer than `least` requests ended, or the load can not be trusted.
    """
    handle = ctx.run.load(load)
    windows, still_open = _windows(ctx, handle, during)
    judged = Judged(load, during, _ended(ctx, handle, windows), still_open)
    if judged.chosen.total < least:
        raise StepBroken(f"too few requests{judged.where} for a verdict: {judged.chosen.total} of at least {least}")
    _trust(judged)
    return judged


def failures(chosen: Selection) -> str:
    """The reasons of failed requests, most frequent first: "connection refused 5, status 503 3"; "" for none."""
    ranked = sorted(chosen.failures.items(), key=lambda one: (-one[1], one[0]))
    return ", ".join(f"{reason} {count}" for reason, count in ranked)


def window_problems(during: str | None, peers: Mapping[str, Step]) -> list[str]:
    """Sentences about a `during` that no step before can have opened."""
    if during is None or during in _WINDOWS:
        return []
    faults = [name for name, step in peers.items() if step.part is Role.FAULT]
    if during in faults:
        return []
    there = ", ".join([*_WINDOWS, *faults])
    return [f"during: no fault before this step is called {during}; write one of {there}"]


def _windows(ctx: Context, handle: LoadHandle, during: str | None) -> tuple[Sequence[Interval] | None, bool]:
    """Windows that end now at the latest, and whether one was still open."""
    if during is None:
        return (None if handle.joined else (Interval(float("-inf"), ctx.clock.monotonic()),)), False
    opened = ctx.run.window(during)
    if not opened:
        raise StepBroken(f"window {during} never opened: nothing can be judged in it")
    now = ctx.clock.monotonic()
    closed = [one if one.end is not None and one.end <= now else replace(one, end=now) for one in opened]
    ran_on = handle.scheduled_until is None or handle.scheduled_until >= opened[-1].start
    return closed, opened[-1].end is None and ran_on


def _ended(ctx: Context, handle: LoadHandle, windows: Sequence[Interval] | None) -> Selection:
    """The requests of the windows once none is in flight."""

    def look() -> Look[Selection]:
        if handle.run.broken:
            raise StepBroken(f"load {handle.step_id} can not be trusted: {handle.run.broken}")
        chosen = handle.run.samples.select(windows)
        return Look(chosen.pending == 0, f"{chosen.pending} requests have not ended", chosen)

    deadline = Deadline.after(ctx.clock, max(ctx.deadline.left, handle.request_timeout + DRAIN))
    try:
        return wait_until(f"load {handle.step_id} can not be judged", look, deadline, every=0.25)
    except DeadlineExceeded as exc:
        raise StepBroken(str(exc)) from exc


def _trust(judged: Judged) -> None:
    chosen = judged.chosen
    if chosen.starved:
        raise StepBroken(
            f"{chosen.late} of {chosen.total} requests{judged.where} started late for want of our own CPU"
            f" (more than {100 * MOST_LATE:g} %): the load can not be trusted"
        )
