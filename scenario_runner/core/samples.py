"""Requests that were sent: the order for a load, and its samples as columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scenario_runner.core.faults import Interval


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


@dataclass(frozen=True)
class Sample:
    """One request that ended. Times are seconds on the run's monotonic clock; `reason` is "" for a success."""

    scheduled: float
    started: float
    ended: float
    first_token: float | None
    status: int  # HTTP status; 0 when there was none
    reason: str

    @property
    def latency(self) -> float:
        """Seconds from the scheduled start, so that a hung service does not stop the clock."""
        return self.ended - self.scheduled


@dataclass(frozen=True)
class Selection:
    """The requests whose scheduled start lies in some windows, in figures."""

    total: int  # requests that ended
    succeeded: int
    pending: int  # scheduled in the windows and not ended yet
    failures: Mapping[str, int]  # reason -> count
    latencies: tuple[float, ...]  # of successes, seconds, ascending
    first_tokens: tuple[float, ...]  # of successes, seconds from the scheduled start, ascending
    late: int  # requests started later than LATE after their schedule

    @property
    def ratio(self) -> float | None:
        """Share of successes; None when no request ended."""
        return self.succeeded / self.total if self.total else None


LATE = 0.005  # seconds after which a start counts as late for want of our own CPU


class Samples:
    """Samples of one load, kept as columns. Written by one thread, read by any."""

    def scheduled(self, at: float) -> None:
        """A request is due (and in flight until its sample comes)."""
        raise NotImplementedError

    def add(self, sample: Sample) -> None:
        raise NotImplementedError

    def select(self, windows: Sequence[Interval] | None = None) -> Selection:
        """Requests scheduled in any of the windows (None: all of them); each request counts once."""
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError


def percentile(ascending: Sequence[float], q: float) -> float | None:
    """The exact percentile (nearest rank: the smallest value with at least `q` per cent at or below it); None if empty."""
    raise NotImplementedError
