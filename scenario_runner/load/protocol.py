"""
What the load worker and its parent say to each other.

To the worker, on its stdin: one line of JSON, the order (`encode_order`); later the line `stop`: start no more
requests. The end of stdin means: end at once.

From the worker, on its stdout: records of RECORD.size bytes each, little-endian, without padding:

    u8   kind           which record it is
    u8   flags          bit 0: first_token is given, bit 1: inter_token is given
    u16  status         HTTP status, 0: none
    u16  reason         number of the reason, 0: a success
    u16  length         bytes of text that follow the record
    f64  scheduled      seconds on the machine's clock that never jumps, like the next three
    f64  started
    f64  ended
    f64  first_token
    f64  inter_token    seconds

    1 DUE      a request was due at `scheduled` and was started at `started`
    2 ENDED    it ended: everything but `length`
    3 REASON   `reason` means the text, from now on
    4 TROUBLE  the text is a sentence that says why the load can not be trusted
    5 ALIVE    nothing; once a second, so that silence is noticed
    6 LAST     all requests have ended, or the parent went; the text is JSON, the worker's statistics of itself

A text is UTF-8, padded with zeros to a whole number of records, so that records stay aligned.
"""

import json
import struct
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from scenario_runner.core.samples import OTHER_REASON, LoadOrder, Sample, TlsFiles

RECORD = struct.Struct("<BBHHHddddd")
DUE, ENDED, REASON, TROUBLE, ALIVE, LAST = range(1, 7)
STOP = b"stop\n"
_HAS_FIRST_TOKEN, _HAS_INTER_TOKEN = 1, 2
_LONGEST_TEXT = 2**16 - RECORD.size
_NO_TIMES = (0.0,) * 5
_MOST_REASONS = 1000  # that one worker tells apart; its samples keep fewer


@dataclass(frozen=True)
class Statistics:
    """What the worker knows of its own work."""

    due: int = 0  # requests that were due (and started, or refused as too many)
    late: int = 0  # of these, started too late for want of our own CPU
    worst: float = 0.0  # seconds after its schedule that the latest one started
    cpu: float = 0.0  # seconds of CPU that the worker used
    connections: int = 0  # that were opened
    resent: int = 0  # requests that were sent once more because an idle connection had ended
    abandoned: int = 0  # requests in flight when the parent ended it


@dataclass(frozen=True)
class Due:
    """A request was due and was started."""

    scheduled: float
    started: float


@dataclass(frozen=True)
class Trouble:
    """Why the load can not be trusted."""

    text: str


@dataclass(frozen=True)
class Alive:
    """The worker runs."""


Message = Due | Sample | Trouble | Alive | Statistics


def encode_order(order: LoadOrder) -> bytes:
    """One line."""
    document = asdict(order) | {"body": b64encode(order.body).decode(), "headers": dict(order.headers)}
    return json.dumps(document).encode() + b"\n"


def decode_order(line: bytes) -> LoadOrder:
    """Raise ValueError with a sentence if it is none."""
    try:
        document = dict(json.loads(line))
        document["body"] = b64decode(document.get("body", ""), validate=True)
        document["expect_status"] = tuple(document.get("expect_status", ()))
        document["tls"] = TlsFiles(**document["tls"]) if document.get("tls") else None
        return LoadOrder(**document)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the line is not an order: {error}") from error


class Encoder:
    """Makes records and announces each reason before its first use."""

    def __init__(self) -> None:
        self._reasons: dict[str, int] = {"": 0}

    def due(self, scheduled: float, started: float) -> bytes:
        return RECORD.pack(DUE, 0, 0, 0, 0, scheduled, started, 0.0, 0.0, 0.0)

    def ended(self, sample: Sample) -> bytes:
        announcement = b""
        reason = sample.reason
        if reason not in self._reasons and len(self._reasons) > _MOST_REASONS:
            reason = OTHER_REASON
        if reason not in self._reasons:
            self._reasons[reason] = len(self._reasons)
            announcement = _with_text(REASON, reason, self._reasons[reason])
        first, between = sample.first_token, sample.inter_token
        return announcement + RECORD.pack(
            ENDED,
            (_HAS_FIRST_TOKEN if first is not None else 0) | (_HAS_INTER_TOKEN if between is not None else 0),
            sample.status,
            self._reasons[reason],
            0,
            sample.scheduled,
            sample.started,
            sample.ended,
            first or 0.0,
            between or 0.0,
        )

    def trouble(self, text: str) -> bytes:
        return _with_text(TROUBLE, text)

    def alive(self) -> bytes:
        return _with_text(ALIVE, "")

    def last(self, statistics: Statistics) -> bytes:
        return _with_text(LAST, json.dumps(asdict(statistics)))


def _with_text(kind: int, text: str, reason: int = 0) -> bytes:
    data = text.encode(errors="replace")[:_LONGEST_TEXT]
    padding = -len(data) % RECORD.size
    return RECORD.pack(kind, 0, 0, reason, len(data), *_NO_TIMES) + data + bytes(padding)


class Decoder:
    """Reads records from pieces of any size."""

    def __init__(self) -> None:
        self._rest = b""
        self._reasons: dict[int, str] = {0: ""}

    def feed(self, piece: bytes) -> list[Message]:
        """The messages that are complete now. Raise ValueError for a record that the protocol does not know."""
        data = self._rest + piece
        messages: list[Message] = []
        at = 0
        while len(data) - at >= RECORD.size:
            kind, flags, status, reason, length, *times = RECORD.unpack_from(data, at)
            after = at + RECORD.size + length + -length % RECORD.size
            if after > len(data):
                break
            text = data[at + RECORD.size : at + RECORD.size + length].decode(errors="replace") if length else ""
            at = after
            if kind == ENDED:
                messages.append(_sample(flags, status, self._reasons[reason], times))
            elif kind == DUE:
                messages.append(Due(times[0], times[1]))
            elif kind == REASON:
                self._reasons[reason] = text
            else:
                messages.append(_rare(kind, text))
        self._rest = data[at:]
        return messages


def _sample(flags: int, status: int, reason: str, times: Sequence[float]) -> Sample:
    scheduled, started, ended, first, between = times
    token = first if flags & _HAS_FIRST_TOKEN else None
    return Sample(scheduled, started, ended, token, status, reason, between if flags & _HAS_INTER_TOKEN else None)


def _rare(kind: int, text: str) -> Message:
    if kind == TROUBLE:
        return Trouble(text)
    if kind == ALIVE:
        return Alive()
    if kind == LAST:
        return Statistics(**json.loads(text))
    raise ValueError(f"record of unknown kind {kind}")
