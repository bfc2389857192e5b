"""
`make bench`: how fast everything is, as one table. A figure never makes it fail; what can not be measured does.

What is compared runs alternately, in the same minutes, and one row compares a command with itself:
a ratio that lies within that row's spread says nothing.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from tests.bench import cuda, labs, load, start, thousand
from tests.bench.rows import Row, not_measured, render

PARTS: tuple[tuple[str, Callable[[], Iterable[Row]]], ...] = (
    ("start", start.measure),
    ("1,000 steps", thousand.measure),
    ("lab", labs.measure),
    ("load", load.measure),
    ("cuda", cuda.measure),
)


def main() -> int:
    wanted = sys.argv[1:]
    begun = time.perf_counter()
    with _bytecode():
        rows = [row for name, part in PARTS if not wanted or name in wanted for row in _rows(name, part)]
    print(render(rows))
    took = time.perf_counter() - begun
    print(f"medians; ratios are medians of interleaved pairs; both sides find bytecode of all modules; {took:.0f} s")
    return int(any(row.verdict == "not measured" for row in rows))


@contextmanager
def _bytecode() -> Iterator[None]:
    """
    Let all processes keep bytecode, in a folder of this run, as an installation by pip does.

    Without (PYTHONDONTWRITEBYTECODE, read-only installations) every start compiles every module anew: that would be
    measured, and not what a user meets.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with TemporaryDirectory() as folder:
        os.environ["PYTHONPYCACHEPREFIX"] = folder
        yield


def _rows(name: str, part: Callable[[], Iterable[Row]]) -> Iterator[Row]:
    print(f"measuring: {name}", file=sys.stderr, flush=True)
    try:
        yield from part()
    except Exception as exc:  # noqa: BLE001 - the other parts are still worth their time
        yield not_measured(name, repr(exc))


if __name__ == "__main__":
    raise SystemExit(main())
