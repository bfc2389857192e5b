"""Requests that were sent: the order for a load, and its samples as columns."""

import threading
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, inf, isnan, nan
from typing import overload

from scenario_runner.core.faults import Interval

LATE = 0.005  # seconds after its schedule before which no start counts as late
MOST_LATE = 0.01  # share of requests that may start late for want of our own CPU
FEW_LATE = 3  # so many may start late however small the load is


@dataclass(frozen=True)
class TlsFiles:
    """Whom a TLS client trusts and who it is; an empty path or name stands for what is usual."""

    authorities: str = ""  # PEM file
    certificate: str = ""  # PEM file
    key: str = ""  # PEM file
    server_name: str = ""


@dataclass(frozen=True)
class LoadOrder:
    """What a load shall send. Times in seconds. Exactly one of `rate` and `every` is given."""

    step_id: str
    url: str  # full URL
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    api: str = "http"  # "http", "chat" or "completions": decides which bodies count as a success
    model: str = ""  # for chat and completions; "auto": the first that /v1/models lists, looked up when the load starts
    stream: bool = False
    expect_status: tuple[int, ...] = ()  # empty: any 2xx
    rate: float | None = None  # requests per second, open loop
    every: float | None = None  # seconds between scheduled starts
    count: int | None = None  # how many; None: no limit
    duration: float | None = None  # seconds of scheduled starts; None: until stopped
    request_timeout: float = 30.0
    max_outstanding: int = 256
    tls: TlsFiles | None = None  # for https; None: the authorities of this machine, no certificate of ours

    @property
    def late_after(self) -> float:
        """
        Seconds after its schedule from which a start counts as late for want of our own CPU.

        Half the time between two starts: closer to its schedule than that, a load still has its rate and its order.
        """
        return max(LATE, self.seconds_between / 2)

    @property
    def seconds_between(self) -> float:
        """From one scheduled start to the next."""
        return self.every if self.every is not None else 1 / (self.rate or 1.0)

    @property
    def planned_starts(self) -> float:
        """How many requests there will be if nobody stops it; infinite without a limit."""
        lasting = inf if self.duration is None else self.duration / self.seconds_between
        return lasting if self.count is None else min(lasting, self.count)


@dataclass(frozen=True)
class Sample:
    """One request that ended. Times are seconds on the run's monotonic clock; `reason` is "" for a success."""

    scheduled: float
    started: float
    ended: float
    first_token: float | None
    status: int  # HTTP status; 0 when there was none
    reason: str
    inter_token: float | None = None  # of a stream with two tokens or more: mean seconds from one token to the next

    @property
    def latency(self) -> float:
        """Seconds from the scheduled start, so that a hung service does not stop the clock."""
        return self.ended - self.scheduled


class Ascending(Sequence[float]):
    """Seconds in ascending order, sorted when first looked at: who only judges a ratio never pays for it."""

    def __init__(self, columns: Sequence["array[float]"]) -> None:
        """Take over columns in which NaN stands for a request that has no such value."""
        self._columns = columns
        self._sorted: tuple[float, ...] | None = None

    def _values(self) -> tuple[float, ...]:
        if self._sorted is None:
            self._sorted = tuple(sorted(value for column in self._columns for value in column if not isnan(value)))
            self._columns = ()
        return self._sorted

    @overload
    def __getitem__(self, at: int) -> float: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[float]: ...
    def __getitem__(self, at: int | slice) -> float | Sequence[float]:
        return self._values()[at]

    def __len__(self) -> int:
        return len(self._values())

    def __iter__(self) -> Iterator[float]:
        return iter(self._values())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._values() == tuple(other)

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        return repr(self._values())


@dataclass(frozen=True)
class Selection:
    """The requests whose scheduled start lies in some windows, in figures."""

    total: int  # requests that ended
    succeeded: int
    pending: int  # scheduled in the windows and not ended yet
    failures: Mapping[str, int]  # reason -> count
    latencies: Sequence[float]  # of successes, seconds, ascending
    first_tokens: Sequence[float]  # of successes, seconds from the scheduled start, ascending
    late: int  # requests (of those that ended) started too late for want of our own CPU
    inter_tokens: Sequence[float] = ()  # of successes, mean seconds between two tokens of one stream, ascending

    @property
    def starved(self) -> bool:
        """Too many requests started late for the figures to be trusted."""
        return starved(self.late, self.total)

    @property
    def ratio(self) -> float | None:
        """Share of successes; None when no request ended."""
        return self.succeeded / self.total if self.total else None


_SUCCEEDED, _PENDING, _FAILED = 0, 1, 2  # states of a row; a failure's state is _FAILED + the number of its reason
_MOST_REASONS = 250  # a state is one byte; a service that answers with ever new texts must not overflow it
_ALL = 100  # per cent
OTHER_REASON = f"another reason (beyond the first {_MOST_REASONS})"


def starved(late: int, starts: float) -> bool:
    """Whether so many requests started late that a load tells more about us than about them; a few prove nothing."""
    return late > max(FEW_LATE, MOST_LATE * starts)


