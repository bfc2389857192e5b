"""Loads that send nothing: a function says how each request ends."""

from collections.abc import Callable
from math import inf

from scenario_runner.core.samples import LoadOrder, Sample, Samples
from tests.fake_time import FakeClock

Answer = Callable[
    [float], tuple[float, str]
]  # scheduled start -> (seconds until the answer, reason of a failure or "")


class FakeLoad:
    """A load whose requests are answered by a function, up to now whenever somebody looks."""

    def __init__(self, clock: FakeClock, order: LoadOrder, answer: Answer) -> None:
        self._clock = clock
        self._order = order
        self._answer = answer
        self._samples = Samples()
        self._began = clock.monotonic()
        self._sent = 0
        self._flying: list[Sample] = []
        self._stopped_at: float | None = None
        self.broken = ""
        self.closed = False

    @property
    def samples(self) -> Samples:
        self._catch_up()
        return self._samples

    def stop(self) -> None:
        self._catch_up()
        if self._stopped_at is None:
            self._stopped_at = self._clock.monotonic()

    @property
    def finished(self) -> bool:
        self._catch_up()
        return self.closed or (not self._flying and self._next() is None)

    def close(self) -> None:
        self.stop()
        self.closed = True

    def _next(self) -> float | None:
        """When the next request is due; None when no more will be."""
        gap = self._order.every or 1.0 / (self._order.rate or 1.0)
        at = self._began + self._sent * gap
        over = (
            (self._order.count is not None and self._sent >= self._order.count)
            or (self._order.duration is not None and at >= self._began + self._order.duration)
            or (self._stopped_at is not None and at > self._stopped_at)
        )
        return None if over else at

    def _catch_up(self) -> None:
        now = self._clock.monotonic()
        while not self.closed and (at := self._next()) is not None and at <= now:
            self._sent += 1
            self._samples.scheduled(at)
            seconds, reason = self._answer(at)
            if self._order.request_timeout <= seconds < inf:  # inf: the worker loses it
                seconds, reason = self._order.request_timeout, "timeout"
            self._flying.append(Sample(at, at, at + seconds, None, 0 if reason else 200, reason))
        for sample in [one for one in self._flying if one.ended <= now]:
            self._flying.remove(sample)
            self._samples.add(sample)


class FakeLoads:
    """Starts fake loads; `answer` decides about each request."""

    def __init__(self, clock: FakeClock, answer: Answer = lambda at: (0.05, "")) -> None:
        self._clock = clock
        self.answer = answer
        self.started: list[LoadOrder] = []
        self.runs: list[FakeLoad] = []

    def start(self, order: LoadOrder) -> FakeLoad:
        self.started.append(order)
        self.runs.append(FakeLoad(self._clock, order, self._answer_now))
        return self.runs[-1]

    def _answer_now(self, at: float) -> tuple[float, str]:
        """A test may change `answer` while requests flow."""
        return self.answer(at)
