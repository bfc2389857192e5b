"""Which GPU of a node is meant by an index, a UUID or a PCI address. Pure functions."""

import re
from collections.abc import Sequence

from scenario_runner.core.faults import GpuSeat
from scenario_runner.errors import StepBroken

_PCI = re.compile(r"(?:([0-9a-f]{1,8}):)?([0-9a-f]{2}):([0-9a-f]{2})(?:\.[0-9a-f])?")


def seat_of(node: str, seats: Sequence[GpuSeat], gpu: int | str) -> GpuSeat:
    """The GPU with that index, UUID or PCI address (any spelling); StepBroken lists those that exist."""
    wanted = str(gpu).lower()
    for seat in seats:
        if wanted in {str(seat.index), seat.uuid.lower()} or (pci_parts(wanted) or 0) == pci_parts(seat.pci):
            return seat
    there = ", ".join(f"{seat.index} ({seat.uuid}, {seat.pci})" for seat in seats) or "none"
    raise StepBroken(f"{node} has no GPU {gpu}; it has {there}")


def pci_parts(address: str) -> tuple[int, int, int] | None:
    """Domain, bus and device of "0000:17:00", "17:00.0" or "00000000:17:00.0"; None for anything else."""
    found = _PCI.fullmatch(address.lower())
    return None if found is None else (int(found[1] or "0", 16), int(found[2], 16), int(found[3], 16))
