"""Which rules make a process see what it would see of a broken GPU: the table of CUDA profiles."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import ConfigDict, TypeAdapter, with_config

from fault_agent.cuda_rules import CudaRule, class_bits
from fault_agent.refusal import Refusal


@dataclass(frozen=True)
class ProfileRule:
    """One line of a profile, what it rests on, and whether it was seen on a GPU."""

    rule: CudaRule
    evidence: str
    measured: bool


@dataclass(frozen=True)
class Profile:
    """One kind of broken GPU: in words for people, as rules for the library, where the first that fits wins."""

    name: str
    title: str
    xids: tuple[int, ...]
    running_process: str
    new_process: str
    lines: tuple[ProfileRule, ...]

    @property
    def rules(self) -> tuple[CudaRule, ...]:
        return tuple(line.rule for line in self.lines)


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


@cache
def cuda_profiles() -> Profiles:
    """The shipped table; raises pydantic's ValidationError, KeyError or TypeError if the file does not fit."""
    table = json.loads(files("fault_agent").joinpath("cuda_profiles.json").read_text(encoding="utf-8"))
    return Profiles(_profile(**row) for row in table["profiles"])


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class _Strict(CudaRule):
    """A rule without any misspelt field."""


def _profile(rules: list[dict[str, Any]], xids: list[int], **words: str) -> Profile:
    return Profile(xids=tuple(xids), lines=tuple(_line(**rule) for rule in rules), **words)


def _line(evidence: str, measured: bool, classes: list[Any], **fields: Any) -> ProfileRule:  # noqa: FBT001 - by name
    checked = TypeAdapter(_Strict).validate_python({**fields, "classes": class_bits(tuple(classes))})
    return ProfileRule(CudaRule(**vars(checked)), evidence, measured)
