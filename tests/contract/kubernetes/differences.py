"""Where the lab is known to differ from a real server, and why that is so."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

FILE = Path(__file__).with_name("differences.yaml")


@dataclass(frozen=True)
class Difference:
    """`check` fails on the lab."""

    check: str
    reason: str


@dataclass(frozen=True)
class LeftOut:
    """`call` (method, path, media type of a body) needs what the lab has not got, and is refused with that code."""

    what: str
    call: tuple[str, ...]
    answer: int
    reason: str


def known_differences() -> Mapping[str, Difference]:
    """By the name of the check, its parameters in brackets."""
    return {row["check"]: Difference(**row) for row in yaml.safe_load(FILE.read_text())["checks"]}


def left_out() -> Mapping[str, LeftOut]:
    """By name."""
    rows = yaml.safe_load(FILE.read_text())["left_out"]
    return {row["what"]: LeftOut(**{**row, "call": tuple(row["call"])}) for row in rows}
