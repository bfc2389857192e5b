"""Keeps promises: all take_backs first, by phase and newest first, then all leftovers are watched together."""

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from scenario_runner.core.step import UndoContext
from scenario_runner.engine.records import Promise
from scenario_runner.errors import Fenced, ScenarioRunnerError, Stopped, TargetUnreachable

_UNANSWERED = ("promise", "unknown")  # states in which a change may have been ordered, and nobody knows what came of it
_PAUSES = (0.1, 0.2, 0.4, 0.8, 1.0)  # seconds between looks; the last one stays


class Marks(Protocol):
    """Who is told what became of a promise: the journal of a run, or its copy in the cluster."""

    run: str

    def mark(self, seq: int, kind: str, detail: str = "") -> None: ...


@dataclass(frozen=True)
class Undone:
    """What came of one promise. Times in seconds on the run's clock."""

    promise: Promise
    kept: bool
    detail: str
    started: float
    seconds: float
    trace: str | None = None


@dataclass
class _Work:
    """One promise on its way. `ordered`: take_back went through; `final`: nothing more will be tried."""

    promise: Promise
    started: float
    ordered: bool = False
    final: bool = False
    kept: bool = False
    told: str = ""  # what take_back said
    left: str = ""  # what is left, or why nobody knows
    trace: str | None = None
    ended: float = 0.0

    def order(self, ctx: UndoContext, owned: Callable[[], None]) -> None:
        """An unreachable target is tried again until the budget is spent; a refusal is final."""
        if self.promise.undo is None:
            self.final, self.left = True, _unknown(self.promise)
            return
        try:
            owned()
            self.told = self.promise.undo.take_back(ctx)
            self.ordered = True
        except TargetUnreachable as exc:
            self.left = str(exc)
        except (Stopped, Fenced):
            raise
        except ScenarioRunnerError as exc:
            self.final, self.left = True, str(exc)
        except Exception as exc:  # noqa: BLE001 - one broken undo must not stop the others
            self.final, self.left, self.trace = True, f"bug in undo: {exc!r}", traceback.format_exc()

    def look(self, ctx: UndoContext) -> None:
        """What was refused is looked at too: perhaps nothing is left all the same."""
        if self.promise.undo is None or not (self.ordered or self.final):
            return
        try:
            left = self.promise.undo.leftover(ctx)
        except Stopped:
            raise
        except ScenarioRunnerError as exc:
            self.left = self.left if self.final else str(exc)
            self.final = self.final or not isinstance(exc, TargetUnreachable)
        except Exception as exc:  # noqa: BLE001 - one broken undo must not stop the others
            self.final, self.left, self.trace = True, f"bug in undo: {exc!r}", traceback.format_exc()
        else:
            self.kept = left is None
            self.left = self.left if self.final else left or ""

    @property
    def over(self) -> bool:
        return self.kept or self.final


def take_back_all(
    promises: Iterable[Promise],
    ctx: UndoContext,
    journal: Marks,
    ordered: Callable[[Promise], None] = lambda promise: None,
    owned: Callable[[], None] = lambda: None,
) -> tuple[Undone, ...]:
    """
    Take promises back until `ctx.deadline`; what is not gone by then is marked `left` and stays open.

    `ordered` hears of each promise whose take_back went through; `owned` is asked before each of them whether they
    still are ours to take back. Raise Stopped or Fenced, leaving the promises as they are, when the context's clock
    is stopped or they belong to somebody else.
    """
    clock = ctx.clock
    in_order = sorted(promises, key=lambda one: (one.undo.phase if one.undo else 0, -one.seq))
    work = [_Work(promise, clock.monotonic()) for promise in in_order]
    looks = 0
    while True:
        for one in work:
            if not one.ordered and not one.over:
                one.order(_for(one, ctx, journal), owned)
                if one.ordered:
                    ordered(one.promise)
        for one in work:
            _look(one, _for(one, ctx, journal))
        if all(one.over for one in work) or ctx.deadline.left == 0:
            return tuple(_settle(one, clock.monotonic(), journal) for one in work)
        clock.sleep(min(_PAUSES[min(looks, len(_PAUSES) - 1)], ctx.deadline.left))
        looks += 1


def _for(one: _Work, ctx: UndoContext, journal: Marks) -> UndoContext:
    promise = one.promise
    return replace(
        ctx,
        claim=claim_text(journal.run, promise.seq),
        began=one.started,
        answered=promise.state not in _UNANSWERED,
    )


def claim_text(run: str, seq: int) -> str:
    """What stands on every object that a promise is about."""
    return f"{run}/{seq}"


def _look(one: _Work, ctx: UndoContext) -> None:
    if one.kept or one.ended:
        return
    one.look(ctx)
    if one.over:
        one.ended = ctx.clock.monotonic()


def _settle(one: _Work, now: float, journal: Marks) -> Undone:
    detail = one.told or "nothing of it is left" if one.kept else one.left
    journal.mark(one.promise.seq, "kept" if one.kept else "left", detail)
    seconds = (one.ended or now) - one.started
    return Undone(one.promise, one.kept, detail, one.started, seconds, None if one.kept else one.trace)


def _unknown(promise: Promise) -> str:
    return f"{promise.detail}; it was written by version {promise.version or 'unknown'}"
