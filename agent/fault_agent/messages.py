"""What travels over HTTP: the bodies of requests and replies, from which the OpenAPI document is made."""

from typing import Annotated, Literal

from pydantic import Field, StrictInt, StrictStr

from fault_agent.cuda_messages import CudaRecord, cuda_record
from fault_agent.fault import Fault, FaultType, Status
from fault_agent.inventory import Holder
from fault_agent.kernel_log import Kind
from fault_agent.shapes import GpuId, Message, NodeName, Request, RunName, Seconds, UnreachableNode
from fault_agent.xids import Action, Severity


class InjectRequest(Request):
    node_name: NodeName
    gpu_id: GpuId = Field(0, description="nvidia-smi index, or as text: index, UUID, PCI address, `minor:N`")
    duration: Seconds | None = Field(None, description="the fault ends at this age")
    message: Annotated[StrictStr, Field(min_length=1, max_length=500)] | None = Field(
        None, description="what follows the XID number, instead of the built-in text"
    )
    ttl: Seconds | None = Field(None, description="the fault ends unless it is renewed within this time")
    max_lifetime: Seconds | None = Field(None, description="no renewal keeps the fault longer")
    run: RunName | None = None
    xid_type: StrictInt | Annotated[StrictStr, Field(max_length=20)] | None = Field(
        None, description="if given, it must agree with the route"
    )


class RenewRequest(Request):
    ttl: Seconds


class HealthReply(Message):
    status: Literal["ok"] = "ok"
    role: Literal["node", "gateway"]
    node: str | None
    version: str


class KernelLogState(Message):
    kind: Kind
    path: str
    writable: bool
    reason: str | None


class CudaState(Message):
    """The folder of the control file; a node without a usable one still takes XIDs."""

    path: str
    usable: bool
    reason: str | None


class NodeReady(Message):
    ready: bool
    kernel_log: KernelLogState
    damaged: list[str] = Field([], description="faults whose record on disk can not be read")
    cuda: CudaState | None = Field(None, description="absent from nodes of version 0.1.0")


class RosterState(Message):
    """Where the gateway learns of its nodes, and why that may be out of date."""

    source: Literal["file", "pods"]
    reason: str | None


class GatewayReady(Message):
    ready: bool
    roster: RosterState | None = Field(None, description="absent from gateways of version 0.1.0")
    nodes: dict[str, NodeReady | UnreachableNode]


class GpuReply(Message):
    index: int
    minor: int
    uuid: str
    pci: str
    held_by: list[Holder]


class GpusReply(Message):
    node: str
    boot_id: str
    kernel_log: Kind
    gpus: list[GpuReply]


class XidReply(Message):
    number: int
    title: str
    severity: Severity
    message: str | None
    form: str
    recommended_action: Action
    fatal: bool
    platform_object: Literal["RebootNode", "GPUReset"] | None
    node_signal: Literal["condition", "event"]
    recovery_seconds: tuple[int, int]
    evidence: str
    injectable_without_message: bool


class TargetReply(Message):
    node: str
    gpu_index: int | None
    gpu_minor: int | None
    gpu_uuid: str | None
    pci: str | None


class EvidenceReply(Message):
    kernel_log: Kind
    sequence: int
    text: str
    boot_id: str


class AcknowledgementReply(Message):
    sequence: int
    text: str


class FaultReply(Message):
    fault_id: str
    status: Status
    fault_type: FaultType = "gpu_xid"
    xid: int | None
    run: str | None
    target: TargetReply
    injected_at: str | None
    expires_at: str | None
    ended_at: str | None
    end_reason: str | None
    evidence: EvidenceReply | None
    acknowledgement: AcknowledgementReply | None
    cuda: CudaRecord | None = None


class FaultsReply(Message):
    faults: list[FaultReply]
    unreachable: list[UnreachableNode]


class RenewReply(Message):
    fault_id: str
    state: Literal["active", "expired", "rebooted", "recovered", "failed"]
    ended_at: str | None


class Problem(Message):
    code: str
    message: str
    node: str | None


class ErrorReply(Message):
    error: Problem


def fault_reply(fault: Fault) -> FaultReply:
    """The public record of a fault."""
    gpu, proof, line = fault.gpu, fault.evidence, fault.acknowledgement
    return FaultReply(
        fault_id=fault.fault_id,
        status=fault.status,
        fault_type=fault.fault_type,
        xid=fault.xid,
        run=fault.run,
        target=TargetReply(
            node=fault.node,
            gpu_index=gpu.index if gpu else None,
            gpu_minor=gpu.minor if gpu else None,
            gpu_uuid=gpu.uuid if gpu else None,
            pci=gpu.pci if gpu else None,
        ),
        injected_at=fault.injected_at,
        expires_at=fault.expires_at,
        ended_at=fault.ended_at,
        end_reason=fault.end_reason,
        evidence=EvidenceReply(**vars(proof)) if proof else None,
        acknowledgement=AcknowledgementReply(**vars(line)) if line else None,
        cuda=cuda_record(fault.cuda) if fault.cuda else None,
    )


def renew_reply(fault: Fault) -> RenewReply:
    """What a renewal came to: anything but `active` means that the fault is over."""
    states: dict[Status, Literal["active", "expired", "rebooted", "recovered", "failed"]] = {
        "active": "active",
        "unproven": "active",
        "recovering": fault.ends_as,
        "blocked": fault.ends_as,
        "recovered": "recovered",
        "expired": "expired",
        "rebooted": "rebooted",
        "failed": "failed",
    }
    return RenewReply(fault_id=fault.fault_id, state=states[fault.status], ended_at=fault.ended_at)
