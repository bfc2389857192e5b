"""A run as JUnit XML, in the shape that every reader we know takes."""

import re
from collections.abc import Sequence
from datetime import UTC
from pathlib import PurePath
from xml.etree import ElementTree as ET

from scenario_runner.core.outcome import Outcome, Status
from scenario_runner.core.report import Report
from scenario_runner.reporters.tables import without_colours

# Some readers keep what they parse in memory: the end of a long text tells more than its beginning.
OUTPUT_LIMIT = 64 * 1024

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(reports: Sequence[Report]) -> str:
    """One suite per scenario, one case per step; times in seconds with three decimals, suites in wall time."""
    root = ET.Element("testsuites", name="scenario-runner")
    suites = [_suite(index, report) for index, report in enumerate(reports)]
    for key in ("tests", "failures", "errors"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in suites)))
    root.set("time", _seconds(sum(report.seconds for report in reports)))
    root.extend(suites)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(index: int, report: Report) -> ET.Element:
    statuses = [outcome.status for outcome in report.outcomes]
    suite = ET.Element(
        "testsuite",
        name=report.plan.scenario,
        tests=str(len(statuses)),
        failures=str(statuses.count(Status.FAILED)),
        errors=str(statuses.count(Status.BROKEN) + statuses.count(Status.INTERRUPTED)),
        skipped=str(statuses.count(Status.SKIPPED)),
        time=_seconds(report.seconds),
        timestamp=report.started.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        hostname=report.host,
        id=str(index),
        package=_package(report),
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(report):
        ET.SubElement(properties, "property", name=name, value=_clean(value))
    suite.extend(_case(outcome, f"{_package(report)}.{report.plan.scenario}") for outcome in report.outcomes)
    return suite


def _properties(report: Report) -> list[tuple[str, str]]:
    return [
        ("run", report.run_id),
        ("backend", report.backend),
        ("version", report.version),
        ("scenario.file", report.plan.file),
        ("scenario.sha256", report.plan.digest),
        ("seed", str(report.plan.seed)),
        ("time", "wall time of the run; steps may overlap"),
        ("verdict", f"{report.verdict.status}: {report.verdict.reason}"),
        *((f"var.{name}", value) for name, value in report.plan.variables.items()),
        *((f"target.{name}", value) for name, value in report.plan.targets.items()),
    ]


def _case(outcome: Outcome, classname: str) -> ET.Element:
    case = ET.Element(
        "testcase",
        name=_clean(f"{outcome.number} {outcome.name}"),
        classname=classname,
        time=_seconds(outcome.seconds),
    )
    message = _clean(outcome.summary.partition("\n")[0])
    body = _clean("\n".join(filter(None, (outcome.summary, outcome.trace))))
    if outcome.status is Status.SKIPPED:
        ET.SubElement(case, "skipped", message=message)
    elif outcome.status is not Status.PASSED:
        tag = "failure" if outcome.status is Status.FAILED else "error"
        ET.SubElement(case, tag, type=outcome.kind, message=message).text = body
    lost = "flakyFailure" if outcome.status is Status.PASSED else "rerunFailure"
    for summary in outcome.lost_attempts:
        attempt = ET.SubElement(case, lost, type=outcome.kind, message=_clean(summary.partition("\n")[0]))
        ET.SubElement(attempt, "stackTrace").text = _clean(summary)
    ET.SubElement(case, "system-out").text = _output(outcome)
    return case


def _output(outcome: Outcome) -> str:
    """Attachments first, each alone on its line: that is where the readers look for them."""
    attached = [f"[[ATTACHMENT|{path}]]" for path in outcome.attachments]
    numbers = [f"{name} = {value:g}" for name, value in outcome.numbers.items()]
    return _clean("\n".join([*attached, outcome.summary, *numbers]))[-OUTPUT_LIMIT:]


def _package(report: Report) -> str:
    """The scenario's folder, as the reader's package tree."""
    return PurePath(report.plan.file).parent.name or "scenarios"


def _seconds(value: float) -> str:
    return f"{max(0.0, value):.3f}"


def _clean(text: str) -> str:
    """Without colours and without characters that XML forbids."""
    return _ILLEGAL.sub("", without_colours(text))
