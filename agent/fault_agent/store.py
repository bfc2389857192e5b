"""Faults on disk: one preallocated file each with two slots, so that a crash or a full disk loses nothing."""

import errno
import fcntl
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from fault_agent.fault import Fault
from fault_agent.refusal import CannotStart

SLOT_BYTES = 4096
SPARES = 8
_SUFFIX = ".fault"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FAULT = TypeAdapter(Fault)


class DiskFull(Exception):
    """There is no room for another fault."""


class Store:
    """The faults of one node in one directory, which one process owns at a time.

    A slot is one line `<crc32> <generation> <json>` padded with blanks; the whole one with the highest
    generation counts. Both slots are filled when the file is made, so a later state never needs new space
    (on file systems that overwrite in place). Spare files do the same for tombstones, which have to be
    written even when the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._generation: dict[str, int] = {}
        self.unreadable: tuple[str, ...] = ()
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _owned(folder)

    def close(self) -> None:
        os.close(self._lock)

    def load(self) -> tuple[Fault, ...]:
        """All faults. A file without any whole slot was never promised and goes away; a damaged one is listed."""
        faults: list[Fault] = []
        damaged: list[str] = []
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            content = path.read_bytes()
            found = _newest(content)
            if found is not None:
                generation, fault = found
                self._generation[fault.fault_id] = generation
                faults.append(fault)
            elif content.strip(b" \n\0"):
                damaged.append(path.name.removesuffix(_SUFFIX))
            else:
                path.unlink()
        self.unreadable = tuple(damaged)
        self._refill_spares()
        return tuple(faults)

    def create(self, fault: Fault) -> None:
        """Make the first state of a fault durable; raises DiskFull, and then nothing is left of it."""
        path = self._path(fault)
        try:
            _allocate(path)
            self._write(path, fault, 0)
            self._sync_folder()
        except OSError as error:
            path.unlink(missing_ok=True)
            raise _as_disk_full(error) from error

    def create_from_spare(self, fault: Fault) -> None:
        """Like `create`, but on space set aside earlier; raises DiskFull when no spare is left."""
        spare = next(iter(sorted(self._folder.glob("spare-*"))), None)
        if spare is None:
            raise DiskFull
        self._write(spare, fault, 0)
        spare.rename(self._path(fault))
        self._sync_folder()
        self._refill_spares()

    def update(self, fault: Fault) -> None:
        """Make a later state durable; needs no new space."""
        self._write(self._path(fault), fault, self._generation[fault.fault_id] + 1)

    def delete(self, fault: Fault) -> None:
        self._path(fault).unlink()
        del self._generation[fault.fault_id]

    def _path(self, fault: Fault) -> Path:
        return self._folder / f"{fault.fault_id.partition('~')[2]}{_SUFFIX}"

    def _write(self, path: Path, fault: Fault, generation: int) -> None:
        with _opened(path, os.O_WRONLY) as fd:
            os.pwrite(fd, _slot(fault, generation), generation % 2 * SLOT_BYTES)
            os.fsync(fd)
        self._generation[fault.fault_id] = generation

    def _sync_folder(self) -> None:
        with _opened(self._folder, os.O_RDONLY | os.O_DIRECTORY) as fd:
            os.fsync(fd)

    def _refill_spares(self) -> None:
        for number in range(SPARES):
            path = self._folder / f"spare-{number}"
            if path.exists() and path.stat().st_size == 2 * SLOT_BYTES:
                continue
            path.unlink(missing_ok=True)
            try:
                _allocate(path)
            except OSError:  # refilled when there is room again
                path.unlink(missing_ok=True)
                return


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    fd = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)


def _owned(folder: Path) -> int:
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise CannotStart(f"Another fault agent owns the state in {folder}.") from error
    return fd


def _allocate(path: Path) -> None:
    with _opened(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as fd:
        blank = b" " * (2 * SLOT_BYTES)
        if os.write(fd, blank) < len(blank):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(fd)


def _slot(fault: Fault, generation: int) -> bytes:
    body = b"%d %s" % (generation, _FAULT.dump_json(fault, exclude_defaults=True))
    line = b"%08x %s" % (zlib.crc32(body), body)
    if len(line) >= SLOT_BYTES:
        raise ValueError(f"the record of {fault.fault_id} has {len(line)} bytes, a slot takes {SLOT_BYTES - 1}")
    return line.ljust(SLOT_BYTES - 1) + b"\n"


def _newest(content: bytes) -> tuple[int, Fault] | None:
    slots = (content[:SLOT_BYTES], content[SLOT_BYTES : 2 * SLOT_BYTES])
    whole = [slot for slot in map(_parsed, slots) if slot is not None]
    return max(whole, key=lambda slot: slot[0], default=None)


def _parsed(slot: bytes) -> tuple[int, Fault] | None:
    checksum, _, body = slot.rstrip().partition(b" ")
    if checksum != b"%08x" % zlib.crc32(body):
        return None
    generation, _, text = body.partition(b" ")
    try:
        return int(generation), _FAULT.validate_json(text)
    except (ValueError, ValidationError):
        return None


def _as_disk_full(error: OSError) -> Exception:
    return DiskFull() if error.errno in _FULL else error
