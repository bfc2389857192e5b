"""The node's kernel log: /dev/kmsg, or a file in its format where a lab must not touch the real one."""

import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from fault_agent.clock import Clock
from fault_agent.refusal import Refusal

Kind = Literal["real", "file"]

_USER_FACILITY = 8  # what the kernel makes of any line written by a process
_INTERESTING = (b"NVRM", b"GPU reset executed")
_NUMBERED = re.compile(rb"\d+,(\d+),\d+,")
_RECORD = re.compile(r"\d+,\d+,\d+,[^;]*;(.*)")
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")
_RECORD_BYTES = 16384


@dataclass(frozen=True)
class Record:
    """One record of the log: `sequence` grows by one within a boot, `text` is what was written."""

    sequence: int
    text: str


@dataclass(frozen=True)
class Ring:
    """What the log held at one moment; `records` are only those about GPUs, the numbers count all of them."""

    oldest: int | None
    next_sequence: int
    records: tuple[Record, ...]

    def since(self, sequence: int) -> tuple[Record, ...]:
        return tuple(record for record in self.records if record.sequence >= sequence)

    def reaches_back_to(self, sequence: int) -> bool:
        """True if no record with this or a later number can have been overwritten."""
        return sequence == 0 if self.oldest is None else self.oldest <= sequence


class KernelLog(Protocol):
    @property
    def kind(self) -> Kind: ...

    @property
    def path(self) -> Path: ...

    def why_unusable(self) -> str | None:
        """One sentence if a line can not be written and read back now, else None."""

    def write(self, level: int, text: str) -> None:
        """Write one record; raises OSError, after which the record may or may not be there."""

    def read(self) -> Ring:
        """All there is now; raises OSError."""


class DevKmsg:
    """The kernel's own ring buffer."""

    kind: Kind = "real"

    def __init__(self, path: Path) -> None:
        self.path = path

    def why_unusable(self) -> str | None:
        for flag, verb in ((os.O_WRONLY, "written"), (os.O_RDONLY | os.O_NONBLOCK, "read")):
            try:
                with _opened(self.path, flag) as fd:
                    if not stat.S_ISCHR(os.fstat(fd).st_mode):
                        return f"{self.path} is not a device, so no kernel log stands behind it"
            except OSError as error:
                return f"{self.path} can not be {verb}: {error.strerror}"
        return None

    def write(self, level: int, text: str) -> None:
        # A file descriptor of its own per line: the kernel drops lines silently beyond 10 per 5 s and descriptor.
        # Without O_CREAT, as a missing device must not become a file; the newline closes the record for readers.
        with _opened(self.path, os.O_WRONLY) as fd:
            os.write(fd, f"<{level}>{text}\n".encode())

    def read(self) -> Ring:
        with _opened(self.path, os.O_RDONLY | os.O_NONBLOCK) as fd:
            return _ring(_device_records(fd))


class FileKernelLog:
    """A file with one record a line, as a read of /dev/kmsg would give it; several processes may append."""

    kind: Kind = "file"

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock

    def why_unusable(self) -> str | None:
        try:
            with _opened(self.path, os.O_RDWR | os.O_CREAT):
                return None
        except OSError as error:
            return f"{self.path} can not be written: {error.strerror}"

    def write(self, level: int, text: str) -> None:
        with _opened(self.path, os.O_RDWR | os.O_CREAT) as fd:
            fcntl.flock(fd, fcntl.LOCK_EX)
            kept, sequence = _end_of(fd)
            os.ftruncate(fd, kept)  # a torn last line is the trace of a writer that died
            micros = int(self._clock.since_boot() * 1e6)
            line = f"{_USER_FACILITY + level},{sequence},{micros},-;{text}\n".encode()
            try:
                written = os.pwrite(fd, line, kept)
            except OSError:
                os.ftruncate(fd, kept)
                raise
            if written < len(line):
                os.ftruncate(fd, kept)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def read(self) -> Ring:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            content = b""
        return _ring(content.split(b"\n")[:-1])


def usable_ring(log: KernelLog, node: str) -> Ring:
    """What the log holds; raises Refusal 503 if it can not be written and read back."""
    why = log.why_unusable()
    if why is not None:
        raise Refusal(503, "kernel_log_not_writable", f"{why}.", node)
    return log.read()


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    fd = os.open(path, flags | os.O_CLOEXEC, 0o644)
    try:
        yield fd
    finally:
        os.close(fd)


def _device_records(fd: int) -> Iterator[bytes]:
    while True:
        try:
            yield os.read(fd, _RECORD_BYTES)
        except BlockingIOError:
            return
        except BrokenPipeError:  # overwritten while we read: the next read goes on with the oldest one left
            continue


def _ring(lines: Iterable[bytes]) -> Ring:
    oldest: int | None = None
    newest = -1
    records: list[Record] = []
    for line in lines:
        numbered = _NUMBERED.match(line)
        if numbered is None:
            continue
        newest = int(numbered.group(1))
        oldest = newest if oldest is None else oldest
        if any(word in line for word in _INTERESTING):
            records.append(Record(newest, _text_of(line)))
    return Ring(oldest, newest + 1, tuple(records))


def _text_of(line: bytes) -> str:
    """The text of a raw record: up to the first newline (a dictionary may follow), escapes of the kernel undone."""
    head = line.split(b"\n", 1)[0].decode("utf-8", "replace")
    match = _RECORD.fullmatch(head)
    text = match.group(1) if match else head
    return _ESCAPED.sub(lambda code: chr(int(code.group(1), 16)), text)


def _end_of(fd: int) -> tuple[int, int]:
    """Where the last whole line ends, and the number of the next record."""
    size = os.fstat(fd).st_size
    start = max(0, size - 8192)
    tail = os.pread(fd, size - start, start)
    end = tail.rfind(b"\n") + 1
    numbers = [int(found.group(1)) for line in tail[:end].split(b"\n") if (found := _NUMBERED.match(line))]
    return start + end, numbers[-1] + 1 if numbers else 0
