"""Where the lab is known to differ from a real server, and why that is so."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

FILE = Path(__file__).with_name("differences.yaml")


@dataclass(frozen=True)
class Difference:
    """`check` fails on the lab; `refused` is what the lab says that it leaves out, where that is a decision."""

    check: str
    reason: str
    refused: str | None


def known_differences() -> Mapping[str, Difference]:
    """By the name of the check, its parameters in brackets."""
    rows = yaml.safe_load(FILE.read_text()) or []
    found = [Difference(row["check"], row["reason"], row.get("refused")) for row in rows]
    return {one.check: one for one in found}
