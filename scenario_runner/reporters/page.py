"""A run as one HTML file that needs nothing else: how it went over time, then every table of the report."""

from html import escape
from importlib.resources import files
from urllib.parse import quote

from scenario_runner.core.outcome import Status
from scenario_runner.core.report import Report
from scenario_runner.reporters.tables import EVIDENCE, MARKS, PHASES, Lines, Table, lists, tables, without_colours
from scenario_runner.reporters.timeline import draw

# Nothing is loaded and nothing runs, whatever a message from the cluster contains.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STATUSES = {mark: status for status, mark in MARKS.items()}
_SHORT = 20  # characters


def render(report: Report) -> str:
    status = report.verdict.status
    title = f"{report.plan.scenario}: {status.value}"
    parts = [
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>\n{_styles()}</style></head><body>",
        f"<h1>{escape(report.plan.scenario)}{_pill(status)}</h1>",
        f'<p class="reason">{escape(report.verdict.reason)}</p>',
        *(f'<p class="about">{line}</p>' for line in _about(report)),
        f'<h2>Timeline</h2><div class="scroll">{draw(report)}</div>',
        *(_table(report, one) for one in tables(report)),
        *map(_list, lists(report)),
        "</body></html>\n",
    ]
    return "\n".join(filter(None, parts))


def _about(report: Report) -> list[str]:
    plan = report.plan
    chosen = "; ".join(f"{escape(name)} is {escape(words)}" for name, words in plan.targets.items())
    variables = ", ".join(f"{escape(name)} = {escape(value)}" for name, value in plan.variables.items())
    lines = [
        escape(plan.description),
        f"Run <code>{escape(report.run_id)}</code> of <code>{escape(plan.file)}</code> on {escape(report.backend)}, "
        f"started {report.started:%Y-%m-%d %H:%M:%S} UTC, {report.seconds:.1f} s, seed {plan.seed}",
        f"Targets: {chosen}" if chosen else "",
        f"Variables: {variables}" if variables else "",
        f"scenario-runner {escape(report.version)} on {escape(report.host)}" if report.version else "",
    ]
    return [line for line in lines if line]


def _table(report: Report, table: Table) -> str:
    if not table.rows:
        return ""
    bars = [_meter(phase.seconds, phase.budget) for phase in report.phases] if table.title == PHASES else None
    head = [*map(escape, table.header), *(["share of the budget"] if bars else [])]
    rows = [[*map(_field, row), *([bars[number]] if bars else [])] for number, row in enumerate(table.rows)]
    body = "\n".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    names = "".join(f"<th>{name}</th>" for name in head)
    return f'<h2>{escape(table.title)}</h2><div class="scroll"><table><tr>{names}</tr>\n{body}</table></div>'


def _meter(seconds: float | None, budget: float | None) -> str:
    if seconds is None or not budget:
        return "<td></td>"
    over = ' class="over"' if seconds > budget else ""
    return f'<td><div class="meter"><i{over} style="width: {min(seconds / budget, 1):.1%}"></i></div></td>'


def _pill(status: Status) -> str:
    return f'<span class="pill {status.value}">{status.value}</span>'


def _list(lines: Lines) -> str:
    if not lines.lines:
        return ""
    link = lines.title == EVIDENCE
    items = (f'<a href="{quote(line)}">{_cell(line)}</a>' if link else _cell(line) for line in lines.lines)
    return f"<h2>{escape(lines.title)}</h2><ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"


def _field(text: str) -> str:
    """A cell of a table; what is short stays on one line."""
    if text in _STATUSES:
        return f"<td>{_pill(_STATUSES[text])}</td>"
    return f"<td{' class=short' if len(text) <= _SHORT else ''}>{_cell(text)}</td>"


def _cell(text: str) -> str:
    """Text from the cluster: escaped, and without characters that are not to be seen."""
    return "".join(char for char in escape(without_colours(text)).replace("\n", " ") if char.isprintable())


def _styles() -> str:
    return (files(__package__) / "page.css").read_text(encoding="utf-8")
