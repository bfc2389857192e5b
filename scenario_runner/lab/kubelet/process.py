"""One local process that plays a container: a session of its own, remembered on disk until it has ended."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scenario_runner.lab.processes import start_time


@dataclass(frozen=True)
class Command:
    """What to run: `log` gets both outputs, `pid_file` exists as long as the process does."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    log: Path
    pid_file: Path | None = None


class Process:
    """Started on construction; raises OSError if it can not be."""

    def __init__(self, command: Command) -> None:
        self._pid_file = command.pid_file
        with command.log.open("ab", buffering=0) as log:
            self._child = subprocess.Popen(
                command.argv,
                env=dict(command.environment),
                cwd=command.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._child.pid
        if self._pid_file is not None:
            self._pid_file.write_text(f"{self.pid} {start_time(self.pid)}")
        loop = asyncio.get_running_loop()
        self._code: asyncio.Future[int] = loop.create_future()
        self._pidfd = os.pidfd_open(self.pid)
        loop.add_reader(self._pidfd, self._ended)

    async def wait(self) -> int:
        """The exit code as a shell says it: 128 + number for a signal."""
        return await asyncio.shield(self._code)

    def signal(self, number: int) -> None:
        """To the whole group; nothing happens once it has ended."""
        if not self._code.done():
            os.killpg(self.pid, number)

    def _ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        # A container ends with its first process. The group still has its number: the process was not waited for yet.
        os.killpg(self.pid, signal.SIGKILL)
        code = self._child.wait()
        if self._pid_file is not None:
            self._pid_file.unlink(missing_ok=True)
        self._code.set_result(128 - code if code < 0 else code)


def reap_remains(pods: Path) -> list[str]:
    """End the processes that an earlier kubelet left behind, by pid and start time; returns their names."""
    found = []
    for file in sorted(pods.glob("*/*.pid")):
        pid_text, _, started = file.read_text().partition(" ")
        if started and start_time(int(pid_text)) == started:
            os.killpg(int(pid_text), signal.SIGKILL)
            while start_time(int(pid_text)) == started:
                time.sleep(0.005)
            found.append(f"{file.parent.name}/{file.stem}")
        file.unlink()
    return found
