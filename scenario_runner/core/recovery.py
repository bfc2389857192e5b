"""When a service counts as recovered, and whether a fault had any impact on it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from scenario_runner.core.faults import Fault, Interval
from scenario_runner.core.quantities import Ratio
from scenario_runner.core.samples import Samples, Selection

_STEPS = 10  # windows that begin within one window's length
_ENOUGH = 20  # requests before the fault that make a baseline


@dataclass
class SlidingWindow:
    """
    Looks for one full window, begun at `begin` or later, whose requests satisfy the ratio.

    A window is judged when each of its requests has ended, or given up as soon as it can not be satisfied any more.
    """

    samples: Samples
    ratio: Ratio
    seconds: float
    least: int  # requests in a window for a verdict
    begin: float  # seconds on the run's clock
    most: int = 0  # requests that the fullest window had
    last: Selection | None = None  # what was judged last
    _number: int = 0  # of the next window
    _open: list[Interval] = field(default_factory=list)

    def look(self, now: float) -> Selection | None:
        """The requests of the first window that satisfies; None while there is none."""
        self._open_until(now)
        for window in tuple(self._open):
            chosen = self.samples.select([window])
            if chosen.pending and not self._lost(chosen):
                continue
            self._open.remove(window)
            self.most, self.last = max(self.most, chosen.total), chosen
            if not chosen.pending and self._satisfied(chosen):
                return chosen
        return None

    def _open_until(self, now: float) -> None:
        """Take in the windows that are full by now."""
        while (start := self.begin + self._number * self.seconds / _STEPS) + self.seconds <= now:
            self._open.append(Interval(start, start + self.seconds))
            self._number += 1

    def _lost(self, chosen: Selection) -> bool:
        """Even if all that are in flight succeed it is not enough."""
        return not self.ratio.judge(chosen.succeeded + chosen.pending, chosen.total + chosen.pending)

    def _satisfied(self, chosen: Selection) -> bool:
        return chosen.total >= self.least and not chosen.starved and self.ratio.judge(chosen.succeeded, chosen.total)


def impact(samples: Samples, faults: Sequence[Fault], now: float) -> str:
    """What the faults did to the requests until now, in words; "" for nothing: success never left its old band."""
    first = min(fault.at for fault in faults)
    before = samples.select([Interval(float("-inf"), first)])
    since = samples.select([Interval(first, now)])
    usual = before.ratio if before.ratio is not None and before.total >= _ENOUGH else 1.0
    if since.ratio is None or since.ratio >= usual:
        return ""
    failed = since.total - since.succeeded
    return f"{failed} of {since.total} requests failed since the fault"
