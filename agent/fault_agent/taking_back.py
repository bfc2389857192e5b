"""Ends faults: on request, by their deadlines, or because the node was rebooted."""

from dataclasses import dataclass, replace
from typing import Literal

from fault_agent.acknowledging import Acknowledging
from fault_agent.arming import Arming
from fault_agent.clock import Clock, stamp, stamp_after
from fault_agent.death import die_at
from fault_agent.fault import RAISED, UNFINISHED, Fault, Phase, ended, rebooted
from fault_agent.inventory import Gpu
from fault_agent.ledger import Ledger, is_name
from fault_agent.platform_state import Platform
from fault_agent.refusal import Refusal


@dataclass(frozen=True)
class TakingBack:
    """Every public method may be called again at any time, with the same result."""

    ledger: Ledger
    clock: Clock
    platform: Platform
    acknowledging: Acknowledging
    arming: Arming

    def recover(self, fault_id: str, key: str | None) -> Fault:
        """End the fault; it comes back as it is now, perhaps still recovering.

        An unknown id is refused with 404, unless `key` is its name part: then a tombstone is left. Raises
        Refusal 409 if a real fault of the GPU was seen, 503 if the acknowledgement or the control file of the CUDA
        library can not be written.
        """
        with self.ledger.lock:
            self.sweep_reboots()
            fault = self.ledger.find(fault_id)
            if fault is None:
                return self._bury(fault_id, key)
            if fault.phase in RAISED:
                fault = self._end(fault, "recovered on request", "recovered")
        if fault.phase not in UNFINISHED:
            return fault
        if fault.fault_type == "cuda":
            self.arming.settle()
        elif fault.gpu is not None:
            self._finish((fault.gpu,))
        return self._unless_blocked(self.ledger.get(fault_id))

    def renew(self, fault_id: str, ttl: float) -> Fault:
        """Give the fault `ttl` more seconds from now, never beyond its other ends; a fault that is over stays so."""
        with self.ledger.lock:
            self.end_what_is_due()
            fault = self._settled(self.ledger.get(fault_id))
            self.ledger.refuse_tombstone(fault)
            if fault.phase not in RAISED:
                return fault
            ends = replace(fault.deadlines, ttl=self.clock.since_boot() + ttl)
            soonest = ends.next()
            assert soonest is not None
            return self._settled(
                self.ledger.update(replace(fault, deadlines=ends, expires_at=stamp_after(self.clock, soonest)))
            )

    def end_what_is_due(self) -> tuple[Fault, ...]:
        """Mark faults whose time is over, and those of another boot; returns those that were marked now."""
        with self.ledger.lock:
            self.sweep_reboots()
            now = self.clock.since_boot()
            raised = [fault for fault in self.ledger.unfinished() if fault.phase in RAISED]
            due = [(fault, why) for fault in raised if (why := fault.deadlines.passed(now)) is not None]
            return tuple(self._end(fault, why, "expired") for fault, why in due)

    def sweep_reboots(self) -> None:
        """Another boot id ends every fault, without an acknowledgement."""
        boot = self.clock.boot_id()
        for fault in self.ledger.unfinished():
            if fault.boot_id != boot:
                self.ledger.update(rebooted(fault, stamp(self.clock.wall())))

    def finish_what_is_over(self) -> None:
        """Write the acknowledgements that are due; a GPU that has to wait is tried again next time."""
        over = (Phase.ENDING, Phase.ACKNOWLEDGING)
        gpus = {fault.gpu for fault in self.ledger.unfinished_lines() if fault.phase in over and fault.gpu}
        if gpus:
            self._finish(tuple(sorted(gpus, key=lambda gpu: gpu.index)))

    def next_deadline(self) -> float | None:
        """When the next fault ends by itself, in seconds since boot."""
        raised = [fault for fault in self.ledger.unfinished() if fault.phase in RAISED]
        return min((end for fault in raised if (end := fault.deadlines.next()) is not None), default=None)

    def _finish(self, gpus: tuple[Gpu, ...]) -> None:
        why_wait = self.platform.why_wait()  # may take seconds, so it is asked before anything is locked
        with self.ledger.lock:
            for gpu in gpus:
                self.acknowledging.finish(gpu, why_wait)

    def _settled(self, fault: Fault) -> Fault:
        """The fault as the control file of the CUDA library and the ledger agree on it."""
        if fault.fault_type == "cuda":
            self.arming.settle()
        return self.ledger.get(fault.fault_id)

    def _end(self, fault: Fault, why: str, ends_as: Literal["recovered", "expired"]) -> Fault:
        over = self.ledger.update(ended(fault, stamp(self.clock.wall()), why, ends_as))
        die_at("after_ending")
        return over

    def _bury(self, fault_id: str, key: str | None) -> Fault:
        node, _, name = fault_id.partition("~")
        if key is None or key != name or node != self.ledger.node or not is_name(name):
            raise Refusal(404, "fault_not_found", f"There is no fault {fault_id}.", self.ledger.node)
        tombstone = Fault(
            fault_id=fault_id,
            phase=Phase.TOMBSTONE,
            body_hash="",
            boot_id=self.clock.boot_id(),
            ended_at=stamp(self.clock.wall()),
            end_reason="taken back before it was injected",
        )
        self.ledger.bury(tombstone)
        die_at("after_tombstone")
        return tombstone

    def _unless_blocked(self, fault: Fault) -> Fault:
        if fault.phase is Phase.BLOCKED:
            message = f"{fault.fault_id} was not acknowledged: {fault.end_reason}."
            raise Refusal(409, "real_fault_seen", message, self.ledger.node)
        return fault
