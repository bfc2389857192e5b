"""The open loop: requests start at absolute times, whatever became of those before."""

import asyncio
from collections.abc import Callable
from math import ceil

from scenario_runner.core.samples import LoadOrder
from scenario_runner.load.clock import now

# Timers of the event loop count in milliseconds, so a faster load starts what is due once a millisecond.
_TICK = 0.001
# A timer fires up to a millisecond late, and the processor may be a few milliseconds busy with others. So the loop
# wakes early and stays awake (reading answers meanwhile) until the start is due, for at most this share of the time.
_EARLIEST = 0.003
_AWAKE = 0.05
_AT_ONCE = 500  # starts, after which answers are read before it goes on; only met when we were held up


class Schedule:
    """Calls `start(scheduled)` at t0 + k * period, until the order's end or `stop`; then `on_end`, once."""

    def __init__(self, order: LoadOrder, start: Callable[[float], None], on_end: Callable[[], None]) -> None:
        """Raise ValueError with a sentence for an order that has no schedule."""
        self._period = period_of(order)
        self._early = min(_EARLIEST, self._period * _AWAKE)
        self._number = number_of(order, self._period)
        self._start = start
        self._on_end = on_end
        self._k = 0
        self._t0 = 0.0
        self._over = False
        self._timer: asyncio.Handle | None = None

    def begin(self) -> None:
        """The first request is due now."""
        self._t0 = now()
        self._tick()

    def stop(self) -> None:
        """Start no more."""
        if self._over:
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        self._on_end()

    def _tick(self) -> None:
        for _ in range(_AT_ONCE):
            due = self._t0 + self._k * self._period
            if self._over or self._k == self._number:
                self.stop()
                return
            if due > now():
                break
            self._k += 1
            self._start(due)
        loop = asyncio.get_running_loop()
        wait = self._t0 + self._k * self._period - now()
        if self._period < _TICK:
            wait = max(_TICK, wait)
        elif wait <= self._early + _TICK:
            wait = 0.0  # stay awake
        else:
            wait -= self._early
        self._timer = loop.call_later(wait, self._tick) if wait else loop.call_soon(self._tick)


def period_of(order: LoadOrder) -> float:
    """Seconds between two starts."""
    if (order.rate is None) == (order.every is None):
        raise ValueError("the order needs either a rate or a time between starts")
    value = order.rate if order.rate is not None else order.every
    if value is None or not 0 < value < float("inf"):
        raise ValueError("the rate, or the time between starts, must be above zero")
    return 1 / value if order.rate is not None else value


def number_of(order: LoadOrder, period: float) -> int | None:
    """How many requests are due in all; None: no limit."""
    limits = [] if order.count is None else [order.count]
    if order.duration is not None:
        limits.append(ceil(round(order.duration / period, 6)))  # starts before the end; 0.3 / 0.1 is 3, not 3 and a bit
    return max(0, min(limits)) if limits else None
