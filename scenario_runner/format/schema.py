"""The JSON Schema of a scenario file, made from the models: what editors offer, and what CI checks without us."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from scenario_runner.core.quantities import format_seconds
from scenario_runner.core.step import Step
from scenario_runner.format.entries import Common, Kinds
from scenario_runner.format.scenario import Header
from scenario_runner.format.targets import DECLARATIONS
from scenario_runner.steps.group import Group

Schema: TypeAlias = dict[str, Any]

_TEMPLATE = {"$ref": "#/$defs/template"}
_SINGLE = {"string", "integer", "number", "boolean"}
_MODE: JsonSchemaMode = "validation"


def json_schema(kinds: Kinds) -> Schema:
    """Draft 2020-12. It accepts what the loader accepts; what only the loader can know it leaves to the loader."""
    own = {kind: cls for kind, cls in kinds.items() if kind != "group"}
    models: list[type[BaseModel]] = [Header, Common, *DECLARATIONS.values(), *own.values()]
    found, definitions = models_json_schema([(model, _MODE) for model in models], ref_template="#/$defs/{model}")
    defs: Schema = {name: _templated(one) for name, one in definitions["$defs"].items()}
    header, common = (_taken(defs, found[model, _MODE]) for model in (Header, Common))
    values = {kind: _kind(cls, found[cls, _MODE], defs) for kind, cls in own.items()}
    reading = {kind: values[kind] for kind, cls in own.items() if cls.reads_only}
    defs |= {
        "template": {"type": "string", "pattern": "\\{\\{.*\\}\\}", "description": "A variable: {{ name }}."},
        "target": {"anyOf": [found[declared, _MODE] for declared in DECLARATIONS.values()]},
        "step": _step({**values, "group": _group()}, common),
        "reading_step": _step(reading, common),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Scenario",
        "description": "One GPU fault drill: variables, targets, guards, steps.",
        "type": "object",
        "properties": {**header["properties"], **_lists()},
        "required": [*header["required"], "steps"],
        "additionalProperties": False,
        "$defs": dict(sorted(defs.items())),
    }


def _taken(defs: Schema, ref: Mapping[str, Any]) -> Schema:
    """A definition that becomes part of another one."""
    taken: Schema = defs.pop(str(ref["$ref"]).rpartition("/")[2])
    return taken


def _lists() -> Schema:
    def steps(description: str, kind: str = "reading_step", **more: object) -> Schema:
        return {"type": "array", "items": {"$ref": f"#/$defs/{kind}"}, "description": description, **more}

    return {
        "vars": {
            "type": ["object", "null"],
            "propertyNames": {"pattern": "^[a-z][a-z0-9_]*$"},
            "additionalProperties": {"type": sorted(_SINGLE)},
            "description": "Variables and their values; --var, --vars-file and SCENARIO_VAR_NAME override them.",
        },
        "targets": {
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z0-9][A-Za-z0-9_-]*$"},
            "additionalProperties": {"$ref": "#/$defs/target"},
            "description": "Names for things in the cluster, looked up once before the first step.",
        },
        "health": steps("What must hold before the first step, and again after undo."),
        "steps": steps("What the scenario does, one step after the other.", "step", minItems=1),
        "always": steps("Carried out whatever happened, before undo."),
        "after": steps("Carried out after everything was taken back."),
    }


def _kind(cls: type[Step], ref: Mapping[str, Any], defs: Schema) -> Schema:
    """What may stand behind a kind: its fields, its short form, or nothing where nothing is needed."""
    schema = defs[str(ref["$ref"]).rpartition("/")[2]]
    ways: list[Any] = [dict(ref)]
    if cls.bare is not None:
        field = cls.model_fields[cls.bare]
        ways.append(schema["properties"][field.alias or cls.bare])
    if not schema.get("required"):
        ways.append({"type": "null"})
    about = (schema.get("description") or "").partition("\n\n")[0].replace("\n", " ")
    return {"anyOf": ways, "description": about}


def _group() -> Schema:
    inner = {"type": "array", "items": {"$ref": "#/$defs/step"}, "minItems": 1}
    about = (Group.__doc__ or "").strip().partition("\n")[0]
    return {
        "type": "object",
        "properties": {"steps": inner},
        "required": ["steps"],
        "additionalProperties": False,
        "description": about,
    }


def _step(values: Mapping[str, Schema], common: Schema) -> Schema:
    return {
        "type": "object",
        "properties": {**values, **common["properties"]},
        "additionalProperties": False,
        "oneOf": [{"required": [kind]} for kind in values],
    }


def _templated(schema: Any) -> Any:
    """The schema with every single value also given by a variable, and defaults as they are written."""
    if isinstance(schema, list):
        return [_templated(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if _is_single(schema):
        return _or_template(_written_default(schema))
    names = {"properties", "$defs", "patternProperties"}
    return {
        key: {name: _templated(one) for name, one in value.items()} if key in names else _inner(key, value)
        for key, value in schema.items()
    }


def _inner(key: str, value: Any) -> Any:
    return (
        _templated(value)
        if key in {"anyOf", "oneOf", "allOf", "items", "prefixItems", "additionalProperties"}
        else value
    )


def _is_single(schema: Schema) -> bool:
    return schema.get("type") in _SINGLE or "enum" in schema or "const" in schema


def _written_default(schema: Schema) -> Schema:
    default = schema.get("default")
    if schema.get("type") == "string" and isinstance(default, int | float):
        return {**schema, "default": format_seconds(default)}
    return schema


def _or_template(schema: Schema) -> Schema:
    if schema.get("type") == "string" and not _narrow(schema):
        return schema  # any text will do, a template is one
    outer = {key: value for key, value in schema.items() if key in {"description", "default", "title"}}
    inner = {key: value for key, value in schema.items() if key not in outer}
    return {**outer, "anyOf": [inner, _TEMPLATE]}


def _narrow(schema: Iterable[str]) -> bool:
    return any(key in schema for key in ("pattern", "enum", "const", "format"))
