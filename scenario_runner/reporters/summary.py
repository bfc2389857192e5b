"""A run as Markdown for people: the verdict, where the time went, what was proved, what was taken back."""

from scenario_runner.core.report import Report
from scenario_runner.reporters.tables import MARKS, Lines, Table, lists, tables, without_colours


def render(report: Report) -> str:
    parts = [
        f"# {report.plan.scenario}: {MARKS[report.verdict.status]}",
        f"{report.verdict.reason}  \nRun `{report.run_id}` on {report.backend}, {report.seconds:.1f} s, "
        f"started {report.started:%Y-%m-%d %H:%M:%S} UTC.",
        *map(_table, tables(report)),
        *map(_list, lists(report)),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _table(table: Table) -> str:
    if not table.rows:
        return ""
    body = ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in table.rows]
    head = ["| " + " | ".join(table.header) + " |", "|" + " --- |" * len(table.header)]
    return "\n".join([f"## {table.title}", "", *head, *body])


def _list(lines: Lines) -> str:
    return "\n".join([f"## {lines.title}", "", *(f"* {line}" for line in lines.lines)]) if lines.lines else ""


def _cell(text: str) -> str:
    return "".join(char for char in without_colours(text).replace("\n", " ") if char.isprintable()).replace("|", "\\|")
