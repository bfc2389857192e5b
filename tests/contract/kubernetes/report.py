"""
Asks every check of both backends and writes what came of it: `python -m tests.contract.kubernetes.report`, as root.

CONTRACT_KUBECONFIG names a real server; without it a cluster is started. Arguments go to pytest.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from tests.contract.kubernetes.differences import known_differences, left_out
from tests.contract.kubernetes.table import Rows, collected, outcomes

HERE = Path(__file__).parent
RESULT = HERE / "RESULT.md"


class Ear:
    """Hears what came of each check, and which server answered."""

    def __init__(self) -> None:
        self.rows: Rows = {}
        self.version = "unknown"

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        server = getattr(item, "funcargs", {}).get("server")
        if self.version == "unknown" and server is not None and server.name == "real":
            self.version = server.call("GET", "/version").body["gitVersion"]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        self.rows = collected(outcomes(terminalreporter))


def main(arguments: Sequence[str]) -> int:
    ear = Ear()
    code = int(pytest.main([str(HERE), "--timeout=300", *arguments], [ear]))
    if not ear.rows or code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        return code or 1  # interrupted: half a document would say too little
    RESULT.write_text("\n".join(_document(ear.rows, ear.version)) + "\n")
    print(f"{RESULT}: {len(ear.rows)} checks")
    return code


def _document(rows: Rows, version: str) -> Iterator[str]:
    # Not before the checks have run: pytest wants to load these itself.
    from tests.contract.kubernetes.record import recorded

    yield "# The lab and a real cluster, asked the same"
    yield ""
    yield f"Written by `python -m tests.contract.kubernetes.report` on {datetime.now(UTC):%Y-%m-%d}; the real one was"
    yield f"Kubernetes {version}. Behind `recorded` are {len(recorded())} small plays, of which all answers and all"
    yield "events are compared, field by field, with those that a real server gave."
    yield ""
    yield "| area | checks | lab passes | lab differs, as listed | real passes | failed |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    areas = sorted({file for file, _ in rows})
    for area in areas:
        yield _line(area, [words for (file, _), words in rows.items() if file == area])
    yield _line("**all**", list(rows.values()))
    yield ""
    yield "## Where the lab differs"
    yield ""
    for check, known in known_differences().items():
        yield f"* {check.removeprefix('test_').replace('_', ' ')}: {' '.join(known.reason.split())}"
    yield ""
    yield "Left out by decision:"
    yield ""
    for one in left_out().values():
        yield f"* {one.what} (answered {one.answer}): {' '.join(one.reason.split())}"
    yield ""
    yield "## What the lab had wrong until a real server was asked"
    yield ""
    for area, wrong in _corrected().items():
        yield f"* **{area}**: {'; '.join(wrong)}."


def _line(area: str, told: Sequence[Mapping[str, str]]) -> str:
    lab = [words.get("lab", "") for words in told]
    real = [words.get("real", "") for words in told]
    failed = sum(word in {"FAILED", "STALE"} for word in (*lab, *real))
    counts = (len(told), lab.count("ok"), lab.count("differs"), real.count("ok"), failed)
    return f"| {area} | {' | '.join(map(str, counts))} |"


def _corrected() -> Mapping[str, Sequence[str]]:
    found: Mapping[str, Sequence[str]] = yaml.safe_load((HERE / "corrected.yaml").read_text())
    return found


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
