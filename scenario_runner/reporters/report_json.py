"""A report as JSON, back again, and the schema of that file."""

from typing import Any

from pydantic import TypeAdapter

from scenario_runner.core.report import Report

_REPORT = TypeAdapter(Report)


def render(report: Report) -> str:
    return _REPORT.dump_json(report, indent=2).decode() + "\n"


def parse(text: str) -> Report:
    """Read what `render` wrote, also by an older version."""
    return _REPORT.validate_json(text)


def json_schema() -> dict[str, Any]:
    """What `schemas/report.schema.json` is made from."""
    schema = _REPORT.json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "scenario-runner report", **schema}