class Samples:
    """
    Samples of one load, kept as columns. Written by one thread, read by any.

    A row is made when a request is due and filled when it ended; rows are in the order of their scheduled starts, so
    that a window is a range of rows.
    """

    def __init__(self, late_after: float | None = None) -> None:
        """`late_after` in seconds, as in LoadOrder; None: LATE."""
        self._late_after = LATE if late_after is None else late_after
        self._lock = threading.Lock()
        self._scheduled = array("d")
        self._states = bytearray()
        self._late = bytearray()
        self._latencies = array("d")  # NaN: no success (yet)
        self._first_tokens = array("d")
        self._inter_tokens = array("d")
        self._reasons: list[str] = []
        self._ended = 0

    def scheduled(self, at: float) -> None:
        """A request is due (and in flight until its sample comes)."""
        with self._lock:
            self._insert(at)

    def add(self, sample: Sample) -> None:
        """A request ended: fills the row with the same scheduled start, or makes one if it was never announced."""
        with self._lock:
            row = self._pending_row(sample.scheduled)
            self._ended += 1
            self._late[row] = sample.started - sample.scheduled > self._late_after
            self._states[row] = self._state(sample.reason)
            if not sample.reason:
                self._latencies[row] = sample.latency
                if sample.first_token is not None:
                    self._first_tokens[row] = sample.first_token - sample.scheduled
                if sample.inter_token is not None:
                    self._inter_tokens[row] = sample.inter_token

    def select(self, windows: Sequence[Interval] | None = None) -> Selection:
        """Requests scheduled in any of the windows (None: all of them); each request counts once."""
        with self._lock:  # only copies of memory in here: the writer must not wait for a count
            rows = self._rows(windows)
            states = b"".join(self._states[start:end] for start, end in rows)
            late = sum(self._late.count(1, start, end) for start, end in rows)
            latencies = [self._latencies[start:end] for start, end in rows]
            first_tokens = [self._first_tokens[start:end] for start, end in rows]
            inter_tokens = [self._inter_tokens[start:end] for start, end in rows]
            reasons = tuple(self._reasons)
        pending = states.count(_PENDING)
        counts = {reason: states.count(_FAILED + number) for number, reason in enumerate(reasons)}
        return Selection(
            total=len(states) - pending,
            succeeded=states.count(_SUCCEEDED),
            pending=pending,
            failures={reason: count for reason, count in counts.items() if count},
            latencies=Ascending(latencies),
            first_tokens=Ascending(first_tokens),
            late=late,
            inter_tokens=Ascending(inter_tokens),
        )

    @property
    def span(self) -> Interval | None:
        """From the first scheduled start to the last; None before there is one."""
        with self._lock:
            return Interval(self._scheduled[0], self._scheduled[-1]) if self._scheduled else None

    def __len__(self) -> int:
        """How many requests ended."""
        return self._ended

    def _insert(self, at: float) -> int:
        """Make a pending row; nearly always the last one, for schedules ascend."""
        row = len(self._scheduled)
        if row and at < self._scheduled[-1]:
            row = bisect_right(self._scheduled, at)
        self._scheduled.insert(row, at)
        self._states.insert(row, _PENDING)
        self._late.insert(row, 0)
        self._latencies.insert(row, nan)
        self._first_tokens.insert(row, nan)
        self._inter_tokens.insert(row, nan)
        return row

    def _pending_row(self, at: float) -> int:
        row = bisect_left(self._scheduled, at)
        while row < len(self._scheduled) and self._scheduled[row] == at:
            if self._states[row] == _PENDING:
                return row
            row += 1
        return self._insert(at)

    def _state(self, reason: str) -> int:
        if not reason:
            return _SUCCEEDED
        if reason not in self._reasons:
            if len(self._reasons) >= _MOST_REASONS:
                reason = OTHER_REASON
            if reason not in self._reasons:
                self._reasons.append(reason)
        return _FAILED + self._reasons.index(reason)

    def _rows(self, windows: Sequence[Interval] | None) -> list[tuple[int, int]]:
        """Ranges of rows that do not overlap."""
        if windows is None:
            return [(0, len(self._scheduled))]
        rows: list[tuple[int, int]] = []
        for start, end in sorted(map(self._range, windows)):
            begin = max(start, rows[-1][1]) if rows else start
            if begin < end:
                rows.append((begin, end))
        return rows

    def _range(self, window: Interval) -> tuple[int, int]:
        end = len(self._scheduled) if window.end is None else bisect_left(self._scheduled, window.end)
        return bisect_left(self._scheduled, window.start), end


def percentile(ascending: Sequence[float], q: float) -> float | None:
    """The exact percentile (nearest rank: the smallest value with at least `q` per cent at or below); None if empty."""
    if not 0 <= q <= _ALL:
        raise ValueError(f"a percentile lies between 0 and 100, not at {q:g}")
    if not ascending:
        return None
    rank = ceil(round(len(ascending) * q, 6) / _ALL)  # rounded: 99.9 per cent of 1000 is 999, whatever floats say
    return ascending[max(rank, 1) - 1]
