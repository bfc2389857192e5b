"""
The life of a run: health, steps, always, undo, consequences of the platform, health again, after, report.

`run(plan, world, settings) -> Report` is called in a worker thread by `signals.supervise`; it raises nothing that a
step, an undo, a listener or the world does.
"""

import traceback
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace

from scenario_runner.core.clock import Clock, Deadline, StopKind
from scenario_runner.core.events import Observed, RunEnded, RunStarted, StopRequested
from scenario_runner.core.observations import ObservationLog
from scenario_runner.core.outcome import Outcome, Phase, Status
from scenario_runner.core.plan import Plan, PlannedStep
from scenario_runner.core.report import Report
from scenario_runner.engine.broadcast import Broadcast
from scenario_runner.engine.hits import HitWatch
from scenario_runner.engine.ledger import Ledger
from scenario_runner.engine.renewals import Renewals
from scenario_runner.engine.reporting import report, summarise
from scenario_runner.engine.reverting import leave_scope, take_everything_back
from scenario_runner.engine.settling import settle
from scenario_runner.engine.state import RunState
from scenario_runner.engine.stepping import Stepping, grace
from scenario_runner.engine.ticker import Ticker
from scenario_runner.engine.watches import Watches
from scenario_runner.engine.world import Settings, World
from scenario_runner.errors import ScenarioRunnerError


def run(plan: Plan, world: World, settings: Settings | None = None) -> Report:
    """Carry a plan out, take everything back and tell how it went."""
    return _Life(state_of(plan, world, settings or Settings())).live()


def state_of(plan: Plan, world: World, settings: Settings) -> RunState:
    """A run that has not begun."""
    emit = Broadcast(world.listeners)
    clock = world.clocks.undo
    log = ObservationLog(clock, lambda seen: emit(Observed(seen)))
    ledger = Ledger(world.run_id, world.run_dir, clock, log)
    return RunState(plan, world, settings, emit, log, ledger, Watches(world.cluster, log), clock.now())


