"""What the agent remembers of one fault, and the pure changes it goes through."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from fault_agent.cuda_rules import CudaPart
from fault_agent.inventory import Gpu
from fault_agent.kernel_log import Kind, Record


class Phase(StrEnum):
    """Where a fault stands, as it is kept on disk."""

    INTENT = "intent"  # promised on disk; whether the line or the control file was written is not known yet
    ACTIVE = "active"  # the line or the control file was read back
    UNPROVEN = "unproven"  # the ring no longer tells; treated as written when it is taken back, never as evidence
    ENDING = "ending"  # over, its acknowledgement or the control file without it still has to be written
    ACKNOWLEDGING = "acknowledging"  # the acknowledgement is promised on disk
    BLOCKED = "blocked"  # over, but a real fault of the GPU was seen: no acknowledgement
    RECOVERED = "recovered"
    EXPIRED = "expired"
    REBOOTED = "rebooted"
    FAILED = "failed"  # proven never to have been written
    TOMBSTONE = "tombstone"  # taken back before it was injected; never will be


RAISED = frozenset({Phase.INTENT, Phase.ACTIVE, Phase.UNPROVEN})
UNFINISHED = RAISED | {Phase.ENDING, Phase.ACKNOWLEDGING, Phase.BLOCKED}

FaultType = Literal["gpu_xid", "cuda"]
Status = Literal[
    "active", "recovering", "recovered", "expired", "rebooted", "failed", "blocked", "unproven", "tombstone"
]
_STATUS: dict[Phase, Status] = {
    Phase.INTENT: "unproven",
    Phase.ACTIVE: "active",
    Phase.UNPROVEN: "unproven",
    Phase.ENDING: "recovering",
    Phase.ACKNOWLEDGING: "recovering",
    Phase.BLOCKED: "blocked",
    Phase.RECOVERED: "recovered",
    Phase.EXPIRED: "expired",
    Phase.REBOOTED: "rebooted",
    Phase.FAILED: "failed",
    Phase.TOMBSTONE: "tombstone",
}


@dataclass(frozen=True)
class Evidence:
    """The record as it was read back."""

    kernel_log: Kind
    sequence: int
    text: str
    boot_id: str


@dataclass(frozen=True)
class Acknowledgement:
    sequence: int
    text: str


@dataclass(frozen=True)
class Deadlines:
    """Ends of a fault's life in seconds since boot; None = no such end."""

    ttl: float | None = None
    duration: float | None = None
    max_lifetime: float | None = None

    @classmethod
    def from_now(cls, now: float, ttl: float | None, duration: float | None, max_lifetime: float | None) -> "Deadlines":
        """The ends of spans that begin now."""
        return cls(*(now + span if span else None for span in (ttl, duration, max_lifetime)))

    def next(self) -> float | None:
        return min((end for end in (self.ttl, self.duration, self.max_lifetime) if end is not None), default=None)

    def passed(self, now: float) -> str | None:
        """Which end has come, in words, or None."""
        if self.duration is not None and self.duration <= now:
            return "its duration is over"
        if self.max_lifetime is not None and self.max_lifetime <= now:
            return "its longest lifetime is over"
        if self.ttl is not None and self.ttl <= now:
            return "its time to live ran out without a renewal"
        return None


@dataclass(frozen=True)
class Fault:
    """One fault, from the promise to raise it to its end; times are UTC text, deadlines seconds since boot."""

    fault_id: str
    phase: Phase
    body_hash: str
    boot_id: str
    fault_type: FaultType = "gpu_xid"
    xid: int | None = None
    run: str | None = None
    gpu: Gpu | None = None
    first_sequence: int = 0  # the lowest number its line can have in the ring
    injected_at: str | None = None
    deadlines: Deadlines = Deadlines()
    expires_at: str | None = None
    ended_at: str | None = None
    end_reason: str | None = None
    ends_as: Literal["recovered", "expired"] = "recovered"
    evidence: Evidence | None = None
    clean_up_to: int = 0  # below this number the ring is known to hold no real fault of the GPU
    acknowledgement_from: int = 0  # the lowest number its acknowledgement can have in the ring
    acknowledgement: Acknowledgement | None = None
    cuda: CudaPart | None = None

    @property
    def status(self) -> Status:
        return _STATUS[self.phase]

    @property
    def node(self) -> str:
        return self.fault_id.partition("~")[0]

    @property
    def name(self) -> str:
        return self.fault_id.partition("~")[2]

    def on(self, gpu: Gpu) -> bool:
        """True if its kernel line names this GPU; a CUDA fault has no line."""
        return self.fault_type == "gpu_xid" and self.gpu is not None and self.gpu.uuid == gpu.uuid


def proven(fault: Fault, evidence: Evidence) -> Fault:
    return replace(fault, phase=Phase.ACTIVE, evidence=evidence)


def never_written(fault: Fault, at: str, why: str) -> Fault:
    return replace(fault, phase=Phase.FAILED, ended_at=at, end_reason=why, expires_at=None)


def ended(fault: Fault, at: str, why: str, ends_as: Literal["recovered", "expired"]) -> Fault:
    """Over for those who watch it; the acknowledgement or the disarming is still due."""
    return replace(fault, phase=Phase.ENDING, ended_at=at, end_reason=why, ends_as=ends_as, expires_at=None)


def blocked(fault: Fault, why: str) -> Fault:
    return replace(fault, phase=Phase.BLOCKED, end_reason=why)


def promised_acknowledgement(fault: Fault, first_sequence: int) -> Fault:
    return replace(fault, phase=Phase.ACKNOWLEDGING, acknowledgement_from=first_sequence)


def finished(fault: Fault, record: Record | None) -> Fault:
    """At its end, with the acknowledgement, or without one where another fault of the GPU goes on."""
    line = None if record is None else Acknowledgement(record.sequence, record.text)
    return replace(fault, phase=Phase(fault.ends_as), acknowledgement=line)


def rebooted(fault: Fault, at: str) -> Fault:
    """A reboot ends every fault: the ring is empty and the platform takes a new boot id for healthy."""
    return replace(
        fault,
        phase=Phase.REBOOTED,
        ended_at=fault.ended_at or at,
        end_reason="the node rebooted",
        expires_at=None,
    )
