"""Who asked for what and what came of it: one JSON line each, on stdout and in a bounded file."""

import json
import os
import select
import sys
from pathlib import Path
from typing import TextIO

from fault_agent.clock import Clock, stamp

MAX_BYTES = 512 * 1024


class Audit:
    """Two files of at most half a mebibyte, the older one replaced in turn; an audit never stops a request."""

    def __init__(self, clock: Clock, folder: Path, stream: TextIO | None = None) -> None:
        self._clock = clock
        self._path = folder / "audit.ndjson"
        self._older = folder / "audit.1.ndjson"
        self._stream = stream or sys.stdout
        self.lost = 0

    def note(self, action: str, fault_id: str | None, result: str) -> None:
        line = json.dumps(
            {"at": stamp(self._clock.wall()), "action": action, "fault_id": fault_id, "result": result[:500]}
        )
        self._tell(line)
        self._keep(line)

    def _tell(self, line: str) -> None:
        """Write to stdout unless nobody reads it: a full pipe must not hang the agent."""
        try:
            fd = self._stream.fileno()
            if select.select([], [fd], [], 0)[1]:
                os.write(fd, line.encode() + b"\n")
            else:
                self.lost += 1
        except (OSError, ValueError):  # stdout is closed
            self.lost += 1

    def _keep(self, line: str) -> None:
        try:
            if self._path.exists() and self._path.stat().st_size > MAX_BYTES:
                self._path.replace(self._older)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError:  # the disk is full: taking faults back goes on without a note of it here
            self.lost += 1
