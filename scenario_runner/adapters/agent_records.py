"""The agents' JSON as values of the domain; each function raises KeyError, TypeError or ValueError on another shape."""

from collections.abc import Iterator
from typing import Any

from scenario_runner.core.cuda import CudaHits, ProcessHits
from scenario_runner.core.faults import FaultList, FaultRecord, GpuSeat, KernelRecord


def gpu_seats(answer: Any) -> tuple[GpuSeat, ...]:
    return tuple(map(_gpu_seat, answer["gpus"]))


def fault_list(answer: Any) -> FaultList:
    unreachable = (f"{one['node']}: {one['reason']}" for one in answer["unreachable"])
    return FaultList(tuple(map(fault_record, answer["faults"])), tuple(unreachable))


def fault_record(record: Any) -> FaultRecord:
    target = record.get("target") or {}
    return FaultRecord(
        fault_id=record["fault_id"],
        status=record["status"],
        xid=int(record.get("xid") or 0),  # a tombstone has none
        node=target.get("node") or record["fault_id"].partition("~")[0],
        gpu_index=_or(target.get("gpu_index"), -1),
        gpu_uuid=target.get("gpu_uuid") or "",
        pci=target.get("pci") or "",
        injected_at=record.get("injected_at") or "",
        ended_at=record.get("ended_at") or "",
        end_reason=record.get("end_reason") or "",
        evidence=_kernel_record(record.get("evidence")),
        cuda=_profile(record.get("cuda")),
    )


def cuda_hits(answer: Any, fault_id: str) -> CudaHits:
    """Of one fault."""
    processes = (_process(node["node"], one, hit) for node in answer["nodes"] for one, hit in _hits(node, fault_id))
    missed = (
        f"{node['node']}: process {one['pid']} ({one['process']}) of {owner['namespace']}/{owner['pod']}"
        for node in answer["nodes"]
        for one in node["without_library"]
        if (owner := one["owner"])  # those of no pod are no workload: another lab's, on the machine of labs
    )
    unreachable = (f"{one['node']}: {one['reason']}" for one in answer["unreachable"])
    return CudaHits(tuple(processes), tuple(missed), tuple(unreachable))


def _hits(node: Any, fault_id: str) -> Iterator[tuple[Any, Any]]:
    """Each process with what the rule did to it that hit it most."""
    for one in node["processes"]:
        ours = [hit for hit in one["hits"] if hit["fault_id"] == fault_id]
        if ours:
            yield one, max(ours, key=lambda hit: int(hit["hits"]))


def _process(node: str, one: Any, hit: Any) -> ProcessHits:
    owner = one["owner"] or {}
    return ProcessHits(
        node=node,
        pid=one["container_pid"],
        process=one["process"],
        pod=f"{owner['namespace']}/{owner['pod']}" if owner else "",
        container=owner.get("container", ""),
        probe=one["probe"],
        gpu=hit["gpu_uuid"] or "",
        hits=hit["hits"],
        code=hit["code"],
        function=hit["function"],
        first=hit["first_hit_at"],
    )


def _profile(cuda: Any) -> str:
    return "" if cuda is None else cuda["profile"] or "own rules"


def renewed(answer: Any) -> FaultRecord:
    """The answer to a renewal: only the fault's status and end are known from it."""
    fault_id: str = answer["fault_id"]
    return FaultRecord(fault_id, answer["state"], 0, fault_id.partition("~")[0], ended_at=answer["ended_at"] or "")


def _gpu_seat(gpu: Any) -> GpuSeat:
    held_by = tuple(f"{holder['namespace']}/{holder['pod']}" for holder in gpu["held_by"])
    return GpuSeat(gpu["index"], gpu["uuid"], gpu["pci"], held_by)


def _kernel_record(evidence: Any) -> KernelRecord | None:
    if evidence is None:
        return None
    return KernelRecord(evidence["kernel_log"], evidence["sequence"], evidence["text"])


def _or(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value
