"""The fault agents of all nodes, in a dictionary."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from scenario_runner.core.cuda import CudaHits, ProcessHits
from scenario_runner.core.faults import FaultList, FaultRecord, GpuSeat, KernelRecord
from scenario_runner.core.ports import Arming, Injection
from scenario_runner.errors import TargetRefused, TargetUnreachable
from scenario_runner.gpu.profiles import profiles
from tests.fake_kept import Kept, no_crash
from tests.fake_time import FakeClock


class FakeAgent:
    """
    Agents of all nodes: `nodes` maps a node to its GPUs. Faults that expire do so in virtual time.

    `unreachable` maps a node to why; `refusals` maps a fault id to a refusal; `on_inject` stands for the platform.
    """

    def __init__(self, clock: FakeClock, nodes: dict[str, tuple[GpuSeat, ...]], kept: Kept | None = None) -> None:
        self.clock = clock
        self.nodes = nodes
        self.kept = kept or Kept()
        self.faults_by_id: dict[str, dict[str, Any]] = self.kept.load().setdefault("faults", {})
        self.unreachable: dict[str, str] = {}
        self.lose_answers: set[str] = set()  # nodes that do what they are told and never answer
        self.refusals: dict[str, TargetRefused] = {}
        self.on_inject: Callable[[FaultRecord], None] = lambda record: None
        self.on_recover: Callable[[FaultRecord], None] = lambda record: None
        self.hits: dict[str, tuple[ProcessHits, ...]] = {}  # by fault id: what its processes ran into
        self.without_library: tuple[str, ...] = ()
        self.on_arm: Callable[[FaultRecord], None] = lambda record: None
        self.crashing: Callable[[str], Any] = no_crash
        self.calls: list[str] = []

    def gpus(self, node: str) -> tuple[GpuSeat, ...]:
        self._reach(node)
        if node not in self.nodes:
            raise TargetRefused(f"cannot list the GPUs of {node}: no such node", code="node_not_found")
        return self.nodes[node]

    def faults(self) -> FaultList:
        gone = tuple(f"{node}: {reason}" for node, reason in self.unreachable.items())
        return FaultList(tuple(self._record(one) for one in self.faults_by_id), gone)

    def fault(self, fault_id: str) -> FaultRecord | None:
        self._reach(_node(fault_id))
        return self._record(fault_id) if fault_id in self.faults_by_id else None

    def inject(self, injection: Injection) -> FaultRecord:
        self.calls.append(f"inject {injection.fault_id}")
        record = self._raised("inject", injection, {"xid": injection.xid})
        self.on_inject(record)
        self._answer(injection.node)
        return record

    def arm(self, arming: Arming) -> FaultRecord:
        self.calls.append(f"arm {arming.fault_id} {arming.profile or arming.xid or 'own rules'}")
        profile = "own rules" if arming.rules else arming.profile or profiles().find(arming.xid).name
        record = self._raised("arm", arming, {"xid": arming.xid, "cuda": profile})
        self.on_arm(record)
        self._answer(arming.node)
        return record

    def _raised(self, verb: str, order: Injection | Arming, kind: dict[str, Any]) -> FaultRecord:
        """Carry an order out once."""
        fault_id = order.fault_id
        self._reach(order.node)
        if fault_id in self.refusals:
            raise self.refusals[fault_id]
        known = self.faults_by_id.get(fault_id)
        if known is not None and known["status"] == "tombstone":
            raise TargetRefused(f"fault {fault_id} was recovered before it came", code="tombstoned")
        if known is None:
            seat = next(one for one in self.nodes[order.node] if one.uuid == order.gpu)
            with self.crashing(f"{verb} {fault_id}"):
                self.faults_by_id[fault_id] = self._made(seat, order.ttl, order.duration) | kind
                self.kept.save()
        return self._record(fault_id)

    def cuda_hits(self, fault_id: str) -> CudaHits:
        self._reach(_node(fault_id))
        if fault_id not in self.faults_by_id:
            raise TargetRefused(f"cannot ask what {fault_id} has hit: there is no such fault", code="fault_not_found")
        return CudaHits(self.hits.get(fault_id, ()), self.without_library)

    def recover(self, fault_id: str) -> FaultRecord:
        self.calls.append(f"recover {fault_id}")
        self._reach(_node(fault_id))
        if fault_id in self.refusals:
            raise self.refusals[fault_id]
        with self.crashing(f"recover {fault_id}"):
            self._end(fault_id)
            self.kept.save()
        record = self._record(fault_id)
        self.on_recover(record)
        self._answer(_node(fault_id))
        return record

    def renew(self, fault_id: str, ttl: float) -> FaultRecord:
        self.calls.append(f"renew {fault_id}")
        self._reach(_node(fault_id))
        record = self._record(fault_id)
        if record.status == "active":
            self.faults_by_id[fault_id]["expires"] = self.clock.monotonic() + ttl
        return FaultRecord(fault_id, record.status, 0, record.node, ended_at=record.ended_at)

    def set_status(self, fault_id: str, status: str, reason: str = "") -> None:
        now = self.clock.now().isoformat()
        self.faults_by_id[fault_id] |= {"status": status, "ended_at": now, "end_reason": reason}

    def active(self) -> list[str]:
        """Ids of the faults in force: what a snapshot of the world compares."""
        return sorted(one for one in self.faults_by_id if not self._record(one).over)

    def _made(self, seat: GpuSeat, ttl: float | None, duration: float | None) -> dict[str, Any]:
        now = self.clock.monotonic()
        ends = [now + one for one in (ttl,) if one is not None]
        return {
            "status": "active",
            "seat": asdict(seat),
            "sequence": 1000 + len(self.faults_by_id),
            "injected_at": self.clock.now().isoformat(),
            "ended_at": "",
            "end_reason": "",
            "injected": now,
            "expires": min(ends, default=None),
            "dies": None if duration is None else now + duration,
        }

    def _end(self, fault_id: str) -> None:
        known = self.faults_by_id.get(fault_id)
        if known is None:
            self.faults_by_id[fault_id] = {"status": "tombstone", "xid": 0, "ended_at": "", "end_reason": ""}
        elif self._record(fault_id).status == "active":
            known |= {"status": "recovered", "ended_at": self.clock.now().isoformat(), "end_reason": "recovered"}

    def _record(self, fault_id: str) -> FaultRecord:
        known = self.faults_by_id[fault_id]
        self._expire(known)
        if known["status"] == "tombstone":
            return FaultRecord(fault_id, "tombstone", 0, _node(fault_id))
        seat = known["seat"]
        text = f"NVRM: Xid (PCI:{seat['pci']}): {known['xid']}"
        line = None if known.get("cuda") else KernelRecord("file", known["sequence"], text)
        return FaultRecord(
            fault_id, known["status"], known["xid"], _node(fault_id), seat["index"], seat["uuid"], seat["pci"],
            known["injected_at"], known["ended_at"], known["end_reason"], line, known.get("cuda", ""),
        )  # fmt: skip

    def _expire(self, known: dict[str, Any]) -> None:
        ends = [known.get(key) for key in ("expires", "dies") if known.get(key) is not None]
        if known["status"] != "active" or not ends or self.clock.monotonic() < min(ends):
            return
        moment = datetime.fromisoformat(known["injected_at"]) + timedelta(seconds=min(ends) - known["injected"])
        known |= {"status": "expired", "ended_at": moment.isoformat(), "end_reason": "expired"}

    def _reach(self, node: str) -> None:
        if node in self.unreachable:
            raise TargetUnreachable(f"the agent of {node} is not reachable: {self.unreachable[node]}")

    def _answer(self, node: str) -> None:
        if node in self.lose_answers:
            raise TargetUnreachable(f"the agent of {node} did not answer", sent=True)


def _node(fault_id: str) -> str:
    return fault_id.partition("~")[0]
