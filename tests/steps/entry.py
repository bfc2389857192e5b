"""Step entries as authors write them, planned without a planner."""

import textwrap
from typing import Any

import yaml

from scenario_runner.core.plan import PlannedStep
from scenario_runner.core.quantities import parse_seconds
from scenario_runner.core.step import Step
from scenario_runner.steps import STEPS
from tests.fakes import planned

_COMMON = {"id", "name", "timeout", "background", "continue_on_failure"}


def step_of(kind: str, value: Any) -> Step:
    """The step that a kind's value stands for, bare or not."""
    step = STEPS[kind]
    if not isinstance(value, dict):
        assert step.bare is not None, f"{kind} takes no bare value"
        value = {step.model_fields[step.bare].alias or step.bare: value}
    return step.model_validate(value)


def entry(text: str, **changes: Any) -> PlannedStep:
    """One entry of `steps:`."""
    written: dict[str, Any] = yaml.safe_load(textwrap.dedent(text))
    common = {key: written.pop(key) for key in tuple(written) if key in _COMMON}
    ((kind, value),) = written.items()
    step = step_of(kind, value)
    fields = {key: parse_seconds(value) if key == "timeout" else value for key, value in common.items() if key != "id"}
    return planned(step, common.get("id", ""), **fields | changes)


def entries(text: str) -> list[PlannedStep]:
    return [entry(yaml.safe_dump(one)) for one in yaml.safe_load(textwrap.dedent(text))]
