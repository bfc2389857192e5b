"""Which rules make a process see what it would see of a broken GPU: the table of CUDA profiles."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from fault_agent.cuda_rules import CudaRule
from fault_agent.refusal import Refusal


@dataclass(frozen=True)
class Profile:
    """One row of the table; `evidence` says where it is known from."""

    name: str
    xids: tuple[int, ...]
    rules: tuple[CudaRule, ...]
    evidence: str = ""


class Profiles:
    """Finds rows by name or XID."""

    def __init__(self, rows: Iterable[Profile]) -> None:
        self.rows = tuple(rows)

    def named(self, name: str) -> Profile:
        """Raises Refusal 422 with what was probably meant."""
        for row in self.rows:
            if row.name == name:
                return row
        names = [row.name for row in self.rows]
        close = get_close_matches(name, names, 1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(names)}."
        raise Refusal(422, "unknown_profile", f"There is no CUDA profile {name}; {hint}")

    def of_xid(self, xid: int) -> Profile:
        """Raises Refusal 422 with the XIDs that have one."""
        for row in self.rows:
            if xid in row.xids:
                return row
        known = ", ".join(str(number) for number in sorted({number for row in self.rows for number in row.xids}))
        raise Refusal(422, "no_profile_for_xid", f"XID {xid} has no CUDA profile; XIDs with one: {known}.")


def cuda_profiles() -> Profiles:
    """The shipped table."""
    return Profiles(())
