"""
`make bench`: how fast everything is, as one table. A figure never makes it fail; what can not be measured does.

What is compared runs alternately, in the same minutes, and one row compares a command with itself:
a ratio that lies within that row's spread says nothing.
"""

import sys
import time
from collections.abc import Callable, Iterable, Iterator

from tests.bench import labs, load, start, thousand
from tests.bench.rows import Row, not_measured, render

PARTS: tuple[tuple[str, Callable[[], Iterable[Row]]], ...] = (
    ("start", start.measure),
    ("1,000 steps", thousand.measure),
    ("lab", labs.measure),
    ("load", load.measure),
)


def main() -> int:
    wanted = sys.argv[1:]
    begun = time.perf_counter()
    rows = [row for name, part in PARTS if not wanted or name in wanted for row in _rows(name, part)]
    print(render(rows))
    print(f"medians; ratios are medians of interleaved pairs; {time.perf_counter() - begun:.0f} s in all")
    return int(any(row.verdict == "not measured" for row in rows))


def _rows(name: str, part: Callable[[], Iterable[Row]]) -> Iterator[Row]:
    print(f"measuring: {name}", file=sys.stderr, flush=True)
    try:
        yield from part()
    except Exception as exc:  # noqa: BLE001 - the other parts are still worth their time
        yield not_measured(name, repr(exc))


if __name__ == "__main__":
    raise SystemExit(main())
