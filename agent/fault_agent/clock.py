"""The agent's only clock: seconds since boot for deadlines, the wall for people, the boot id for identity."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

KERNEL_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    def since_boot(self) -> float:
        """Seconds since boot, counting the time the machine was suspended."""

    def wall(self) -> datetime:
        """Now, in UTC, for people; never compared with a deadline."""

    def boot_id(self) -> str:
        """Names this boot of the node; deadlines and sequence numbers mean nothing outside it."""

    def kernel_boot_id(self) -> str:
        """Names this boot of the machine's kernel, which differs where a lab's nodes share one machine."""


class SystemClock:
    """The clocks of this machine. `boot_id_file` is read each time, as a lab "reboots" its nodes by writing it."""

    def __init__(self, boot_id_file: Path) -> None:
        self._boot_id_file = boot_id_file

    def since_boot(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wall(self) -> datetime:
        return datetime.now(UTC)

    def boot_id(self) -> str:
        return self._boot_id_file.read_text(encoding="ascii").strip()

    def kernel_boot_id(self) -> str:
        return KERNEL_BOOT_ID.read_text(encoding="ascii").strip()


def monotonic() -> float:
    """Seconds for the timeout of one call, where no deadline of a fault is at stake."""
    return time.monotonic()


def stamp(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds: `2026-01-31T12:00:00.250Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def stamp_after(clock: Clock, deadline: float) -> str:
    """The wall time at which the seconds-since-boot `deadline` will come."""
    return stamp(clock.wall() + timedelta(seconds=deadline - clock.since_boot()))
