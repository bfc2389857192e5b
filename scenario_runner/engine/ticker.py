"""Looks four times a second whether the run must stop, and tells the live view how things are."""

from dataclasses import dataclass

from scenario_runner.core.clock import Clock, Stop, StopKind, StopReason
from scenario_runner.core.events import Event, Tick
from scenario_runner.core.faults import Interval
from scenario_runner.core.loads import LoadHandle
from scenario_runner.core.plan import AbortRule, Plan
from scenario_runner.core.targets import WorkloadTarget
from scenario_runner.engine.broadcast import Broadcast
from scenario_runner.engine.ledger import Ledger
from scenario_runner.engine.watches import Watches
from scenario_runner.errors import StepBroken


@dataclass
class Ticker:
    """`tick` is called every 250 ms from a thread of its own. It judges only while the steps run (`judging`)."""

    plan: Plan
    clock: Clock
    stop: Stop
    ledger: Ledger
    watches: Watches
    emit: Broadcast
    judging: bool = False

    def tick(self) -> None:
        if self.judging and self.stop.reason is None:
            self._judge()
        self.emit(self._tick())

    def _judge(self) -> None:
        elapsed = self.clock.monotonic() - self.ledger.began
        if self.plan.deadline is not None and elapsed > self.plan.deadline:
            text = f"the scenario did not end within its {self.plan.deadline:g}s"
            self.stop.trip(StopReason(StopKind.DEADLINE, text))
        background = {one.id for one in self.plan.steps if one.background}  # in the foreground a step sees it itself
        for handle in self.ledger.loads:
            if handle.step_id in background and not handle.joined and handle.run.broken:
                self.stop.trip(StopReason(StopKind.BROKEN, f"load {handle.step_id} broke: {handle.run.broken}"))
        for rule in self.plan.abort_when:
            self._judge_rule(rule)

    def _judge_rule(self, rule: AbortRule) -> None:
        try:
            load = self.ledger.load(rule.load)
        except StepBroken:
            return  # it has not started yet
        now = self.clock.monotonic()
        if load.joined or now - load.started < rule.window:
            return
        chosen = load.run.samples.select([Interval(now - rule.window, now)])
        if chosen.ratio is not None and chosen.ratio < rule.below:
            text = (
                f"abort_when: {chosen.succeeded} of {chosen.total} requests of {rule.load} succeeded "
                f"in {rule.window:g}s, below {rule.below:g}"
            )
            self.stop.trip(StopReason(StopKind.ABORT, text))

    def _tick(self) -> Event:
        loads = {handle.step_id: _counts(handle) for handle in self.ledger.loads}
        ready = {
            name: (sum(pod.ready and not pod.deleting for pod in self.watches.pods(target)), target.replicas)
            for name, target in self.plan.targets.items()
            if isinstance(target, WorkloadTarget)
        }
        return Tick(self.clock.monotonic() - self.ledger.began, loads, ready)


def _counts(handle: LoadHandle) -> tuple[int, int, int]:
    chosen = handle.run.samples.select()
    return chosen.total, chosen.succeeded, chosen.pending
