"""The hit records: what the CUDA library in each process of the node says that the armed faults did to it."""

import os
import stat
import struct
import zlib
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

# Twin of cuda_lib/src/hits.h; a test holds the two together.
_MAGIC = b"SRCUDAHI"
_VERSION = 1
_HEAD = struct.Struct("<8sIIQiiiIQQQ40s16s256s96x")
_ENTRY = struct.Struct("<104sIiQQQQQ16s64s")
_ENTRIES = 40
_SIZE = _HEAD.size + _ENTRIES * _ENTRY.size
_CHECKED_FROM = 16
_SUFFIX = ".hits"
_TRIES = 3


@dataclass(frozen=True)
class Hit:
    """What one rule did to one process; times are nanoseconds of CLOCK_BOOTTIME.

    `calls` matched class and GPU, `hits` of them (driver) and `nvml_hits` (NVML) were failed, delayed or blocked.
    `code` is what the last hit answered; `gpu_uuid` and `function` tell the first one.
    """

    fault: str
    part: int
    calls: int
    hits: int
    nvml_hits: int
    first_hit_ns: int
    last_hit_ns: int
    code: int
    gpu_uuid: str | None
    function: str


@dataclass(frozen=True)
class ProcessHits:
    """The record of one process. `pid` and `root_pid` are those of its own pid namespace.

    `owner` is what its pod was labelled with when the library was put in: `namespace/pod/container`, or empty.
    """

    pid: int
    parent_pid: int
    root_pid: int
    pid_namespace: int
    start_ticks: int
    process: str
    owner: str
    boot_id: str
    generation: int
    written_at_ns: int
    hits: tuple[Hit, ...]

    @property
    def came_by_exec(self) -> bool:
        """An exec probe or `kubectl exec`: its oldest ancestor is not the first process of the container."""
        return self.root_pid > 1


@dataclass(frozen=True)
class HitsRead:
    """All records of a directory, and the names of the files that are none."""

    processes: tuple[ProcessHits, ...]
    unreadable: tuple[str, ...]


def prepare_directory(directory: Path) -> None:
    """Make the hits directory; whoever runs in a pod, under whatever user, may add a file and touch no other's."""
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(stat.S_ISVTX | stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO)


def read_hits(directory: Path) -> HitsRead:
    """Every record in `directory`; tenants write there, so nothing but a plain file of the right size is looked at."""
    processes: list[ProcessHits] = []
    unreadable: list[str] = []
    for name in _names(directory):
        try:
            found = _read(directory / name)
        except OSError:
            found = None  # a link, a pipe, or gone since it was listed
        if found is None:
            unreadable.append(name)
        else:
            processes.append(found)
    return HitsRead(tuple(processes), tuple(unreadable))


def forget_hits(directory: Path, keep: Collection[str]) -> int:
    """Delete the records that speak of none of the faults in `keep`; how many went."""
    gone = 0
    for name in _names(directory):
        with suppress(OSError):
            record = _read(directory / name)
            if record is None or not any(hit.fault in keep for hit in record.hits):
                (directory / name).unlink()
                gone += 1
    return gone


def unpack(data: bytes) -> ProcessHits | None:
    """A record, or None if `data` is none or was caught half written."""
    if len(data) != _SIZE:
        return None
    head = _HEAD.unpack_from(data)
    magic, version, checksum, generation, pid, parent, root, count, namespace, ticks, written = head[:11]
    boot_id, process, owner = (_string(field) for field in head[11:])
    if (magic, version) != (_MAGIC, _VERSION) or checksum != zlib.crc32(data[_CHECKED_FROM:]) or count > _ENTRIES:
        return None
    return ProcessHits(
        pid=pid,
        parent_pid=parent,
        root_pid=root,
        pid_namespace=namespace,
        start_ticks=ticks,
        process=process,
        owner=owner,
        boot_id=boot_id,
        generation=generation,
        written_at_ns=written,
        hits=tuple(_entries(data, count)),
    )


def _entries(data: bytes, count: int) -> Iterator[Hit]:
    for index in range(count):
        values = _ENTRY.unpack_from(data, _HEAD.size + index * _ENTRY.size)
        fault, part, code, calls, hits, nvml_hits, first, last, uuid, function = values
        gpu = f"GPU-{UUID(bytes=uuid)}" if any(uuid) else None
        yield Hit(_string(fault), part, calls, hits, nvml_hits, first, last, code, gpu, _string(function))


def _names(directory: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in directory.iterdir() if entry.name.endswith(_SUFFIX))
    except FileNotFoundError:
        return []


def _read(path: Path) -> ProcessHits | None:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        for _ in range(_TRIES):  # its process may be in the middle of writing it again
            record = unpack(os.pread(fd, _SIZE + 1, 0))
            if record is not None:
                return record
        return None
    finally:
        os.close(fd)


def _string(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="replace")
