"""Carries out planned steps: contexts, retries, steps in the background, evidence of the first that did not pass."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from scenario_runner.core.clock import Clock, Deadline, Look, StopKind, wait_until
from scenario_runner.core.events import StepEnded, StepProgress, StepStarted
from scenario_runner.core.evidence import Sources
from scenario_runner.core.loads import LoadHandle
from scenario_runner.core.outcome import Finding, Outcome, Status
from scenario_runner.core.plan import PlannedStep
from scenario_runner.core.step import Act, Context, Undo
from scenario_runner.engine.changing import changing
from scenario_runner.engine.evidence import collect
from scenario_runner.engine.execution import Attempt, attempt
from scenario_runner.engine.grace import Grace
from scenario_runner.engine.rechoosing import choose_again
from scenario_runner.engine.reverting import take_back_step
from scenario_runner.engine.state import RunState
from scenario_runner.errors import DeadlineExceeded, StepBroken, Stopped

_DRAIN = 5.0  # seconds beyond the request timeout after which a load must have told of every request


@dataclass(frozen=True)
class _Begun:
    """A step that has begun."""

    planned: PlannedStep
    at: datetime
    monotonic: float
    files: int  # evidence files before it
    lost: tuple[str, ...] = ()


class Stepping:
    """Emits what it does; `open` are the steps in the background that have no outcome yet."""

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._open: dict[str, _Begun] = {}
        self._collected = False

    def carry_out(self, planned: PlannedStep, clock: Clock) -> Outcome | None:
        """The outcome; None for a step that goes on in the background."""
        self._state.emit(StepStarted(planned.number, planned.id, planned.name, planned.timeout))
        begun = _Begun(planned, clock.now(), clock.monotonic(), len(self._state.ledger.files))
        ended, lost = self._attempts(planned, clock)
        begun = _Begun(planned, begun.at, begun.monotonic, begun.files, lost)
        if planned.background and ended.status is Status.PASSED:
            self._open[planned.id] = begun
            return None
        return self._end(begun, ended)

    def skip(self, planned: PlannedStep, reason: str) -> Outcome:
        clock = self._state.world.clocks.undo
        begun = _Begun(planned, clock.now(), clock.monotonic(), len(self._state.ledger.files))
        return self._end(begun, Attempt(Status.SKIPPED, Finding(reason)))

    def finish_joined(self, clock: Clock) -> list[Outcome]:
        """Outcomes of steps in the background that a `join` has ended."""
        joined = [begun for begun in self._open.values() if self._state.ledger.load(begun.planned.id).joined]
        return [self._finish(begun, clock) for begun in joined]

    def finish_all(self, clock: Clock, *, to_the_end: bool) -> list[Outcome]:
        """End what still runs in the background: after its last scheduled request (`to_the_end`), or now."""
        return [self._end_load(begun, clock, to_the_end=to_the_end) for begun in tuple(self._open.values())]

    def _end_load(self, begun: _Begun, clock: Clock, *, to_the_end: bool) -> Outcome:
        try:
            load = self._state.ledger.load(begun.planned.id)
            if to_the_end and load.scheduled_until is not None:
                clock.sleep(load.scheduled_until - clock.monotonic())
            load.run.stop()
            self._drain(load, clock)
        except (Stopped, StepBroken) as exc:
            del self._open[begun.planned.id]
            status = Status.INTERRUPTED if isinstance(exc, Stopped) else Status.BROKEN
            return self._end(begun, Attempt(status, Finding(str(exc))))
        self._state.ledger.joined(begun.planned.id)
        return self._finish(begun, clock)

    def _drain(self, load: LoadHandle, clock: Clock) -> None:
        reason = self._state.world.stop.reason
        if reason is not None and reason.kind is StopKind.SIGNAL:
            load.run.close()
            raise Stopped(f"{reason.text}; its last requests were not waited for")

        def look() -> Look[None]:
            done = load.run.finished or bool(load.run.broken)
            return Look(done, f"{load.run.samples.select().pending} requests have not ended", None)

        deadline = Deadline.after(clock, load.request_timeout + _DRAIN)
        try:
            wait_until(f"load {load.step_id} did not end", look, deadline, every=0.25)
        except DeadlineExceeded as exc:
            load.run.close()
            raise StepBroken(str(exc)) from exc

    def _finish(self, begun: _Begun, clock: Clock) -> Outcome:
        planned = begun.planned
        del self._open[planned.id]
        broken = self._state.ledger.load(planned.id).run.broken
        if broken:
            return self._end(begun, Attempt(Status.BROKEN, Finding(broken)))
        return self._end(begun, attempt(partial(planned.step.finish, self.context(planned, clock))))

    def _attempts(self, planned: PlannedStep, clock: Clock) -> tuple[Attempt, tuple[str, ...]]:
        """Each attempt has the step's whole timeout."""
        attempts = planned.retry.attempts if planned.retry else 1
        lost: list[str] = []
        while True:
            ended = attempt(partial(planned.step.run, self.context(planned, clock)))
            if ended.status not in {Status.FAILED, Status.BROKEN} or len(lost) + 1 >= attempts:
                return ended, tuple(lost)
            lost.append(ended.finding.summary)
            try:
                clock.sleep(planned.retry.every if planned.retry else 0.0)
            except Stopped as exc:
                return Attempt(Status.INTERRUPTED, Finding(str(exc))), tuple(lost)

    def _end(self, begun: _Begun, ended: Attempt) -> Outcome:
        state, planned = self._state, begun.planned
        clock = state.world.clocks.undo
        seconds = clock.monotonic() - begun.monotonic
        ended = self._with_cause(planned, ended)
        if ended.status in {Status.FAILED, Status.BROKEN}:
            self._collect()
        outcome = Outcome(
            number=planned.number,
            step_id=planned.id,
            kind=planned.step.kind(),
            name=planned.name,
            role=planned.step.part,
            phase=planned.phase,
            status=ended.status,
            summary=ended.finding.summary,
            started=begun.at,
            offset=begun.monotonic - state.ledger.began,
            seconds=seconds,
            line=planned.line,
            timeout=planned.timeout,
            numbers=ended.finding.numbers,
            lost_attempts=begun.lost,
            trace=ended.trace,
            attachments=tuple(state.ledger.files[begun.files :]),
        )
        state.outcomes.append(outcome)
        state.emit(StepEnded(outcome))
        return outcome

    def _with_cause(self, planned: PlannedStep, ended: Attempt) -> Attempt:
        """Who was interrupted by our own trouble says so; the load that is the trouble is broken, not interrupted."""
        reason = self._state.world.stop.reason
        if ended.status is not Status.INTERRUPTED or reason is None or reason.kind is not StopKind.BROKEN:
            return ended
        own = {load.step_id: load.run.broken for load in self._state.ledger.loads}
        if broken := own.get(planned.id):
            return Attempt(Status.BROKEN, Finding(broken))
        return replace(ended, finding=Finding(f"cut short because {ended.finding.summary}"))

    def _collect(self) -> None:
        """Once per run: what the world looked like when the first step did not pass."""
        if self._collected:
            return
        self._collected = True
        state = self._state
        try:
            sources = Sources(state.world.cluster, state.world.agent, state.log)
            collect(state.plan, sources, state.ledger, Deadline.after(state.world.clocks.undo, state.settings.grace))
        except Exception as exc:  # noqa: BLE001 - a full disk or a bug here must not cost the undo
            state.notes.append(f"not all evidence could be collected: {exc!r}")

    def context(self, planned: PlannedStep, clock: Clock) -> Context:
        """What one attempt of a step may touch; its deadline begins now."""
        state = self._state
        deadline = Deadline.after(clock, planned.timeout)
        return Context(
            step_id=planned.id,
            clock=clock,
            deadline=deadline,
            plan=state.plan,
            cluster=state.world.cluster,
            agent=state.world.agent,
            loads=state.world.loads,
            libraries=state.world.libraries,
            observations=state.log,
            run=state.ledger,
            changing=self._changing(planned),
            choose_again=partial(choose_again, state, clock),
            take_back=partial(take_back_step, state, clock, deadline),
            progress=lambda text: state.emit(StepProgress(planned.id, text)),
            background=planned.background,
        )

    def _changing(self, planned: PlannedStep) -> Callable[[Undo], AbstractContextManager[Act]]:
        state = self._state
        acting = partial(state.ledger.acting, planned.id)
        return lambda undo: changing(state.world, undo, planned.id, planned.scope, acting)


def grace(state: RunState) -> Grace:
    """A clock for what comes after the steps; each caller gets the whole grace."""
    return Grace(state.world.clocks.undo, state.world.stop, state.settings.grace)
