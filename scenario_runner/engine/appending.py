"""A file that only grows by whole lines that are on the disk, or does not grow at all."""

import fcntl
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Disk:
    """The calls that can fail on a full or broken disk; tests pass their own."""

    write: Callable[[int, bytes], int] = os.write
    sync: Callable[[int], None] = os.fsync
    truncate: Callable[[int, int], None] = os.ftruncate


class AppendFile:
    """
    A file owned by this process (flock) and opened once.

    `append` raises OSError after it has put the file back to its last good length; when that fails too the file is
    `spoiled` (a sentence) and takes nothing any more.
    """

    def __init__(self, path: Path, disk: Disk) -> None:
        """Raise BlockingIOError when another process owns the file."""
        self._disk = disk
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise
        self._length = os.fstat(self._fd).st_size
        self.spoiled = ""
        sync_folder(path.parent)

    def cut(self, length: int) -> None:
        """Drop everything after `length` bytes."""
        if length != self._length:
            self._disk.truncate(self._fd, length)
            self._disk.sync(self._fd)
            self._length = length

    def append(self, line: bytes) -> None:
        if self.spoiled:
            raise OSError(self.spoiled)
        try:
            os.lseek(self._fd, self._length, os.SEEK_SET)
            rest = line
            while rest:
                rest = rest[self._disk.write(self._fd, rest) :]
            self._disk.sync(self._fd)
        except OSError:
            self._put_back()
            raise
        self._length += len(line)

    def close(self) -> None:
        fd, self._fd = self._fd, -1  # whoever still appends must not hit a file that got the same number
        if fd >= 0:
            os.close(fd)

    def _put_back(self) -> None:
        try:
            self._disk.truncate(self._fd, self._length)
            self._disk.sync(self._fd)
        except OSError as exc:
            self.spoiled = f"a torn line could not be removed: {exc.strerror or exc}"


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