class _Life:
    def __init__(self, state: RunState) -> None:
        self._state = state
        self._stepping = Stepping(state)
        self._blocked = ""  # why no further step is carried out
        self._told_stop = False
        world, settings = state.world, state.settings
        self._ticker = Ticker(state.plan, world.clocks.undo, world.stop, state.ledger, state.watches, state.emit)
        self._renewals = Renewals(world.agent, state.ledger, state.log, world.clocks.undo, settings.ttl)
        self._hits = HitWatch(world.agent, state.ledger, state.log)
        self._renewals.until = state.ledger.began + state.plan.worst_case + state.plan.undo_budget
        state.ledger.refresh = self._renewals.renew

    def live(self) -> Report:
        state = self._state
        plan = summarise(state.plan)
        state.emit(RunStarted(state.world.run_id, state.started, state.ledger.began, state.world.backend, plan))
        with ExitStack() as beats:
            beats.callback(state.watches.close)
            beats.callback(self._beat(state.settings.tick, self._ticker.tick, "ticker"))
            with ExitStack() as renewing:
                renewing.callback(self._beat(state.settings.ttl / 4, self._renewals.renew, "renewals"))
                renewing.callback(self._beat(state.settings.hits, self._hits.look, "hits"))
                self._safely(self._steps)
                self._safely(self._always)
                self._safely(self._renewals.renew)
            self._safely(self._undo)
            self._safely(self._afterwards)
        result = report(state)
        state.emit(RunEnded(result))
        return result

    def _beat(self, seconds: float, call: Callable[[], None], name: str) -> Callable[[], None]:
        """A run that is not watched any more must not pass: trouble in a beat is trouble of the run."""
        return self._state.world.beats.every(seconds, lambda: self._safely(call), name)

    def _safely(self, part: Callable[[], None]) -> None:
        try:
            part()
        except ScenarioRunnerError as exc:
            self._state.trouble = self._state.trouble or str(exc)
        except Exception as exc:  # noqa: BLE001 - a bug in the engine must not cost the undo
            if not self._state.trouble:
                self._state.trouble = f"bug in the engine: {exc!r}"
                self._state.notes.append(traceback.format_exc())

    # Before the undo

    def _steps(self) -> None:
        state, clock = self._state, self._state.world.clocks.steps
        try:
            deadline = Deadline.after(clock, state.settings.sync)
            state.watches.begin(state.plan, state.settings.remediations, deadline)
        except ScenarioRunnerError as exc:
            self._blocked = state.trouble = str(exc)
        self._walk(state.plan.of_phase(Phase.HEALTH), clock)
        self._ticker.judging = True
        self._walk(state.plan.of_phase(Phase.STEPS), clock)
        to_the_end = not self._blocked
        ending: Clock = clock if to_the_end else grace(state)
        self._note(self._stepping.finish_all(ending, to_the_end=to_the_end))
        self._ticker.judging = False

    def _walk(self, steps: tuple[PlannedStep, ...], clock: Clock) -> None:
        """Carry out steps until one does not pass; skip the rest with the reason; end each group that is left."""
        scope: tuple[str, ...] = ()
        number = ""
        for planned in steps:
            self._leave(scope, planned.scope, number, clock)
            scope, number = planned.scope, planned.number
            self._do(planned, clock)
        self._leave(scope, (), number, clock)

    def _do(self, planned: PlannedStep, clock: Clock) -> None:
        self._hear_stop()
        if self._blocked:
            self._stepping.skip(planned, self._blocked)
        elif not planned.when:
            self._stepping.skip(planned, "its `when` is false")
        else:
            outcome = self._stepping.carry_out(planned, clock)
            self._note([outcome] if outcome else [], may_fail=planned.continue_on_failure)
            self._note(self._stepping.finish_joined(clock))

    def _leave(self, scope: tuple[str, ...], to: tuple[str, ...], number: str, clock: Clock) -> None:
        """Take back what groups changed, the inner ones first. After a failure the undo at the end does that."""
        self._hear_stop()
        while scope != to[: len(scope)] and not self._blocked:
            self._note([leave_scope(self._state, scope, number, clock)])
            scope = scope[:-1]

    def _note(self, outcomes: list[Outcome], *, may_fail: bool = False) -> None:
        self._hear_stop()
        for one in outcomes:
            goes_on = may_fail and one.status in {Status.FAILED, Status.BROKEN}
            if one.status is not Status.PASSED and not goes_on and not self._blocked:
                self._blocked = f"step {one.number} {one.name} {_DID_NOT_PASS[one.status]}"

    def _hear_stop(self) -> None:
        reason = self._state.world.stop.reason
        if reason is None or self._told_stop:
            return
        self._told_stop = True
        self._blocked = self._blocked or f"the run was asked to stop: {reason.text}"
        self._state.emit(StopRequested(reason.kind.value, reason.text))

    def _always(self) -> None:
        """Whatever happened, and whatever comes of each of them."""
        self._hear_stop()
        clock = grace(self._state)
        for planned in self._state.plan.of_phase(Phase.ALWAYS):
            if planned.when:
                self._stepping.carry_out(planned, clock)
            else:
                self._stepping.skip(planned, "its `when` is false")

    # The undo and after it

    def _undo(self) -> None:
        for handle in self._state.ledger.loads:
            if not handle.joined:
                handle.run.close()
        take_everything_back(self._state)
        self._hits.look_again()
        for fault in self._state.ledger.faults:
            with suppress(ScenarioRunnerError):
                record = self._state.world.agent.fault(fault.fault_id)
                if record is not None:
                    self._state.ledger.keep_record(record)

    def _afterwards(self) -> None:
        state, interrupted = self._state, self._interrupted
        seconds = min(state.plan.settle_timeout, state.settings.grace) if interrupted else state.plan.settle_timeout
        deadline = Deadline.after(state.world.clocks.undo, seconds)
        state.notes.extend(settle(state.ledger, state.log, state.watches, state.plan, deadline))
        self._hear_stop()
        reason = state.world.stop.reason
        for steps in (self._health_again(), state.plan.of_phase(Phase.AFTER)):
            self._blocked = f"the run was asked to stop: {reason.text}" if reason and interrupted else ""
            clock: Clock = grace(state) if reason else state.world.clocks.steps
            self._walk(steps, clock)
            self._note(self._stepping.finish_all(grace(state), to_the_end=not self._blocked))

    @property
    def _interrupted(self) -> bool:
        reason = self._state.world.stop.reason
        return reason is not None and reason.kind is StopKind.SIGNAL

    def _health_again(self) -> tuple[PlannedStep, ...]:
        plan = self._state.plan
        again = (
            replace(one, phase=Phase.HEALTH_AFTER, number=f"{one.number} again", name=f"{one.name} (after undo)")
            for one in plan.of_phase(Phase.HEALTH)
        )
        return plan.of_phase(Phase.HEALTH_AFTER) or tuple(again)


_DID_NOT_PASS = {
    Status.FAILED: "failed",
    Status.BROKEN: "is broken",
    Status.INTERRUPTED: "was interrupted",
    Status.SKIPPED: "was skipped",
}
