"""What the fields of a step refer to: targets, loads and other steps, found through the fields' annotations."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel

from scenario_runner.core.quantities import Limit
from scenario_runner.core.step import LoadName, Step, StepName, TargetKinds
from scenario_runner.format.sentences import Loc

Meaning = TargetKinds | LoadName | StepName


@dataclass(frozen=True)
class Reference:
    """The field at `loc` of a step names `value`, and the name means a target, a load or a step."""

    loc: Loc
    value: str
    meaning: Meaning


def references(step: Step) -> Iterator[Reference]:
    """Every reference of a step, the baseline of a limit included."""
    yield from _of_model(step, ())


def _of_model(model: BaseModel, loc: Loc) -> Iterator[Reference]:
    for name, field in type(model).model_fields.items():
        found = [one for one in field.metadata if isinstance(one, Meaning)] or list(_meanings(field.annotation))
        yield from _of_value(getattr(model, name), (*loc, field.alias or name), found[0] if found else None)


def _meanings(annotation: Any) -> Iterator[Meaning]:
    for one in (*get_args(annotation), *getattr(annotation, "__metadata__", ())):
        if isinstance(one, Meaning):
            yield one
        else:
            yield from _meanings(one)


def _of_value(value: Any, loc: Loc, meaning: Meaning | None) -> Iterator[Reference]:
    if isinstance(value, Limit) and value.baseline is not None:
        yield Reference(loc, value.baseline, LoadName())
    elif isinstance(value, BaseModel):
        yield from _of_model(value, loc)
    elif isinstance(value, list | tuple):
        for at, inner in enumerate(value):
            yield from _of_value(inner, (*loc, at), meaning)
    elif isinstance(value, str) and meaning is not None:
        yield Reference(loc, value, meaning)
