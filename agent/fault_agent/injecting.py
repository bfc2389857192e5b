"""The write protocol: promise on disk, one write, read back; and what a restart makes of an unkept promise."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace

from fault_agent.clock import Clock, stamp, stamp_after
from fault_agent.death import die_at
from fault_agent.fault import Deadlines, Evidence, Fault, Phase, never_written, proven
from fault_agent.inventory import Inventory
from fault_agent.kernel_lines import KernelLine, carries, xid_line
from fault_agent.kernel_log import KernelLog, Ring, usable_ring
from fault_agent.ledger import Ledger
from fault_agent.limits import Limits
from fault_agent.refusal import Refusal
from fault_agent.xids import XidTable


@dataclass(frozen=True)
class Order:
    """What a caller wants: times in seconds, None = not asked for."""

    xid: int
    gpu_id: int | str = 0
    duration: float | None = None
    message: str | None = None
    ttl: float | None = None
    max_lifetime: float | None = None
    run: str | None = None

    def digest(self) -> str:
        """Equal for orders that ask for the same thing."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Injecting:
    """Everything an injection needs; `inject` and `settle` are its two halves."""

    ledger: Ledger
    clock: Clock
    log: KernelLog
    inventory: Inventory
    table: XidTable
    limits: Limits

    def inject(self, order: Order, name: str | None) -> tuple[Fault, bool]:
        """Carry out the order once: the fault and whether it is new. Raises Refusal; see the API for the codes."""
        with self.ledger.lock:
            fault_id = self.ledger.new_id(name)
            known = self.ledger.repeated(fault_id, order.digest())
            if known is not None:
                return known, False
            self.limits.check(order.xid, self.ledger.in_force(), self.clock.since_boot())
            return self._write(self._promise(fault_id, order), order), True

    def settle(self) -> None:
        """Find out what became of each promise that a crash left open, without ever writing again."""
        boot = self.clock.boot_id()
        open_promises = [
            fault for fault in self.ledger.unfinished_lines() if fault.phase is Phase.INTENT and fault.boot_id == boot
        ]
        if not open_promises or self.log.why_unusable() is not None:
            return
        with self.ledger.lock:
            ring = self._ring()
            for fault in open_promises:
                self.ledger.update(self._judged(fault, ring))

    def _promise(self, fault_id: str, order: Order) -> Fault:
        """Everything that can be refused is refused before anything is promised."""
        gpu = self.inventory.find(order.gpu_id)
        xid_line(self.table, order.xid, gpu, fault_id, order.message)
        ring = self._ring()
        now = self.clock.since_boot()
        ends = Deadlines.from_now(now, order.ttl, order.duration, order.max_lifetime)
        soonest = ends.next()
        die_at("before_intent")
        fault = Fault(
            fault_id=fault_id,
            phase=Phase.INTENT,
            body_hash=order.digest(),
            boot_id=self.clock.boot_id(),
            xid=order.xid,
            run=order.run,
            gpu=gpu,
            first_sequence=ring.next_sequence,
            injected_at=stamp(self.clock.wall()),
            deadlines=ends,
            expires_at=None if soonest is None else stamp_after(self.clock, soonest),
        )
        self.ledger.create(fault)
        die_at("after_intent")
        return fault

    def _write(self, fault: Fault, order: Order) -> Fault:
        assert fault.gpu is not None
        line = xid_line(self.table, order.xid, fault.gpu, fault.fault_id, order.message)
        failure = self._written(line)
        die_at("after_write")
        ring = self._ring()
        die_at("after_read_back")
        settled = self.ledger.update(self._judged(fault, ring, failure))
        die_at("after_active")
        if settled.phase is not Phase.ACTIVE:
            why = settled.end_reason or "it can not be read back"
            message = f"The line of {fault.fault_id} did not get into {self.log.path}: {why}."
            raise Refusal(503, "kernel_log_not_writable", message, self.ledger.node)
        return settled

    def _written(self, line: KernelLine) -> str | None:
        """None, or why the write failed; either way only reading back tells whether the record is there."""
        try:
            self.log.write(line.level, line.text)
        except OSError as error:
            return error.strerror or str(error)
        return None

    def _judged(self, fault: Fault, ring: Ring, failure: str | None = None) -> Fault:
        for record in ring.since(fault.first_sequence):
            if carries(record, fault.fault_id):
                return proven(fault, Evidence(self.log.kind, record.sequence, record.text, fault.boot_id))
        if ring.reaches_back_to(fault.first_sequence):
            why = failure or "the kernel log has no such record"
            return never_written(fault, stamp(self.clock.wall()), why)
        return replace(fault, phase=Phase.UNPROVEN)

    def _ring(self) -> Ring:
        return usable_ring(self.log, self.ledger.node)
