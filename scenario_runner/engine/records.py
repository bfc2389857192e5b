"""The lines of the undo journal: how a record is written, and what a whole journal says. Nothing here writes."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from scenario_runner.core.step import Undo

FORMAT = 1  # "v" of every record
KINDS = ("promise", "done", "unknown", "kept", "left", "withdrawn")


@dataclass(frozen=True)
class Promise:
    """One promise of a journal and how far it got. `undo` is None when this version cannot carry it out."""

    seq: int
    step_id: str
    scope: tuple[str, ...]
    undo: Undo | None
    kind: str  # of the undo, as written
    version: str  # of the program that wrote it
    state: str = "promise"  # kind of the newest record about it
    detail: str = ""

    @property
    def open(self) -> bool:
        """Something may be left of the change: `left` is open too, the next recovery tries again."""
        return self.state not in {"kept", "withdrawn"}

    def subject(self) -> str:
        return self.undo.subject() if self.undo else f"undo of kind {self.kind!r}"


@dataclass(frozen=True)
class Replay:
    """What a journal says: its promises in order, lines that could not be read, and where its good part ends."""

    run: str
    promises: Mapping[int, Promise]
    bad: tuple[str, ...]
    good_bytes: int

    @property
    def outstanding(self) -> tuple[Promise, ...]:
        """Open promises, newest first."""
        return tuple(sorted((one for one in self.promises.values() if one.open), key=lambda one: -one.seq))


def encode(run: str, seq: int, kind: str, body: Mapping[str, Any]) -> bytes:
    return sealed({"v": FORMAT, "run": run, "seq": seq, "kind": kind, **body})


def promise_body(promise: Promise) -> dict[str, Any]:
    """What the record of a promise says beside its number."""
    body = {} if promise.undo is None else promise.undo.model_dump(mode="json")
    return {"step": promise.step_id, "scope": list(promise.scope), "version": promise.version, "undo": body}


def sealed(record: Mapping[str, Any]) -> bytes:
    """A line that tells whether it was harmed."""
    return json.dumps({**record, "crc": _crc(record)}, separators=(",", ":")).encode() + b"\n"


def unsealed(line: bytes) -> dict[str, Any]:
    """Raise ValueError with a sentence when the line is not whole and unharmed."""
    try:
        record = json.loads(line)
    except ValueError:
        raise ValueError("it is not JSON") from None
    if not isinstance(record, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004 - one kind of error for every kind of damage
    if record.pop("crc", None) != _crc(record):
        raise ValueError("its checksum does not match")
    return record


def decode(line: bytes) -> dict[str, Any]:
    """Raise ValueError with a sentence when the line is not a whole, unharmed record of a journal."""
    record = unsealed(line)
    if record.get("v") != FORMAT:
        raise ValueError(f"it is of format {record.get('v')}, this version reads format {FORMAT}")
    if record.get("kind") not in KINDS or not isinstance(record.get("seq"), int):
        raise ValueError("it has no kind or no number that this version knows")
    return record


def replay(path: Path, undos: Mapping[str, type[Undo]]) -> Replay:
    """
    Read a journal. A torn last line is a crash before the change and is passed over; a bad line inside is reported.

    A number that is missing among the promises belonged to a line that cannot be read: it is listed, never forgotten.
    """
    return replay_lines(path.read_bytes(), undos)


def replay_lines(text: bytes, undos: Mapping[str, type[Undo]]) -> Replay:
    """The same for lines that are no file."""
    whole, newline, _torn = text.rpartition(b"\n")
    reading = _Reading(undos)
    for number, line in enumerate(whole.split(b"\n") if newline else (), start=1):
        reading.take(number, line)
    return reading.result(len(whole) + len(newline))


def _crc(record: Mapping[str, Any]) -> str:
    return f"{zlib.crc32(json.dumps(record, sort_keys=True, separators=(',', ':')).encode()):08x}"


@dataclass
class _Reading:
    undos: Mapping[str, type[Undo]]
    run: str = ""
    promises: dict[int, Promise] = field(default_factory=dict)
    bad: list[str] = field(default_factory=list)

    def take(self, number: int, line: bytes) -> None:
        try:
            record = decode(line)
        except ValueError as exc:
            self.bad.append(f"line {number} of the journal cannot be read: {exc}")
            return
        self.run = str(record.get("run", ""))
        self._apply(record)

    def _apply(self, record: Mapping[str, Any]) -> None:
        seq = record["seq"]
        before = self.promises.get(seq)
        if record["kind"] != "promise":
            before = before or _unreadable(seq)
            self.promises[seq] = replace(before, state=record["kind"], detail=str(record.get("detail", "")))
        elif before is None or before.kind == "?":
            promise = self._promise(seq, record)
            self.promises[seq] = promise if before is None else replace(promise, state=before.state)

    def _promise(self, seq: int, record: Mapping[str, Any]) -> Promise:
        body = record.get("undo") or {}
        kind = str(body.get("undo", "?"))
        scope = tuple(map(str, record.get("scope", ())))
        undo, detail = _revive(kind, body, self.undos)
        return Promise(
            seq, str(record.get("step", "")), scope, undo, kind, str(record.get("version", "")), detail=detail
        )

    def result(self, good_bytes: int) -> Replay:
        for seq in range(1, max(self.promises, default=0)):
            self.promises.setdefault(seq, _unreadable(seq))
        return Replay(self.run, dict(sorted(self.promises.items())), tuple(self.bad), good_bytes)


def _revive(kind: str, body: Mapping[str, Any], undos: Mapping[str, type[Undo]]) -> tuple[Undo | None, str]:
    if kind not in undos:
        return None, f"this version knows no undo of kind {kind!r}"
    try:
        return undos[kind].model_validate(body), ""
    except ValidationError as exc:
        problem = exc.errors()[0]
        return None, f"its undo cannot be read: {'.'.join(map(str, problem['loc']))}: {problem['msg']}"


def _unreadable(seq: int) -> Promise:
    return Promise(seq, "", (), None, "?", "", detail="the line of its promise cannot be read")
