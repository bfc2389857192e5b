"""
The undo journal: what must be taken back, on the disk before it is done.

Signatures: `Journal.own(path, run, undos)` (needs the flock), `promise`, `mark`, `outstanding`, `close`;
`records.replay(path, undos)` reads any journal and never writes.
"""

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from scenario_runner.core.step import Undo
from scenario_runner.engine.appending import AppendFile, Disk
from scenario_runner.engine.records import Promise, encode, promise_body, replay
from scenario_runner.engine.versions import version
from scenario_runner.errors import Refused, StepBroken


class Journal:
    """The journal of one run, owned by this process until it is closed. Safe for several threads."""

    def __init__(self, run: str, file: AppendFile, promises: Mapping[int, Promise], bad: tuple[str, ...]) -> None:
        self.run = run
        self.bad = bad
        self._file = file
        self._promises = dict(promises)
        self._lock = threading.RLock()
        self._notes: list[str] = []

    @classmethod
    def own(cls, path: Path, run: str, undos: Mapping[str, type[Undo]], disk: Disk | None = None) -> "Journal":
        """Open (or go on with) a journal; a torn last line is cut off. Raise Refused when another process owns it."""
        try:
            file = AppendFile(path, disk or Disk())
        except BlockingIOError:
            raise Refused(f"run {run} is still running: another process owns {path}") from None
        past = replay(path, undos)
        file.cut(past.good_bytes)
        return cls(run, file, past.promises, past.bad)

    @property
    def promises(self) -> tuple[Promise, ...]:
        """All promises, oldest first."""
        with self._lock:
            return tuple(self._promises.values())

    @property
    def outstanding(self) -> tuple[Promise, ...]:
        """Open promises, newest first."""
        return tuple(one for one in reversed(self.promises) if one.open)

    @property
    def notes(self) -> tuple[str, ...]:
        """What could not be written down, and lines that could not be read."""
        return (*self.bad, *self._notes)

    def promise(self, undo: Undo, step_id: str = "", scope: tuple[str, ...] = ()) -> Promise:
        """Return once the promise is on the disk; raise StepBroken when it cannot be put there: change nothing then."""
        with self._lock:
            seq = max(self._promises, default=0) + 1
            made = Promise(seq, step_id, scope, undo, undo.undo, version())
            try:
                self._file.append(encode(self.run, seq, "promise", promise_body(made)))
            except OSError as exc:
                raise StepBroken(
                    f"nothing was changed: the undo journal cannot take the promise: {exc.strerror or exc}"
                ) from exc
            self._promises[seq] = made
            return made

    def mark(self, seq: int, kind: str, detail: str = "") -> None:
        """Say what became of a promise: done, unknown, kept, left, withdrawn. On a full disk it is kept in memory."""
        with self._lock:
            self._promises[seq] = replace(self._promises[seq], state=kind, detail=detail)
            try:
                self._file.append(encode(self.run, seq, kind, {"detail": detail} if detail else {}))
            except OSError as exc:
                self._notes.append(f"the undo journal does not say that promise {seq} is {kind}: {exc.strerror or exc}")

    def close(self) -> None:
        """Let go of the journal; its open promises stay for `recover`."""
        self._file.close()
