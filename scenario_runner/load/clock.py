"""The worker's clock: the same one that the engine reads, so that their times can be compared."""

import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> float:
    """Seconds on the machine's clock that never jumps, suspended time included where it can be."""
    return time.clock_gettime(_CLOCK)
