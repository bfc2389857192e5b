"""Faults in force during a run, and the windows of time that they open."""

from dataclasses import dataclass

FAULT_TTL = 60.0  # seconds that a fault outlives its last renewal; the engine renews every quarter of it


@dataclass(frozen=True)
class GpuSeat:
    """A GPU of a node as its agent knows it, and who holds it."""

    index: int
    uuid: str
    pci: str  # dddd:bb:dd, lower case, no function
    held_by: tuple[str, ...] = ()  # "namespace/pod"


@dataclass(frozen=True)
class KernelRecord:
    """The kernel log record that proves that a fault was written."""

    kernel_log: str  # "real" or "file"
    sequence: int
    text: str


@dataclass(frozen=True)
class FaultRecord:
    """What an agent says about one fault."""

    fault_id: str  # <node>~<name>
    status: str  # active, recovering, recovered, expired, rebooted, failed, blocked, unproven, tombstone
    xid: int
    node: str
    gpu_index: int = -1
    gpu_uuid: str = ""
    pci: str = ""
    injected_at: str = ""  # ISO 8601, UTC
    ended_at: str = ""
    end_reason: str = ""
    evidence: KernelRecord | None = None
    cuda: str = ""  # of a CUDA fault: its profile, or "own rules"

    @property
    def over(self) -> bool:
        """Nothing of it is in force any more and nothing is left to do."""
        return self.status in {"recovered", "expired", "rebooted", "failed", "tombstone"}

    @property
    def ended(self) -> str:
        """What is said about a fault that is over."""
        ends = {"expired": "had expired by itself", "rebooted": "was gone: its node was rebooted"}
        return ends.get(self.status, f"is {self.status}")

    @property
    def standing(self) -> str:
        """Of a fault that is not over, in words: "gpu-1~drill is still blocked (why)"."""
        reason = f" ({self.end_reason})" if self.end_reason else ""
        return f"{self.fault_id} is still {self.status}{reason}"


@dataclass(frozen=True)
class FaultList:
    """Every fault that the agents know, and the nodes whose agent did not answer: a short list is never 'none'."""

    faults: tuple[FaultRecord, ...]
    unreachable: tuple[str, ...]  # "node: reason"


@dataclass(frozen=True)
class Strike:
    """What a fault step does to each of its victims, in words, and the XID that their kernel logs show (0: none)."""

    words: str  # "XID 79"
    xid: int = 0
    target: str = ""  # the declared target with the victims, where the step calls it something else than `target`


@dataclass(frozen=True)
class Fault:
    """One fault that a step of this run injected."""

    fault_id: str
    step_id: str
    xid: int
    node: str
    gpu_index: int
    gpu_uuid: str
    pci: str
    at: float  # seconds on the run's clock when the injection was acknowledged
    expect: str = "observed"  # "written": a kernel line (or being armed) alone is enough
    duration: float | None = None  # seconds after which the agent lets it expire; None: until it is taken back
    cuda: str = ""  # of a CUDA fault: its profile; no line of the kernel's log tells of it

    @property
    def words(self) -> str:
        return f"CUDA fault {self.cuda}" if self.cuda else f"XID {self.xid}"


@dataclass(frozen=True)
class Interval:
    """A stretch of time on the run's clock, in seconds; `end` is None while it is open."""

    start: float
    end: float | None

    def holds(self, at: float) -> bool:
        return self.start <= at and (self.end is None or at < self.end)
