"""The tables of a report, as rows of text; every format that people read shows these."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from scenario_runner.core.outcome import Status
from scenario_runner.core.report import LoadSummary, Report

MARKS = {
    Status.PASSED: "✅ passed",
    Status.FAILED: "❌ failed",
    Status.BROKEN: "💥 broken",
    Status.SKIPPED: "⏭️ skipped",
    Status.INTERRUPTED: "✋ interrupted",
}


@dataclass(frozen=True)
class Table:
    """A heading, what the columns are, and the rows, which may be none."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Lines:
    """A heading and lines below it, which may be none."""

    title: str
    lines: Sequence[str]


_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")

PHASES, STEPS, EVIDENCE = "How the platform reacted", "Steps", "Evidence"
_LOAD = ("load", "requests", "succeeded", "ratio", "p50", "p95", "p99")
_TOKENS = ("first token p95", "between tokens p50", "between tokens p95")
_HITS = ("fault", "process", "pod", "calls", "first", "answer", "since", "after arming")


def tables(report: Report) -> Iterator[Table]:
    yield Table(PHASES, ("phase", "node", "after the fault", "budget", "seen"), [*_phases(report)])
    yield Table(STEPS, ("#", "step", "outcome", "took", "budget", "finding"), [*_steps(report)])
    yield Table(
        "Faults", ("fault", "what", "node", "GPU", "proof", "kernel log record", "in force"), [*_faults(report)]
    )
    yield Table("CUDA calls that were hit", _HITS, [*_hits(report)])
    yield Table("Requests", (*_LOAD, *_TOKENS, "failures"), [*map(_load, report.loads)])
    yield Table("Taken back", ("#", "what", "step", "outcome", "took"), [*_undo(report)])


def lists(report: Report) -> Iterator[Lines]:
    yield Lines(EVIDENCE, [path for outcome in report.outcomes for path in outcome.attachments])
    yield Lines("Known to stay", report.residue)
    yield Lines("Notes", report.notes)


def _phases(report: Report) -> Iterable[Sequence[str]]:
    return (
        (phase.phase, phase.node, seconds(phase.seconds, "never"), seconds(phase.budget), phase.detail)
        for phase in report.phases
    )


def _steps(report: Report) -> Iterable[Sequence[str]]:
    return (
        (one.number, one.name, MARKS[one.status], seconds(one.seconds), seconds(one.timeout), one.summary)
        for one in report.outcomes
    )


def _faults(report: Report) -> Iterable[Sequence[str]]:
    for fault in report.faults:
        record = f"#{fault.record.sequence} ({fault.record.kernel_log})" if fault.record else ""
        end = "open" if fault.end is None else f"{fault.end:.1f} s"
        window = f"{fault.start:.1f} s to {end} {fault.end_reason}".strip()
        what = f"CUDA {fault.cuda}" if fault.cuda else f"XID {fault.xid}"
        yield fault.fault_id, what, fault.node, fault.gpu, fault.evidence, record, window


def _hits(report: Report) -> Iterable[Sequence[str]]:
    for fault in report.faults:
        for one in sorted(fault.hits, key=lambda hit: hit.first):
            pod = (one.pod or "of no pod") + (" (came by exec, does not count)" if one.probe else "")
            process = f"{one.process} ({one.pid})"
            after = seconds(_between(fault.ordered, one.first))
            yield fault.step_id, process, pod, str(one.hits), one.function, str(one.code), one.first, after


def _between(start: str, end: str) -> float | None:
    """Seconds between two moments in ISO 8601; None where one is not known."""
    if not start or not end:
        return None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def _load(load: LoadSummary) -> Sequence[str]:
    ratio = "" if load.ratio is None else f"{load.ratio:.3f}"
    failures = ", ".join(f"{count} x {reason}" for reason, count in load.failures.items())
    latencies = (load.p50, load.p95, load.p99, load.first_token_p95, load.inter_token_p50, load.inter_token_p95)
    return (
        load.step_id,
        str(load.requests),
        str(load.succeeded),
        ratio,
        *map(seconds, latencies),
        failures or load.broken,
    )


def _undo(report: Report) -> Iterable[Sequence[str]]:
    return (
        (str(one.seq), one.subject, one.step_id, f"{one.outcome}: {one.detail}", seconds(one.seconds))
        for one in report.undo
    )


def without_colours(text: str) -> str:
    """Messages of programs may hold codes that only a terminal understands."""
    return _ANSI.sub("", text)


def seconds(value: float | None, absent: str = "") -> str:
    if value is None:
        return absent
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"
