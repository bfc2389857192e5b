"""Who a cluster belongs to: written into its folder, so that nobody takes or leaves another's cluster unnoticed."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.e2e.place import CLUSTERS, Place, Trouble


@dataclass(frozen=True)
class Owner:
    """`kept`: it shall outlive the process that started it."""

    process: int
    born: str  # tells the process from a later one with the same number
    kept: bool

    @property
    def lives(self) -> bool:
        return _born(self.process) == self.born


def claim(place: Place, *, kept: bool) -> None:
    """Take the name, or raise Trouble because it is taken."""
    CLUSTERS.mkdir(parents=True, exist_ok=True)
    try:
        place.state.mkdir()
    except FileExistsError:
        down = f"python -m tests.e2e.cluster down --name {place.name}"
        raise Trouble(f"There is a cluster named {place.name} (in {place.state}); `{down}` takes it away.") from None
    owner = Owner(os.getpid(), _born(os.getpid()) or "", kept)
    (place.state / "owner.json").write_text(json.dumps(asdict(owner)))


def read(place: Place) -> Owner | None:
    """None if there is no such cluster, or if its starter was killed before it could say who it was."""
    try:
        return Owner(**json.loads((place.state / "owner.json").read_text()))
    except (FileNotFoundError, ValueError):
        return None


def _born(process: int) -> str | None:
    """When it began, in the kernel's ticks since boot; None if it is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None
