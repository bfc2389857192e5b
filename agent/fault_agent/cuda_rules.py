"""Rules of CUDA faults as callers write them and as they are kept on disk, and what they become in the control file."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from fault_agent.cuda_control import CallClass, GpuMatch, GpuPci, GpuUuid, Mode, Rule
from fault_agent.inventory import Gpu

ClassName = Literal[
    "init",
    "query",
    "context",
    "alloc",
    "free",
    "copy",
    "launch",
    "sync",
    "stream",
    "module",
    "peer",
    "other",
    "nvml",
    "nvlink",
]
ModeName = Literal["fail", "sticky", "async", "delay", "hang", "oom"]
Scope = Literal["device", "process"]

_NANO = 1_000_000_000


@dataclass(frozen=True)
class CudaRule:
    """What is done to which calls; times in seconds, `not_before` counts from arming, 0 = no limit.

    `classes` are the bits of CallClass, which take little room on disk. `running_only` spares processes that start
    CUDA when the rule has begun: a container that is started again is healthy.
    """

    classes: int
    mode: ModeName
    code: int = 0
    nvml_code: int = 0
    scope: Scope = "device"
    after_calls: int = 0
    not_before: float = 0.0
    probability: float = 1.0
    max_hits: int = 0
    min_bytes: int = 0
    delay: float = 0.0
    free_bytes: int = 0
    process: str = ""
    running_only: bool = False


@dataclass(frozen=True)
class ControlProof:
    """The control file that was read back with the rules in it."""

    path: str
    generation: int
    boot_id: str


@dataclass(frozen=True)
class CudaPart:
    """What a fault of the kind `cuda` has beside what every fault has; `armed_at` in seconds since boot."""

    profile: str | None
    rules: tuple[CudaRule, ...]
    armed_at: float
    control: ControlProof | None = None


def class_bits(names: tuple[ClassName, ...]) -> int:
    return int(sum({CallClass[name.upper()] for name in names}))


def class_names(bits: int) -> tuple[ClassName, ...]:
    """In the order of the control file."""
    known: tuple[ClassName, ...] = ClassName.__args__  # type: ignore[attr-defined]
    return tuple(name for name in known if bits & CallClass[name.upper()])


def nanoseconds(seconds: float) -> int:
    return round(seconds * _NANO)


def armed_rules(name: str, part: CudaPart, gpu: Gpu | None, ends: float) -> tuple[Rule, ...]:
    """The rules of one fault for the control file; `name` is the fault's, `ends` in seconds since boot."""
    where = None if gpu is None else gpu_match(gpu)
    return tuple(_armed(name, number, rule, where, part.armed_at, ends) for number, rule in enumerate(part.rules))


def gpu_match(gpu: Gpu) -> GpuMatch:
    """By UUID, or by PCI address where the UUID is none (as of a GPU that the driver could not ask)."""
    try:
        UUID(gpu.uuid.partition("-")[2])
    except ValueError:
        domain, bus, device = (int(part, 16) for part in gpu.pci.split(":"))
        return GpuPci(domain, bus, device)
    return GpuUuid(gpu.uuid)


def _armed(name: str, number: int, rule: CudaRule, where: GpuMatch, armed_at: float, ends: float) -> Rule:
    begins = nanoseconds(armed_at + rule.not_before)
    return Rule(
        fault=name,
        mode=Mode[rule.mode.upper()],
        classes=CallClass(rule.classes),
        expires_at_ns=nanoseconds(ends),
        code=rule.code,
        nvml_code=rule.nvml_code,
        part=number,
        gpu=where,
        sticky_for_process=rule.scope == "process",
        not_before_ns=begins if rule.not_before else 0,
        after_calls=rule.after_calls,
        probability=rule.probability,
        max_hits=rule.max_hits,
        min_bytes=rule.min_bytes,
        delay_ns=nanoseconds(rule.delay),
        free_bytes=rule.free_bytes,
        process=rule.process,
        started_before_ns=begins if rule.running_only else 0,
    )
