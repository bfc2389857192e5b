"""The node's folder of the CUDA library: the control file that the agent writes and the hits that processes write."""

import fcntl
import os
import threading
from contextlib import suppress
from pathlib import Path

from fault_agent import cuda_control, cuda_hits
from fault_agent.clock import Clock
from fault_agent.cuda_control import Control, ControlUnreadable, Rule
from fault_agent.cuda_rules import nanoseconds

DEFAULT = Path("/run/scenario-runner/cuda")


class CudaFolder:
    """One agent owns it at a time; it is made when it is first needed."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self.control_file = path / "control"
        self.hits = path / "hits"
        self._clock = clock
        self._lock: int | None = None
        self._preparing = threading.Lock()

    def close(self) -> None:
        """Give the folder to another agent."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def why_unusable(self) -> str | None:
        """Why nothing can be armed, in words, or None; an absent folder can be made."""
        if not self.path.exists():
            parent = next(parent for parent in self.path.parents if parent.exists())
            return None if os.access(parent, os.W_OK) else f"{self.path} does not exist and can not be made"
        try:
            self.prepare()
        except OSError as error:
            return f"{self.path} can not be used: {error.strerror or error}"
        return None

    def prepare(self) -> None:
        """Make the folder and take it into possession; raises OSError."""
        with self._preparing:
            if self._lock is not None and self.hits.is_dir():
                return
            self.path.mkdir(parents=True, exist_ok=True)
            self._own()
            cuda_hits.prepare_directory(self.hits)

    def control(self) -> Control | None:
        """The control file as every process sees it, None if it arms nothing; raises OSError."""
        try:
            return cuda_control.read(self.control_file)
        except ControlUnreadable:
            return None

    def boot_id(self) -> str:
        """The boot under which the rules of the control file hold."""
        return self._clock.kernel_boot_id()

    def write(self, rules: tuple[Rule, ...]) -> None:
        """Replace the control file; raises OSError and leaves the old one."""
        self.prepare()
        now = nanoseconds(self._clock.since_boot())
        cuda_control.write(self.control_file, rules, boot_id=self.boot_id(), now_ns=now)

    def disarm_to(self, rules: tuple[Rule, ...]) -> None:
        """Replace the control file by one that arms less; raises OSError.

        On a full disk the old file goes first: to disarm is worth that for a moment nothing at all is armed.
        """
        self.prepare()
        try:
            self.write(rules)
        except OSError:
            with suppress(FileNotFoundError):
                self.control_file.unlink()
            if rules:
                self.write(rules)

    def _own(self) -> None:
        if self._lock is not None:
            return
        fd = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(fd)
            raise OSError(error.errno, "another fault agent owns it") from error
        self._lock = fd
