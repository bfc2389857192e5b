"""The files of a run's folder that are made from events and from the report."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from scenario_runner.core.events import Event
from scenario_runner.core.report import Report
from scenario_runner.errors import Refused
from scenario_runner.reporters import event_log, junit, page, report_json, summary


class EventFile:
    """A listener that appends each event and flushes it, so that a killed run still tells its story."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")

    def __call__(self, event: Event) -> None:
        text = event_log.line(event)
        if text is not None:
            self._file.write(text)
            self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # on a full disk: the run has noted the write that failed
            self._file.close()


def write_reports(run_dir: Path, report: Report) -> None:
    """report.json, junit.xml, summary.md and report.html; raise OSError."""
    (run_dir / "report.json").write_text(report_json.render(report), encoding="utf-8")
    (run_dir / "summary.md").write_text(summary.render(report), encoding="utf-8")
    (run_dir / "report.html").write_text(page.render(report), encoding="utf-8")
    write_junit(run_dir / "junit.xml", [report])


def begin_junit(path: Path, reports: Sequence[Report]) -> None:
    """What the file says should the run be killed, and nothing of an earlier one; raise Refused when it cannot."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() or not path.exists():  # a pipe gets one document, the last one
            write_junit(path, reports)
    except OSError as exc:
        raise Refused(f"the JUnit file {path} cannot be written: {exc.strerror}") from exc


def write_junit(path: Path, reports: Sequence[Report]) -> None:
    """Raise OSError."""
    path.write_text(junit.render(reports), encoding="utf-8")
