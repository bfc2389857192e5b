"""The control file: what the agent tells the CUDA library in every process of the node."""

import os
import stat
import struct
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from pathlib import Path
from uuid import UUID

# Twin of cuda_lib/src/control.h; a test holds the two together.
_MAGIC = b"SRCUDACT"
_VERSION = 2
_HEAD = struct.Struct("<8sIIQII40sQ176x")
_RULE = struct.Struct("<104s16s16sIHHiIIHBBiiI4xQQQQQQQQ")
_SIZE = 4096
_CHECKED_FROM = 16
MAX_RULES = 16

_MILLION = 1_000_000


class CallClass(IntFlag):
    """Kinds of driver calls; a rule names them as a set."""

    INIT = 1 << 1
    QUERY = 1 << 2
    CONTEXT = 1 << 3
    ALLOC = 1 << 4
    FREE = 1 << 5
    COPY = 1 << 6
    LAUNCH = 1 << 7
    SYNC = 1 << 8
    STREAM = 1 << 9
    MODULE = 1 << 10
    PEER = 1 << 11
    OTHER = 1 << 12
    NVML = 1 << 13
    NVLINK = 1 << 15


class Mode(IntEnum):
    """What a rule does to a call that matches; the meaning of each stands in cuda_lib/src/control.h."""

    FAIL = 1
    STICKY = 2
    ASYNC = 3
    DELAY = 4
    HANG = 5
    OOM = 6


@dataclass(frozen=True)
class GpuUuid:
    """A GPU by its UUID, `GPU-0a1b2c3d-...` or `MIG-...`."""

    text: str

    def bytes(self) -> bytes:
        return UUID(self.text.partition("-")[2]).bytes


@dataclass(frozen=True)
class GpuPci:
    """A GPU by its PCI address."""

    domain: int
    bus: int
    device: int


@dataclass(frozen=True)
class GpuOrdinal:
    """A GPU as the process itself numbers it, which is not the number that nvidia-smi shows."""

    number: int


GpuMatch = GpuUuid | GpuPci | GpuOrdinal | None


@dataclass(frozen=True)
class Rule:
    """One armed rule. Times are nanoseconds of CLOCK_BOOTTIME; 0 stands for "no limit" but in `expires_at_ns`.

    `(fault, part)` is the rule's identity: written again with another expiry it goes on counting where it was.
    """

    fault: str
    mode: Mode
    classes: CallClass
    expires_at_ns: int
    code: int = 0
    nvml_code: int = 0
    part: int = 0
    gpu: GpuMatch = None
    sticky_for_process: bool = False
    not_before_ns: int = 0
    after_calls: int = 0
    probability: float = 1.0
    max_hits: int = 0
    min_bytes: int = 0
    delay_ns: int = 0
    free_bytes: int = 0
    process: str = ""
    started_before_ns: int = 0


@dataclass(frozen=True)
class Control:
    """The content of a control file."""

    generation: int
    boot_id: str
    written_at_ns: int
    rules: tuple[Rule, ...]


class ControlUnreadable(Exception):
    """A control file that is not one; the message is one sentence."""


def pack(control: Control) -> bytes:
    """The bytes of a control file; raises ValueError where a value does not fit."""
    if len(control.rules) > MAX_RULES:
        raise ValueError(f"{len(control.rules)} rules are armed at once, the CUDA library knows at most {MAX_RULES}.")
    head = _HEAD.pack(
        _MAGIC,
        _VERSION,
        0,
        control.generation,
        len(control.rules),
        0,
        _text(control.boot_id, 39, "boot id"),
        control.written_at_ns,
    )
    body = head + b"".join(_pack_rule(rule) for rule in control.rules)
    page = body.ljust(_SIZE, b"\0")
    checksum = zlib.crc32(page[_CHECKED_FROM:]).to_bytes(4, "little")
    return page[:12] + checksum + page[_CHECKED_FROM:]


def unpack(page: bytes) -> Control:
    """The content of a control file; raises ControlUnreadable."""
    if len(page) != _SIZE:
        raise ControlUnreadable(f"A control file has {_SIZE} bytes, this one has {len(page)}.")
    magic, version, checksum, generation, count, _, boot_id, written = _HEAD.unpack_from(page)
    if (magic, version) != (_MAGIC, _VERSION):
        raise ControlUnreadable("This is not a control file of this version.")
    if checksum != zlib.crc32(page[_CHECKED_FROM:]) or count > MAX_RULES:
        raise ControlUnreadable("The checksum of the control file is wrong.")
    offsets = range(_HEAD.size, _HEAD.size + count * _RULE.size, _RULE.size)
    rules = tuple(_unpack_rule(page, offset) for offset in offsets)
    return Control(generation, _string(boot_id), written, rules)


