"""A run as Markdown for people: the verdict, where the time went, what was proved, what was taken back."""

from collections.abc import Iterable, Sequence

from scenario_runner.core.outcome import Status
from scenario_runner.core.report import LoadSummary, Report

MARKS = {
    Status.PASSED: "✅ passed",
    Status.FAILED: "❌ failed",
    Status.BROKEN: "💥 broken",
    Status.SKIPPED: "⏭️ skipped",
    Status.INTERRUPTED: "✋ interrupted",
}


def render(report: Report) -> str:
    parts = [
        f"# {report.plan.scenario}: {MARKS[report.verdict.status]}",
        f"{report.verdict.reason}  \nRun `{report.run_id}` on {report.backend}, {report.seconds:.1f} s, "
        f"started {report.started:%Y-%m-%d %H:%M:%S} UTC.",
        _section("How the platform reacted", ("phase", "node", "after the fault", "budget", "seen"), _phases(report)),
        _section("Steps", ("#", "step", "outcome", "took", "budget", "finding"), _steps(report)),
        _section("Faults", ("fault", "what", "node", "GPU", "proof", "kernel log record", "in force"), _faults(report)),
        _section(
            "CUDA calls that were hit", ("fault", "process", "pod", "calls", "first", "answer", "since"), _hits(report)
        ),
        _section(
            "Requests",
            (
                "load",
                "requests",
                "succeeded",
                "ratio",
                "p50",
                "p95",
                "p99",
                "first token p95",
                "between tokens p50",
                "between tokens p95",
                "failures",
            ),
            map(_load, report.loads),
        ),
        _section("Taken back", ("#", "what", "step", "outcome", "took"), _undo(report)),
        _list("Evidence", [path for outcome in report.outcomes for path in outcome.attachments]),
        _list("Known to stay", report.residue),
        _list("Notes", report.notes),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _phases(report: Report) -> Iterable[Sequence[str]]:
    return (
        (phase.phase, phase.node, _seconds(phase.seconds, "never"), _seconds(phase.budget), phase.detail)
        for phase in report.phases
    )


def _steps(report: Report) -> Iterable[Sequence[str]]:
    return (
        (one.number, one.name, MARKS[one.status], _seconds(one.seconds), _seconds(one.timeout), one.summary)
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
            yield fault.step_id, process, pod, str(one.hits), one.function, str(one.code), one.first


def _load(load: LoadSummary) -> Sequence[str]:
    ratio = "" if load.ratio is None else f"{load.ratio:.3f}"
    failures = ", ".join(f"{count} x {reason}" for reason, count in load.failures.items())
    latencies = (load.p50, load.p95, load.p99, load.first_token_p95, load.inter_token_p50, load.inter_token_p95)
    return (
        load.step_id,
        str(load.requests),
        str(load.succeeded),
        ratio,
        *map(_seconds, latencies),
        failures or load.broken,
    )


def _undo(report: Report) -> Iterable[Sequence[str]]:
    return (
        (str(one.seq), one.subject, one.step_id, f"{one.outcome}: {one.detail}", _seconds(one.seconds))
        for one in report.undo
    )


def _section(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    if not body:
        return ""
    head = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return "\n".join([f"## {title}", "", *head, *body])


def _list(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"## {title}", "", *(f"* {line}" for line in lines)]) if lines else ""


def _cell(text: str) -> str:
    return "".join(char for char in text.replace("\n", " ") if char.isprintable()).replace("|", "\\|")


def _seconds(value: float | None, absent: str = "") -> str:
    if value is None:
        return absent
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"
