"""What the faults of this node did to which processes: the records in the hits folder beside the running processes."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from fault_agent import cuda_hits
from fault_agent.clock import Clock, stamp_after
from fault_agent.cuda_folder import CudaFolder
from fault_agent.cuda_hits import Hit, ProcessHits
from fault_agent.cuda_messages import ControlNow, CudaProcess, HitProcess, HitReply, NodeHits, OwnerReply, ScanReply
from fault_agent.fault import RAISED
from fault_agent.ledger import Ledger
from fault_agent.processes import Process, Scan

_NANO = 1_000_000_000
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_OWNER_PARTS = 3


@dataclass(frozen=True)
class HitReport:
    """Reads everything anew for each report; `scan` looks at the processes of the machine."""

    ledger: Ledger
    clock: Clock
    folder: CudaFolder
    scan: Callable[[], Scan]

    def report(self, fault_id: str | None, generation: int | None) -> NodeHits:
        """Of all CUDA faults that are known, or of one; `generation` is the control file's. Raises OSError."""
        seen = self.scan()
        read = cuda_hits.read_hits(self.folder.hits)
        boot = self.folder.boot_id()
        ours = {fault.name: fault for fault in self.ledger.all() if fault.fault_type == "cuda"}
        wanted = {name for name, fault in ours.items() if fault_id is None or fault.fault_id == fault_id}
        processes = [self._process(record, seen, wanted) for record in read.processes if record.boot_id == boot]
        return NodeHits(
            node=self.ledger.node,
            boot_id=self.clock.boot_id(),
            control=None
            if generation is None
            else ControlNow(path=str(self.folder.control_file), generation=generation),
            armed=sorted(fault.fault_id for fault in ours.values() if fault.phase in RAISED),
            processes=[process for process in processes if process.hits],
            without_library=[_shown(one, seen) for one in seen.processes if one.uses_cuda and not one.has_library],
            scan=ScanReply(
                processes=len(seen.processes),
                unreadable=seen.unreadable,
                host_pid_namespace=seen.host_pid_namespace,
            ),
            unreadable=list(read.unreadable),
        )

    def _process(self, record: ProcessHits, seen: Scan, wanted: set[str]) -> HitProcess:
        running = seen.find(record.pid_namespace, record.pid, record.start_ticks)
        hits = [hit for hit in record.hits if hit.fault in wanted and hit.hits + hit.nvml_hits > 0]
        return HitProcess(
            pid=running.pid if running else None,
            container_pid=record.pid,
            process=record.process,
            owner=_owner(record.owner),
            pod_uid=running.pod_uid if running else None,
            container_id=running.container_id if running else None,
            probe=seen.came_by_exec(running) if running and running.group else record.came_by_exec,
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


def _shown(process: Process, seen: Scan) -> CudaProcess:
    return CudaProcess(
        pid=process.pid,
        process=process.name,
        owner=_owner(process.owner),
        pod_uid=process.pod_uid,
        container_id=process.container_id,
        probe=seen.came_by_exec(process),
    )


def _owner(text: str) -> OwnerReply | None:
    """Whoever runs in a pod can write anything there, so only names are believed to be names."""
    parts = text.split("/")
    if len(parts) != _OWNER_PARTS or not all(_NAME.fullmatch(part) for part in parts):
        return None
    return OwnerReply(namespace=parts[0], pod=parts[1], container=parts[2])
