"""Reads a kernel log record by record, and writes into it: /dev/kmsg, or a file of records in the same format."""

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_RECORD = re.compile(r"(\d+),(\d+),\d+,[^;]*;(.*)")
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")
_USER_FACILITY = 8
_BIGGEST_RECORD = 16384


@dataclass(frozen=True)
class Record:
    """`priority` is facility * 8 + level, `sequence` grows by one within a boot."""

    priority: int
    sequence: int
    text: str


class KernelLog(Protocol):
    """The log of one node. Starts at the oldest record that is left."""

    def read(self) -> list[Record]:
        """The records since the last call, none of them twice; raises OSError."""

    def write(self, level: int, text: str) -> None:
        """Add a record of facility user, as a process on the node would; raises OSError."""

    def rebooted(self) -> bool:
        """The machine has started anew: True if its log has, too, which then will be read from its start."""


def open_kernel_log(name: str) -> KernelLog:
    """`real` is /dev/kmsg, anything else the path of a file. Raises OSError for a /dev/kmsg that can not be read."""
    return DeviceLog(Path("/dev/kmsg")) if name == "real" else FileLog(Path(name))


class DeviceLog:
    """The kernel's ring buffer: one record for each read of the device."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def read(self) -> list[Record]:
        return [record for raw in self._raw() if (record := parse_record(raw)) is not None]

    def _raw(self) -> Iterator[bytes]:
        while True:
            try:
                yield os.read(self._fd, _BIGGEST_RECORD)
            except BlockingIOError:
                return
            except BrokenPipeError:  # overwritten before we came; the next read takes the oldest one left
                continue

    def write(self, level: int, text: str) -> None:
        # No O_CREAT: a missing device must stay missing. The newline makes the record visible to readers at once.
        fd = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, f"<{level}>{text}\n".encode())
        finally:
            os.close(fd)

    def rebooted(self) -> bool:
        """Where several nodes share the ring of one machine, it outlives them."""
        return False


class FileLog:
    """A file with one record a line, appended under flock; a new or emptied file is the log of a new boot."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._inode = 0

    def read(self) -> list[Record]:
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_ino != self._inode or status.st_size < self._offset:
                    self._inode, self._offset = status.st_ino, 0
                file.seek(self._offset)
                content = file.read()
        except FileNotFoundError:
            return []
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [record for line in whole.splitlines() if (record := parse_record(line)) is not None]

    def write(self, level: int, text: str) -> None:
        with _locked(self._path) as fd:
            content = os.pread(fd, os.fstat(fd).st_size, 0)
            end = content.rfind(b"\n") + 1
            last = parse_record(content[:end].rstrip(b"\n").rpartition(b"\n")[2])
            sequence = 0 if last is None else last.sequence + 1
            micros = time.monotonic_ns() // 1000
            os.ftruncate(fd, end)  # half a line is what a writer left that died
            os.pwrite(fd, f"{_USER_FACILITY + level},{sequence},{micros},-;{text}\n".encode(), end)

    def rebooted(self) -> bool:
        self._inode, self._offset = 0, 0
        return True


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield fd
    finally:
        os.close(fd)


def parse_record(raw: bytes) -> Record | None:
    """A raw record; what follows its first newline (a dictionary of the device) is not text. None for anything else."""
    match = _RECORD.fullmatch(raw.split(b"\n", 1)[0].decode("utf-8", "replace"))
    if match is None:
        return None
    text = _ESCAPE.sub(lambda code: chr(int(code.group(1), 16)), match.group(3))
    return Record(int(match.group(1)), int(match.group(2)), text)
