"""The table of the benchmark: what a row says, and how a figure is judged."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

WITHIN = "within target"
MISSES = "misses it"
HEAD = ("what", "ours", "other side or target", "ratio", "limit", "verdict", "remark")


@dataclass(frozen=True)
class Row:
    """One line of the table, as text."""

    what: str
    ours: str
    other: str
    ratio: str
    limit: str
    verdict: str
    remark: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        return (self.what, self.ours, self.other, self.ratio, self.limit, self.verdict, self.remark)


def against(what: str, pairs: Sequence[tuple[float, float]], limit: float | None, remark: str = "") -> Row:
    """
    Seconds of ours and of the other side, measured next to each other: the ratio is the median of the pairs' ratios.

    `limit` is the greatest ratio that is wanted; None for a row that shows noise and is not judged.
    """
    ratio = median(ours / other for ours, other in pairs)
    spread = _spread([ours / other for ours, other in pairs])
    return Row(
        what,
        seconds(median(ours for ours, _ in pairs)),
        seconds(median(other for _, other in pairs)),
        f"{ratio:.2f}x",
        "-" if limit is None else f"{limit:.1f}x",
        "-" if limit is None else _verdict(round(ratio, 2), limit),  # as it is shown
        f"{spread}{', ' if remark else ''}{remark}",
    )


def below(what: str, figure: float, limit: float, unit: str = "s", remark: str = "") -> Row:
    """A figure that shall not be greater than `limit`; both in seconds, or in the unit that is named."""
    show = seconds if unit == "s" else lambda value: f"{value:.3g} {unit}"
    return Row(what, show(figure), show(limit), f"{figure / limit:.2f}x", "1.0x", _verdict(figure, limit), remark)


def shown(what: str, figure: str, remark: str = "") -> Row:
    """A figure that is there for comparison and not judged."""
    return Row(what, figure, "-", "-", "-", "-", remark)


def not_measured(what: str, why: str) -> Row:
    return Row(what, "-", "-", "-", "-", "not measured", why)


def seconds(value: float) -> str:
    return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.2f} s"


def render(rows: Sequence[Row]) -> str:
    lines = [HEAD, *(row.cells for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    texts = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    rule = "  ".join("-" * width for width in widths)
    return "\n".join(text.rstrip() for text in (texts[0], rule, *texts[1:]))


def _verdict(figure: float, limit: float) -> str:
    return WITHIN if figure <= limit else MISSES


def _spread(ratios: Sequence[float]) -> str:
    return f"{len(ratios)} pairs, {min(ratios):.2f}x to {max(ratios):.2f}x"
