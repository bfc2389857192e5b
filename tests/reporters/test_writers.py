"""The other files of a report, and the lines on the terminal."""

import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from scenario_runner.core.events import (
    Observed,
    RunEnded,
    RunStarted,
    StepEnded,
    StepProgress,
    StepStarted,
    StopRequested,
    Tick,
)
from scenario_runner.core.outcome import Status
from scenario_runner.core.report import Verdict
from scenario_runner.reporters import event_log, report_json, summary
from scenario_runner.reporters.console import console
from tests.reporters.sample_report import OUTCOMES, PLAN, REPORT, STARTED

GOLDEN = Path(__file__).parent / "golden"

EVENTS = [
    RunStarted(REPORT.run_id, STARTED, 1.0, REPORT.backend, PLAN),
    StepStarted("01", "01-send_requests", "send_requests", 60.0),
    Tick(0.5, {"traffic": (10, 9, 1)}, {"worker": (2, 3)}),
    StepEnded(OUTCOMES[0]),
    Observed(REPORT.observations[0]),
    StopRequested("signal", "SIGINT"),
]


def test_a_report_survives_json():
    assert report_json.parse(report_json.render(REPORT)) == REPORT


def test_the_json_report_obeys_its_published_schema():
    jsonschema.validate(json.loads(report_json.render(REPORT)), report_json.json_schema())


def test_the_summary_reads_as_written_down():
    assert summary.render(REPORT) == (GOLDEN / "summary.md").read_text(encoding="utf-8")


def test_an_event_log_that_ends_in_mid_line_rebuilds_the_report_up_to_there():
    lines = [text for text in map(event_log.line, EVENTS) if text is not None]
    rebuilt = event_log.rebuild(event_log.read([*lines, '{"event": "StepEn']), reason="the runner was killed")
    assert rebuilt == replace(
        REPORT, seconds=3.5, verdict=Verdict(Status.INTERRUPTED, 130, "the runner was killed"), outcomes=OUTCOMES[:1],
        loads=(), faults=(), phases=(), undo=(), residue=(), notes=(), version="", host="",
    )  # fmt: skip


def test_an_event_log_that_was_finished_holds_the_report_itself():
    lines = [event_log.line(event) for event in [*EVENTS[:1], RunEnded(REPORT)]]
    assert event_log.rebuild(event_log.read(lines), reason="") == REPORT


def test_ticks_are_for_the_eye_only():
    assert event_log.line(EVENTS[2]) is None


def test_a_log_without_a_start_has_no_report():
    assert event_log.rebuild([], reason="") is None


def test_where_there_is_no_terminal_each_event_is_one_plain_line():
    out = io.StringIO()
    listener = console(out)
    for event in [*EVENTS, RunEnded(REPORT)]:
        listener(event)
    assert out.getvalue().splitlines() == [
        "xid79 on lab default, run 20260304-050607-xid79-abcd",
        "        ▸ 01 send_requests",
        "   3.5s ✓ 01 send_requests: 5/s are being sent (2.5 s)",
        "   4.0s   node gpu-1: schedulable is false (was true)",
        "stopping: SIGINT; taking everything back",
        "✗ failed: 03 assert_success: 0.41 of 100, expected at least 0.7 (12.3 s)",
    ]


def test_a_node_that_is_not_ready_is_worth_a_line_and_a_pod_is_not():
    out = io.StringIO()
    listener = console(out)
    seen = replace(REPORT.observations[0], fact="ready", value="Unknown", was="True")
    listener(Observed(seen))
    listener(Observed(replace(seen, subject="pod")))
    assert [line.strip() for line in out.getvalue().splitlines()] == [
        f"{seen.at:.1f}s   node gpu-1: ready is Unknown (was True)"
    ]


class Terminal(io.StringIO):
    """Text that was written to a terminal."""

    def isatty(self):
        return True


def test_on_a_terminal_the_same_lines_stand_above_what_is_going_on():
    out = Terminal()
    listener = console(out)
    for event in [*EVENTS, RunEnded(REPORT)]:
        listener(event)
    shown = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", line) for line in out.getvalue().splitlines()]
    assert "   3.5s ✓ 01 send_requests: 5/s are being sent (2.5 s)" in shown
    assert "✗ failed: 03 assert_success: 0.41 of 100, expected at least 0.7 (12.3 s)" in shown


def test_on_a_terminal_the_last_line_says_what_is_going_on_and_for_how_long(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    out = Terminal()
    listener = console(out)
    now = [
        Tick(1.0, {}, {}),
        StepStarted("02", "wait", "wait_for_pods", 60.0),
        Tick(5.5, {"calm": (0, 0, 0), "traffic": (10, 9, 1)}, {"worker": (2, 3)}),
        StepProgress("wait", "2 of 3 are ready"),
    ]
    for event in [EVENTS[0], *now, RunEnded(REPORT)]:
        listener(event)
    shown = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", line).rstrip() for line in out.getvalue().splitlines()]
    assert (
        "   5.5s ▸ 02 wait_for_pods  4 s, 56 s left  calm: no answer yet, 0 in flight  "
        "traffic: 90.0% of 10 ok, 1 in flight  worker: 2/3 pods ready  2 of 3 are ready"
    ) in shown


def test_a_run_without_a_terminal_imports_nothing_that_draws():
    """Neither itself nor by way of a library's own command line."""
    imports = "import scenario_runner.app.running, scenario_runner.lab.kube, sys"
    drawing = "print([name for name in ('rich', 'pygments') if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", f"{imports}; {drawing}"], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"


@pytest.mark.parametrize("name", ["summary.md", "junit.xml"])
def test_golden_files_end_with_a_newline(name):
    assert (GOLDEN / name).read_text(encoding="utf-8").endswith("\n")
