"""Tells the platform that a GPU is healthy again, once, and never while it may really be broken."""

from dataclasses import dataclass, replace

from fault_agent.clock import Clock
from fault_agent.death import die_at
from fault_agent.fault import Fault, Phase, blocked, finished, promised_acknowledgement
from fault_agent.inventory import Gpu
from fault_agent.kernel_lines import acknowledgement_line, acknowledges, last_word, reports_fault_of
from fault_agent.kernel_log import KernelLog, Record, Ring, usable_ring
from fault_agent.ledger import Ledger
from fault_agent.refusal import Refusal

_OVER = (Phase.ENDING, Phase.ACKNOWLEDGING, Phase.BLOCKED)


@dataclass(frozen=True)
class Acknowledging:
    """Finishes the faults of a GPU that are over."""

    ledger: Ledger
    clock: Clock
    log: KernelLog

    def finish(self, gpu: Gpu, why_wait: str | None) -> None:
        """Bring every fault of the GPU that is over to its end, as far as that is possible now.

        One acknowledgement serves them all. None is written while another fault of the GPU goes on, while
        `why_wait` gives a reason, or if a real fault was seen. Raises Refusal 503 if the log is unusable.
        """
        over = [fault for fault in self.ledger.on(gpu) if fault.phase in _OVER]
        if not over:
            return
        if self.ledger.raised_on(gpu):
            self._finish_without(over)
            return
        if why_wait is not None:
            return
        ring = usable_ring(self.log, self.ledger.node)
        left = self._settle_promises(over, gpu, ring)
        if left:
            self._check_then_acknowledge(left, gpu, ring)

    def watch(self) -> None:
        """Look for real faults of GPUs with a fault of ours before the ring overwrites them.

        How far it was found clean is kept on disk, so that what is overwritten later does not count against
        the GPU. That is only needed, and only done, when the ring has moved on by half its length.
        """
        gpus = {fault.gpu for fault in self.ledger.unfinished_lines() if fault.gpu is not None}
        if not gpus or self.log.why_unusable() is not None:
            return
        with self.ledger.lock:
            ring = self.log.read()
            for gpu in gpus:
                self._remember_if_clean(gpu, ring)

    def _finish_without(self, over: list[Fault]) -> None:
        """The acknowledgement comes with the last fault of the GPU; a fault that is blocked stays so."""
        for fault in over:
            if fault.phase is not Phase.BLOCKED:
                self.ledger.update(finished(fault, None))

    def _settle_promises(self, over: list[Fault], gpu: Gpu, ring: Ring) -> list[Fault]:
        """Finish what was acknowledged before a crash; returns the faults left.

        Where the ring no longer tells, the acknowledgement is written again: it says the same thing twice.
        """
        left = []
        for fault in over:
            record = self._find(gpu, ring, fault) if fault.phase is Phase.ACKNOWLEDGING else None
            if record is None:
                left.append(fault)
            else:
                self.ledger.update(finished(fault, record))
        return left

    @staticmethod
    def _find(gpu: Gpu, ring: Ring, fault: Fault) -> Record | None:
        later = ring.since(fault.acknowledgement_from)
        return next((record for record in later if acknowledges(record, gpu.uuid)), None)

    def _check_then_acknowledge(self, over: list[Fault], gpu: Gpu, ring: Ring) -> None:
        why = self._why_not_healthy(gpu, ring)
        if why is not None:
            for fault in over:
                self.ledger.update(blocked(fault, why))
            return
        promised = [self.ledger.update(promised_acknowledgement(fault, ring.next_sequence)) for fault in over]
        die_at("after_ack_intent")
        self._write(gpu)
        die_at("after_ack_write")
        again = usable_ring(self.log, self.ledger.node)
        for fault in promised:
            self.ledger.update(finished(fault, self._proof(gpu, again, fault)))
            die_at("after_finished")

    def _write(self, gpu: Gpu) -> None:
        line = acknowledgement_line(gpu.uuid)
        try:
            self.log.write(line.level, line.text)
        except OSError as error:
            message = f"The acknowledgement of {gpu.uuid} can not be written to {self.log.path}: {error.strerror}."
            raise Refusal(503, "kernel_log_not_writable", message, self.ledger.node) from error

    def _proof(self, gpu: Gpu, ring: Ring, fault: Fault) -> Record:
        record = self._find(gpu, ring, fault)
        if record is None:  # dropped by the kernel, or overwritten at once: the next turn writes it again
            message = f"The acknowledgement of {gpu.uuid} did not get into {self.log.path}."
            raise Refusal(503, "kernel_log_not_writable", message, self.ledger.node)
        return record

    def _why_not_healthy(self, gpu: Gpu, ring: Ring) -> str | None:
        """Why the GPU must not be declared healthy, in words, or None."""
        first = self._first_unseen(gpu)
        for record in ring.since(first):
            if reports_fault_of(record, gpu.pci) and not self.ledger.is_ours(last_word(record)):
                return f"a real fault of the GPU is in the kernel log: {_plain(record.text)}"
        if not ring.reaches_back_to(first):
            return "the kernel log no longer reaches back to the injection, a real fault can not be ruled out"
        return None

    def _remember_if_clean(self, gpu: Gpu, ring: Ring) -> None:
        oldest = 0 if ring.oldest is None else ring.oldest
        is_urgent = self._first_unseen(gpu) - oldest < (ring.next_sequence - oldest) // 2
        if is_urgent and self._why_not_healthy(gpu, ring) is None:
            for fault in self.ledger.unfinished_on(gpu):
                self.ledger.update(replace(fault, clean_up_to=ring.next_sequence))

    def _first_unseen(self, gpu: Gpu) -> int:
        """Where the search for real faults begins: at the first injection after the last acknowledgement."""
        boot = self.clock.boot_id()
        here = [fault for fault in self.ledger.on(gpu) if fault.boot_id == boot]
        acknowledged = [fault.acknowledgement.sequence for fault in here if fault.acknowledgement]
        since = max(acknowledged, default=-1)
        first = min((fault.first_sequence for fault in here if fault.first_sequence > since), default=since + 1)
        return max([first, *(fault.clean_up_to for fault in here)])


def _plain(text: str) -> str:
    """Short and ASCII, so that it fits into a record on disk whatever a driver printed; no sentence of its own."""
    return text.encode("ascii", "replace").decode()[:300].rstrip(". ")
