"""Keeps the faults of a living run alive, and notices when one has ended by itself."""

from collections.abc import Callable

from scenario_runner.core.clock import Clock
from scenario_runner.core.faults import Fault, FaultRecord
from scenario_runner.core.observations import ObservationLog
from scenario_runner.core.ports import Agent
from scenario_runner.engine.ledger import FaultEnd, Ledger, age
from scenario_runner.errors import ScenarioRunnerError, TargetUnreachable

_AS_ASKED = 0.9  # share of its duration after which the end of a fault is the one that the scenario asked for


class Renewals:
    """`renew` is called every quarter of the time to live, from a thread of its own."""

    def __init__(self, agent: Agent, ledger: Ledger, log: ObservationLog, clock: Clock, ttl: float) -> None:
        """`ttl` in seconds; `until` (later set) is the moment after which a hung run keeps no fault alive."""
        self.until = float("inf")
        self._agent = agent
        self._ledger = ledger
        self._log = log
        self._clock = clock
        self._ttl = ttl

    def renew(self) -> None:
        if self._clock.monotonic() > self.until:
            return
        for fault in self._ledger.in_force:
            try:
                answer = self._agent.renew(fault.fault_id, self._ttl)
                self._settle(fault, answer)
            except TargetUnreachable as exc:
                self._log.happened("watch", f"fault {fault.fault_id}", "gap", str(exc))
            except ScenarioRunnerError as exc:
                end = FaultEnd(self._clock.monotonic(), f"was not renewed: {exc}", spoiled=True)
                self._ledger.ended(fault.fault_id, end)

    def _settle(self, fault: Fault, answer: FaultRecord) -> None:
        known = self._ledger.record(fault.fault_id)
        if answer.status in {"active", "unproven"} and known is not None and known.evidence is not None:
            self._log.note("fault", fault.fault_id, "status", answer.status)
            return
        record = self._agent.fault(fault.fault_id) or answer
        if record.status in {"active", "unproven"}:
            self._ledger.keep_record(record)
            return
        self._ledger.keep_record(record)
        self._ledger.ended(fault.fault_id, end_of(fault, record, self._clock.monotonic(), self._platform_did_it))

    def _platform_did_it(self, fault: Fault) -> bool:
        """A machine that reboots because the platform noticed our fault is what the drill is about."""
        return self._ledger.evidence(fault) != "written"


def end_of(fault: Fault, record: FaultRecord, now: float, noticed: Callable[[Fault], bool]) -> FaultEnd:
    """When and why the fault ended, by the agent's own clock where it told."""
    lasted = age(record)
    at = now if lasted is None else min(now, fault.at + lasted)
    spent = at - fault.at
    if record.status == "expired":
        asked = fault.duration is not None and spent >= _AS_ASKED * fault.duration
        reason = "expired as asked" if asked else f"expired by itself {spent:.1f}s after its injection"
        return FaultEnd(at, reason, spoiled=not asked)
    if record.status == "rebooted":
        return FaultEnd(at, "ended with a reboot of its node", spoiled=not noticed(fault))
    if record.status in {"recovered", "recovering"}:
        return FaultEnd(at, "was taken back")
    reason = f": {record.end_reason}" if record.end_reason else ""
    return FaultEnd(at, f"is {record.status}{reason}", spoiled=True)