def read(path: Path) -> Control | None:
    """The control file at `path`, None if there is none; raises ControlUnreadable."""
    try:
        return unpack(path.read_bytes())
    except FileNotFoundError:
        return None


def write(path: Path, rules: Iterable[Rule], *, boot_id: str, now_ns: int) -> Control:
    """Replace the control file at once, so that no reader sees half of it; raises ValueError and OSError."""
    control = Control(_next_generation(path), boot_id, now_ns, tuple(rules))
    temporary = path.with_name(f".{path.name}.new")
    with suppress(FileNotFoundError):
        temporary.unlink()  # left by a writer that was killed
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    page = pack(control)
    with os.fdopen(os.open(temporary, flags, 0o644), "wb") as file:
        os.fchmod(file.fileno(), stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IROTH)  # whatever the umask
        file.write(page)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return control


def _next_generation(path: Path) -> int:
    try:
        before = read(path)
    except ControlUnreadable:
        return 1
    return 1 if before is None else before.generation + 1


def _pack_rule(rule: Rule) -> bytes:
    if rule.expires_at_ns <= 0:
        raise ValueError(f"Rule {rule.fault} has no expiry, it would outlive a dead agent.")
    kind, uuid, pci, ordinal = _packed_gpu(rule.gpu)
    return _RULE.pack(
        _text(rule.fault, 103, "name of the fault"),
        _text(rule.process, 15, "process name"),
        uuid,
        pci.domain,
        pci.bus,
        pci.device,
        ordinal,
        rule.part,
        rule.classes,
        rule.mode,
        kind,
        rule.sticky_for_process,
        rule.code,
        rule.nvml_code,
        _parts_per_million(rule),
        rule.expires_at_ns,
        rule.not_before_ns,
        rule.after_calls,
        rule.max_hits,
        rule.min_bytes,
        rule.delay_ns,
        rule.free_bytes,
        rule.started_before_ns,
    )


def _parts_per_million(rule: Rule) -> int:
    parts = round(rule.probability * _MILLION)
    if not 1 <= parts <= _MILLION:
        raise ValueError(f"The probability of rule {rule.fault} is {rule.probability:g}, it must be in 0.000001..1.")
    return parts


def _packed_gpu(gpu: GpuMatch) -> tuple[int, bytes, GpuPci, int]:
    nowhere = GpuPci(0, 0, 0)
    match gpu:
        case None:
            return 0, b"", nowhere, 0
        case GpuUuid():
            return 1, gpu.bytes(), nowhere, 0
        case GpuPci():
            return 2, b"", gpu, 0
        case GpuOrdinal():
            return 3, b"", nowhere, gpu.number


def _unpack_rule(page: bytes, offset: int) -> Rule:
    values = _RULE.unpack_from(page, offset)
    fault, process, uuid, domain, bus, device, ordinal, part, classes, mode, kind, scope, code, nvml, ppm = values[:15]
    gpus: tuple[GpuMatch, ...] = (
        None,
        GpuUuid(f"GPU-{UUID(bytes=uuid)}"),
        GpuPci(domain, bus, device),
        GpuOrdinal(ordinal),
    )
    expires, not_before, after, most, least_bytes, delay, free, started_before = values[15:]
    return Rule(
        fault=_string(fault),
        mode=Mode(mode),
        classes=CallClass(classes),
        expires_at_ns=expires,
        code=code,
        nvml_code=nvml,
        part=part,
        gpu=gpus[kind],
        sticky_for_process=bool(scope),
        not_before_ns=not_before,
        after_calls=after,
        probability=ppm / _MILLION,
        max_hits=most,
        min_bytes=least_bytes,
        delay_ns=delay,
        free_bytes=free,
        process=_string(process),
        started_before_ns=started_before,
    )


def _text(text: str, longest: int, what: str) -> bytes:
    data = text.encode()
    if len(data) > longest or b"\0" in data:
        raise ValueError(f"The {what} {text!r} is longer than {longest} bytes or holds a NUL.")
    return data


def _string(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="replace")
