"""What a run writes into the cluster about itself: a Lease per target and one copy of its promises; and their port."""

from dataclasses import dataclass
from typing import Protocol

from scenario_runner.core.ports import ObjectRef


@dataclass(frozen=True)
class Lease:
    """Who owns one target. `renewed` is written by its owner's clock: it is only compared, never read as a time."""

    target: str  # "gpu-1"
    holder: str  # "<run>", or "<run>/<recovery>" while that run is being taken back
    renewed: str
    seconds: float
    host: str = ""  # where the holder runs, for people
    boot: str = ""  # which boot of which machine that is; "" where nobody knows
    version: str = ""  # what the store needs to know whether it changed since it was read

    @property
    def run_id(self) -> str:
        """The run whose targets these are."""
        return self.holder.partition("/")[0]


@dataclass(frozen=True)
class RunCopy:
    """The open promises of one run and how it is reached, as its owner last wrote them."""

    run_id: str
    holder: str
    card: str  # one sealed line
    promises: str  # sealed lines, as in the journal
    version: str = ""


class ClaimStore(Protocol):
    """
    Where claims lie in the cluster. Raise TargetUnreachable or TargetRefused.

    Every write is conditional on the version that was read: TargetRefused with code "Conflict" when the object changed
    since, "AlreadyExists" when it is there already, "NotFound" when it is gone.
    """

    def leases(self) -> tuple[Lease, ...]: ...
    def lease(self, target: str) -> Lease | None: ...
    def add_lease(self, lease: Lease) -> Lease: ...
    def write_lease(self, lease: Lease) -> Lease: ...
    def drop_lease(self, lease: Lease) -> None: ...
    def copies(self) -> tuple[RunCopy, ...]: ...
    def copy(self, run_id: str) -> RunCopy | None: ...
    def add_copy(self, copy: RunCopy) -> RunCopy: ...
    def write_copy(self, copy: RunCopy) -> RunCopy: ...
    def drop_copy(self, copy: RunCopy) -> None: ...
    def announce(self, about: ObjectRef, reason: str, message: str) -> None:
        """Tell whoever describes the object what is done to it, by an Event."""
        ...
