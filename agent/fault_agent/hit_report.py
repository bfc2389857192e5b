"""What the faults of this node did to which processes: the records in the hits folder beside the running processes."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fault_agent import cuda_hits
from fault_agent.clock import Clock, stamp_after
from fault_agent.cuda_folder import CudaFolder
from fault_agent.cuda_hits import Hit, ProcessHits
from fault_agent.cuda_messages import ControlNow, CudaProcess, HitProcess, HitReply, NodeHits, OwnerReply, ScanReply
from fault_agent.fault import RAISED
from fault_agent.ledger import Ledger
from fault_agent.processes import Process, Scan, Scans

_NANO = 1_000_000_000
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_OWNER_PARTS = 3
_FRESH_SECONDS = 1.0


@dataclass(frozen=True)
class HitReport:
    """Reads records anew for each report; `pods` gives namespace and name of pods by uid."""

    ledger: Ledger
    clock: Clock
    folder: CudaFolder
    scans: Scans
    pods: Callable[[], Mapping[str, tuple[str, str]]]

    def report(self, fault_id: str | None, generation: int | None) -> NodeHits:
        """Of all CUDA faults that are known, or of one; `generation` is the control file's. Raises OSError."""
        read = cuda_hits.read_hits(self.folder.hits)
        boot = self.folder.boot_id()
        records = [record for record in read.processes if record.boot_id == boot]
        seen = _Seen(self._scan(records), self.pods())
        ours = {fault.name: fault for fault in self.ledger.all() if fault.fault_type == "cuda"}
        wanted = {name for name, fault in ours.items() if fault_id is None or fault.fault_id == fault_id}
        processes = [self._process(record, seen, wanted) for record in records]
        control = ControlNow(path=str(self.folder.control_file), generation=generation) if generation else None
        return NodeHits(
            node=self.ledger.node,
            boot_id=self.clock.boot_id(),
            control=control,
            armed=sorted(fault.fault_id for fault in ours.values() if fault.phase in RAISED),
            processes=[process for process in processes if process.hits],
            without_library=seen.without_library(),
            scan=ScanReply(
                processes=len(seen.scan.processes),
                unreadable=seen.scan.unreadable,
                host_pid_namespace=seen.scan.host_pid_namespace,
            ),
            unreadable=list(read.unreadable),
        )

    def _scan(self, records: list[ProcessHits]) -> Scan:
        """Not older than a second, nor than the record of a process that it did not find."""
        seen = self.scans.since(self.clock.since_boot() - _FRESH_SECONDS)
        missing = [record.written_at_ns / _NANO for record in records if _find(seen, record) is None]
        return self.scans.since(max(missing)) if missing else seen

    def _process(self, record: ProcessHits, seen: "_Seen", wanted: set[str]) -> HitProcess:
        running = _find(seen.scan, record)
        hits = [hit for hit in record.hits if hit.fault in wanted and hit.hits + hit.nvml_hits > 0]
        return HitProcess(
            pid=running.pid if running else None,
            container_pid=record.pid,
            process=record.process,
            owner=seen.owner(record.owner, running.pod_uid if running else None),
            pod_uid=running.pod_uid if running else None,
            container_id=running.container_id if running else None,
            probe=_came_by_exec(record, running, seen.scan),
            hits=[self._hit(hit) for hit in hits],
        )

    def _hit(self, hit: Hit) -> HitReply:
        return HitReply(
            fault_id=f"{self.ledger.node}~{hit.fault}",
            rule=hit.part,
            gpu_uuid=hit.gpu_uuid,
            calls=hit.calls,
            hits=hit.hits,
            nvml_hits=hit.nvml_hits,
            code=hit.code,
            function=hit.function,
            first_hit_at=stamp_after(self.clock, hit.first_hit_ns / _NANO),
            last_hit_at=stamp_after(self.clock, hit.last_hit_ns / _NANO),
        )


@dataclass(frozen=True)
class _Seen:
    """The processes of the machine and the names of its pods."""

    scan: Scan
    pods: Mapping[str, tuple[str, str]]

    def without_library(self) -> list[CudaProcess]:
        return [self._shown(one) for one in self.scan.processes if one.uses_cuda and not one.has_library]

    def owner(self, text: str, pod_uid: str | None) -> OwnerReply | None:
        """By the kubelet's word where there is one: what stands in an environment is the tenant's own."""
        named = _named(text)
        if pod_uid is None or pod_uid not in self.pods:
            return named
        namespace, pod = self.pods[pod_uid]
        is_same = named is not None and (named.namespace, named.pod) == (namespace, pod)
        return OwnerReply(namespace=namespace, pod=pod, container=named.container if named and is_same else None)

    def _shown(self, process: Process) -> CudaProcess:
        return CudaProcess(
            pid=process.pid,
            process=process.name,
            owner=self.owner(process.owner, process.pod_uid),
            pod_uid=process.pod_uid,
            container_id=process.container_id,
            probe=self.scan.came_by_exec(process),
        )


def _came_by_exec(record: ProcessHits, running: Process | None, seen: Scan) -> bool:
    if running and running.group:
        return seen.came_by_exec(running)
    return record.came_by_exec and not seen.descends_with_us(record.pid_namespace, record.root_pid)


def _find(seen: Scan, record: ProcessHits) -> Process | None:
    return seen.find(record.pid_namespace, record.pid, record.start_ticks)


def _named(text: str) -> OwnerReply | None:
    """Whoever runs in a pod can write anything there, so only names are taken for names."""
    parts = text.split("/")
    if len(parts) != _OWNER_PARTS or not all(_NAME.fullmatch(part) for part in parts):
        return None
    return OwnerReply(namespace=parts[0], pod=parts[1], container=parts[2])
