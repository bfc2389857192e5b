"""
Writes the generated files of the repository anew, or says which of them are not up to date (`--check`).

Everything below is made from the code, so that editors, readers and the programs themselves can not disagree.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fault_agent.main import openapi_document
from scenario_runner.format.schema import json_schema
from scenario_runner.reporters import report_json, step_docs
from scenario_runner.steps import STEPS
from tests.deploy.pins import image_requirements

ROOT = Path(__file__).parent.parent


def generated() -> Iterator[tuple[str, str]]:
    """Path in the repository and content of each generated file."""
    xids = (ROOT / "schemas/xids.json").read_text(encoding="utf-8")
    yield "agent/fault_agent/xids.json", xids
    yield "scenario_runner/gpu/xids.json", xids
    profiles = (ROOT / "schemas/cuda_profiles.json").read_text(encoding="utf-8")
    yield "scenario_runner/gpu/cuda_profiles.json", profiles
    yield "agent/fault_agent/cuda_profiles.json", profiles
    yield "schemas/agent.openapi.json", openapi_document() + "\n"
    yield "schemas/scenario.schema.json", _json(json_schema(STEPS))
    yield "schemas/report.schema.json", _json(report_json.json_schema())
    yield "schemas/steps.md", step_docs.render(STEPS)
    yield from image_requirements()


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    stale = []
    for name, content in generated():
        path = ROOT / name
        if path.is_file() and path.read_text(encoding="utf-8") == content:
            continue
        stale.append(name)
        if "--check" not in arguments:
            path.write_text(content, encoding="utf-8")
    verb = "not up to date, type `make generate`" if "--check" in arguments else "written"
    print(*(f"{name}: {verb}" for name in stale), sep="\n", end="\n" if stale else "")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
