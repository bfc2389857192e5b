"""How long things take on a real platform, and how the lab shortens them: the one place for it."""

from dataclasses import dataclass, fields

DEFAULT_SCALE = 60.0


@dataclass(frozen=True)
class Times:
    """Seconds."""

    poll: float  # between two looks of the health monitor at the kernel log
    state: float  # each state of the node label stands at least so long
    drain_retry: float  # between two rounds of evictions
    drain_limit: float  # after which a drain has failed
    reset: float  # a GPU reset
    reboot: float  # from the order to reboot until the machine goes down; coming up takes what it takes
    reboot_limit: float  # after which a reboot has failed
    monitor_start: float  # from a node being ready again until its health monitor runs
    suppression: float  # the same fault within this time is not reported twice
    breaker: float  # window in which cordons are counted


REAL = Times(
    poll=15,
    state=30,
    drain_retry=10,
    drain_limit=3600,
    reset=60,
    reboot=120,
    reboot_limit=1800,
    monitor_start=60,
    suppression=180,
    breaker=300,
)


def scaled(scale: float) -> Times:
    """The real times divided by `scale`. Raises ValueError unless it is above 0."""
    if not scale > 0:
        raise ValueError(f"a scale of {scale:g} is not above 0")
    return Times(**{field.name: getattr(REAL, field.name) / scale for field in fields(Times)})
