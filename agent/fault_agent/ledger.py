"""All faults of the node: durable first, then visible."""

import re
import secrets
import threading

from fault_agent.fault import RAISED, UNFINISHED, Fault, Phase
from fault_agent.inventory import Gpu
from fault_agent.refusal import Refusal
from fault_agent.store import DiskFull, Store

MAX_KEPT = 2000  # finished faults stay known that long, so that a late repetition of a request changes nothing

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,100}")


def is_name(text: str) -> bool:
    """True if `text` can be the name part of a fault id."""
    return _NAME.fullmatch(text) is not None


class Ledger:
    """Every change happens under `lock` and is on disk before it can be read here."""

    def __init__(self, node: str, store: Store) -> None:
        self.node = node
        self.lock = threading.RLock()
        self._store = store
        self._faults = {fault.fault_id: fault for fault in store.load()}

    def all(self) -> tuple[Fault, ...]:
        with self.lock:
            return tuple(self._faults.values())

    def find(self, fault_id: str) -> Fault | None:
        """The fault, or None if there was never one; raises Refusal 500 if its file is damaged."""
        node, _, name = fault_id.partition("~")
        if node == self.node and name in self._store.unreadable:
            message = f"The record of {fault_id} on disk is damaged; its kernel line can not be taken back here."
            raise Refusal(500, "state_damaged", message, self.node)
        with self.lock:
            return self._faults.get(fault_id)

    def get(self, fault_id: str) -> Fault:
        """The fault; raises Refusal 404."""
        fault = self.find(fault_id)
        if fault is None:
            raise Refusal(404, "fault_not_found", f"There is no fault {fault_id}.", self.node)
        return fault

    def new_id(self, name: str | None) -> str:
        """The id of a fault that its caller named, or that nobody did."""
        return f"{self.node}~{name or f'auto-{secrets.token_hex(8)}'}"

    def repeated(self, fault_id: str, body_hash: str) -> Fault | None:
        """The fault that was asked for like this before, None if never; raises Refusal 409, 410 or 500."""
        fault = self.find(fault_id)
        if fault is None:
            return None
        self.refuse_tombstone(fault)
        if fault.body_hash != body_hash:
            message = f"{fault_id} was asked for with another body before; use another key for another fault."
            raise Refusal(409, "idempotency_conflict", message, self.node)
        return fault

    def refuse_tombstone(self, fault: Fault) -> None:
        """Raises Refusal 410 if the fault was taken back before it was injected."""
        if fault.phase is Phase.TOMBSTONE:
            message = f"{fault.fault_id} was taken back before it was injected, so it never will be."
            raise Refusal(410, "tombstoned", message, self.node)

    def in_force(self) -> int:
        """How many faults count against the limit of the node."""
        return sum(fault.phase in UNFINISHED and fault.phase is not Phase.BLOCKED for fault in self.all())

    def strangers(self) -> tuple[str, ...]:
        """Nodes other than this one that the faults on this disk belong to."""
        return tuple(sorted({fault.node for fault in self.all()} - {self.node}))

    def damaged(self) -> tuple[str, ...]:
        return tuple(f"{self.node}~{name}" for name in self._store.unreadable)

    def is_ours(self, fault_id: str) -> bool:
        """True for every id that this agent may have written into the kernel log."""
        return fault_id in self._faults or fault_id in self.damaged()

    def unfinished(self) -> tuple[Fault, ...]:
        return tuple(fault for fault in self.all() if fault.phase in UNFINISHED)

    def unfinished_lines(self) -> tuple[Fault, ...]:
        """Those that stand in the kernel log."""
        return tuple(fault for fault in self.unfinished() if fault.fault_type == "gpu_xid")

    def unfinished_cuda(self) -> tuple[Fault, ...]:
        """Those that stand in the control file of the CUDA library, or did until now."""
        return tuple(fault for fault in self.unfinished() if fault.fault_type == "cuda")

    def unfinished_on(self, gpu: Gpu) -> tuple[Fault, ...]:
        return tuple(fault for fault in self.unfinished() if fault.on(gpu))

    def on(self, gpu: Gpu) -> tuple[Fault, ...]:
        """Every fault with a kernel line about this GPU."""
        return tuple(fault for fault in self.all() if fault.on(gpu))

    def raised_on(self, gpu: Gpu) -> tuple[Fault, ...]:
        """Faults of this GPU that are neither over nor failed."""
        return tuple(fault for fault in self.on(gpu) if fault.phase in RAISED)

    def create(self, fault: Fault) -> None:
        """Raises Refusal 507 with nothing left behind when the disk is full."""
        try:
            self._store.create(fault)
        except DiskFull:
            message = f"The disk of node {self.node} is full: nothing was injected."
            raise Refusal(507, "disk_full", message, self.node) from None
        self._faults[fault.fault_id] = fault
        self._forget_oldest()

    def bury(self, tombstone: Fault) -> None:
        """Keep a tombstone, on space set aside if the disk is full; raises Refusal 507 when that is gone too."""
        try:
            self._store.create(tombstone)
        except DiskFull:
            self._bury_in_spare(tombstone)
        self._faults[tombstone.fault_id] = tombstone
        self._forget_oldest()

    def update(self, fault: Fault) -> Fault:
        with self.lock:
            if self._faults[fault.fault_id] != fault:
                self._store.update(fault)
                self._faults[fault.fault_id] = fault
            return fault

    def _bury_in_spare(self, tombstone: Fault) -> None:
        try:
            self._store.create_from_spare(tombstone)
        except DiskFull:
            message = f"The disk of node {self.node} is full and its reserve is used up: no tombstone was left."
            raise Refusal(507, "disk_full", message, self.node) from None

    def _forget_oldest(self) -> None:
        excess = len(self._faults) - MAX_KEPT
        if excess <= 0:
            return
        finished = [fault for fault in self._faults.values() if fault.phase not in UNFINISHED]
        for fault in sorted(finished, key=lambda fault: fault.ended_at or "")[:excess]:
            self._store.delete(fault)
            del self._faults[fault.fault_id]
