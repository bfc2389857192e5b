"""The table of CUDA profiles: what a fault does to CUDA calls. The agents make rules of it, the runner knows names."""

from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files

from pydantic import TypeAdapter


@dataclass(frozen=True)
class Profile:
    """One row: the XIDs that look like this to a process, and what a running and a new process see."""

    name: str
    title: str
    xids: tuple[int, ...]
    running_process: str
    new_process: str


@dataclass(frozen=True)
class ProfileTable:
    """Every profile."""

    profiles: tuple[Profile, ...]

    def find(self, wanted: int | str) -> Profile:
        """The profile of an XID or of a name; ValueError with a sentence that lists what there is."""
        for one in self.profiles:
            if wanted in one.xids or wanted == one.name:
                return one
        raise ValueError(self._unknown_xid(wanted) if isinstance(wanted, int) else self._unknown_name(wanted))

    def _unknown_xid(self, xid: int) -> str:
        known = ", ".join(str(one) for one in sorted({one for row in self.profiles for one in row.xids}))
        return f"XID {xid} has no CUDA profile: name a `profile`, or take one of {known}"

    def _unknown_name(self, name: str) -> str:
        names = [one.name for one in self.profiles]
        close = get_close_matches(name, names, 1)
        hint = f"did you mean {close[0]}?" if close else f"take one of {', '.join(names)}"
        return f"there is no CUDA profile {name!r}: {hint}"


@cache
def profiles() -> ProfileTable:
    """The shipped table."""
    text = files("scenario_runner.gpu").joinpath("cuda_profiles.json").read_text(encoding="utf-8")
    return TypeAdapter(ProfileTable).validate_json(text)
