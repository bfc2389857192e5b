"""Asks the agents which processes the CUDA faults of a living run have hit: that alone proves such a fault."""

from scenario_runner.core.cuda import CudaHits, counted, overlooked
from scenario_runner.core.faults import Fault
from scenario_runner.core.observations import ObservationLog
from scenario_runner.core.ports import AgentReads
from scenario_runner.engine.ledger import Ledger
from scenario_runner.errors import TargetRefused, TargetUnreachable


class HitWatch:
    """`look` is called regularly; what it finds is an observation and stays in the ledger for the report."""

    def __init__(self, agent: AgentReads, ledger: Ledger, log: ObservationLog) -> None:
        self._agent = agent
        self._ledger = ledger
        self._log = log

    def look(self) -> None:
        """At the faults that are in force, and at those that ended before anybody saw what they hit."""
        in_force = self._ledger.in_force
        self._see([one for one in self._cuda() if one in in_force or self._ledger.evidence(one) != "hit"])
        for fault in in_force:  # later our own undo takes the library out
            self._ledger.keep_overlooked(overlooked([self._ledger.hits(fault.fault_id)]))

    def look_again(self) -> None:
        """At all of them, also those that are over: the records outlive the fault."""
        self._see(self._cuda())

    def _cuda(self) -> list[Fault]:
        return [fault for fault in self._ledger.faults if fault.cuda]

    def _see(self, faults: list[Fault]) -> None:
        for fault in faults:
            try:
                hits = self._agent.cuda_hits(fault.fault_id)
            except (TargetRefused, TargetUnreachable) as exc:
                self._log.note("watch", f"hits of {fault.fault_id}", "gap", str(exc))
                continue
            self._ledger.keep_hits(fault.fault_id, hits)
            self._note(fault, hits)

    def _note(self, fault: Fault, hits: CudaHits) -> None:
        found = counted(hits.processes)
        if found:
            first = min(found, key=lambda one: one.first)
            told = f"{first.function} of {first.process} ({first.pod}) answered {first.code}"
            self._log.note("fault", fault.fault_id, "evidence", "hit", detail=told)
        elif any(one.hits for one in hits.processes):
            self._log.note("fault", fault.fault_id, "evidence", "probe")
