"""What was checked, as one table and as a file that is kept."""

from dataclasses import asdict, dataclass
from typing import Literal

Verdict = Literal["pass", "FAIL", "not run"]


@dataclass(frozen=True)
class Row:
    """One check: what it is, how it went, and what was seen (or why it was not run)."""

    check: str
    verdict: Verdict
    seen: str


def row(check: str, passed: bool, seen: object) -> Row:
    return Row(check, "pass" if passed else "FAIL", str(seen))


def not_run(check: str, why: str) -> Row:
    return Row(check, "not run", why)


def table(rows: list[Row]) -> str:
    """Markdown, which reads well on a terminal too."""
    cells = [("check", "verdict", "seen"), *((one.check, one.verdict, one.seen.replace("|", "/")) for one in rows)]
    widths = [max(len(line[column]) for line in cells) for column in (0, 1)]
    lines = [f"| {check:{widths[0]}} | {verdict:{widths[1]}} | {seen} |" for check, verdict, seen in cells]
    return "\n".join([lines[0], f"| {'-' * widths[0]} | {'-' * widths[1]} | --- |", *lines[1:]]) + "\n"


def records(rows: list[Row]) -> list[dict[str, str]]:
    return [asdict(one) for one in rows]
