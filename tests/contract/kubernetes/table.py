"""The table at the end of a run: which check passed on which backend."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest

_PLACE = re.compile(r"/test_(?P<file>\w+)\.py::(?P<check>test_\w+)(?:\[(?P<parameters>.*)\])?$")
_BACKEND = re.compile(r"^(lab|real)(?:-|$)|-(lab|real)$")
_WORDS = {"passed": "ok", "failed": "FAILED", "error": "FAILED", "xfailed": "differs", "xpassed": "STALE"}


@dataclass(frozen=True)
class Place:
    """A check, its parameters in brackets but for the backend, which stands apart."""

    file: str
    check: str
    backend: str

    @classmethod
    def of(cls, node: str) -> "Place | None":
        """Read pytest's name of a test; None for one that asks no backend."""
        found = _PLACE.search(node)
        backend = _BACKEND.search(found["parameters"] or "") if found else None
        if found is None or backend is None:
            return None
        rest = _BACKEND.sub("", found["parameters"])
        return cls(found["file"], found["check"] + (f"[{rest}]" if rest else ""), backend[1] or backend[2])


Rows = dict[tuple[str, str], dict[str, str]]
"""(file, check) -> backend -> what came of it."""


def outcomes(reporter: pytest.TerminalReporter) -> list[tuple[str, str]]:
    """pytest's name and pytest's word for each check of this folder."""
    return [
        (report.nodeid, word)
        for word in _WORDS
        for report in reporter.stats.get(word, [])
        if "contract/kubernetes" in report.nodeid
    ]


def collected(told: Iterable[tuple[str, str]]) -> Rows:
    rows: Rows = {}
    for node, word in told:
        if place := Place.of(node):
            rows.setdefault((place.file, place.check), {})[place.backend] = _WORDS[word]
    return rows


def write_table(told: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Lines: one per check, with a column per backend, and the sums; from (pytest's name, pytest's word) pairs."""
    rows = collected(told)
    yield f"{'lab':8}{'real':8}check"
    for (file, check), words in sorted(rows.items()):
        text = check.removeprefix("test_").replace("_", " ")
        yield f"{words.get('lab', '-'):8}{words.get('real', '-'):8}{file}: {text}"
    for backend in ("lab", "real"):
        found = [words[backend] for words in rows.values() if backend in words]
        counted = ", ".join(f"{found.count(word)} {word}" for word in sorted(set(found)))
        yield f"{backend}: {counted or 'not asked'}"
