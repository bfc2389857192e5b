"""Holds objects against their OpenAPI schema: unknown fields, types, required fields, enums and limits."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from scenario_runner.lab.apiserver.objects import Json

_META = frozenset({"apiVersion", "kind", "metadata"})
# These are written as a string in the document, but a number is as good.
_NUMBER_OR_TEXT = ("IntOrString", "Quantity")
# Fields that a real server's types leave out when they are false or empty; others are pointers, and kept.
_FALSE_IS_ABSENT = frozenset(
    {"paused", "hostNetwork", "hostPID", "hostIPC", "stdin", "stdinOnce", "tty", "readOnly", "unschedulable"}
    | {"publishNotReadyAddresses"}
)
_EMPTY_IS_ABSENT = frozenset({"value", "nodeName", "message", "reason", "podIP", "hostIP"})
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
_FORMATS: Mapping[str, re.Pattern[str]] = {"byte": _BASE64, "date-time": _TIME}
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


@dataclass
class Findings:
    """What a walk over one object found; `problems` are (field, reason, message)."""

    is_builtin: bool
    unknown: list[str] = field(default_factory=list)
    mistyped: list[str] = field(default_factory=list)
    problems: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Schemas:
    """Resolves references between definitions and walks objects along them."""

    definitions: Mapping[str, Json]

    def resolve(self, schema: Json) -> Json:
        while "$ref" in schema:
            schema = self.definitions[schema["$ref"].rsplit("/", 1)[1]]
        return schema

    def of_field(self, schema: Json, name: str) -> Json:
        """The schema of a field before references are followed: patch strategies stand there."""
        schema = self.resolve(schema)
        found = (schema.get("properties") or {}).get(name)
        if found is None:
            found = schema.get("additionalProperties")
        return found if isinstance(found, dict) else {}

    def walk(self, obj: Any, schema: Json) -> Findings:
        """Check an object and take out, in place, every field that its schema does not know."""
        findings = Findings("$ref" in schema)
        self._visit(obj, schema, "", findings)
        return findings

    def _visit(self, value: Any, schema: Json, path: str, findings: Findings) -> None:
        if schema.get("$ref", "").endswith(_NUMBER_OR_TEXT) or value is None:
            return
        schema = self.resolve(schema)
        if not _fits(value, schema):
            findings.mistyped.append(f"{path or '<root>'} must be of type {schema['type']}")
            return
        findings.problems += [(path, *problem) for problem in _limits(value, schema)]
        if isinstance(value, dict):
            self._visit_fields(value, schema, path, findings)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self._visit(item, schema.get("items") or {}, f"{path}[{index}]", findings)

    def _is_left_out(self, value: Any, schema: Json, name: str) -> bool:
        """The real server's types do not write what is null, nor an empty list or map; an empty struct they do."""
        if value is None:
            return True
        is_empty = value in ([], {}) and "$ref" not in self.of_field(schema, name)
        is_empty = (
            is_empty or (value is False and name in _FALSE_IS_ABSENT) or (value == "" and name in _EMPTY_IS_ABSENT)
        )
        return is_empty and "properties" in schema and name not in (schema.get("required") or ())

    def _visit_fields(self, value: Json, schema: Json, path: str, findings: Findings) -> None:
        for name in schema.get("required") or ():
            # In the built-in types an absent field is that type's empty value; validation knows which may not be.
            if name not in value and not findings.is_builtin:
                findings.problems.append((_join(path, name), "FieldValueRequired", "Required value"))
        is_closed = "properties" in schema and "additionalProperties" not in schema
        is_closed = is_closed and not schema.get("x-kubernetes-preserve-unknown-fields")
        if findings.is_builtin and self.of_field(schema, "").get("type") == "string":
            value |= {name: "" for name, text in value.items() if text is None}
        for name in list(value):
            if is_closed and name not in schema["properties"] and (path or name not in _META):
                findings.unknown.append(_join(path, name))
                del value[name]
            elif findings.is_builtin and self._is_left_out(value[name], schema, name):
                del value[name]
            elif path or name not in _META or "$ref" in self.of_field(schema, name):
                self._visit(value[name], self.of_field(schema, name), _join(path, name), findings)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _fits(value: Any, schema: Json) -> bool:
    wanted = schema.get("type")
    if not wanted or schema.get("x-kubernetes-int-or-string"):
        return True
    if isinstance(value, bool):
        return bool(wanted == "boolean")
    if wanted == "integer" and isinstance(value, float):
        return value.is_integer()
    if isinstance(value, str) and (pattern := _FORMATS.get(schema.get("format", ""))):
        return bool(pattern.fullmatch(value))
    return isinstance(value, _TYPES[wanted])


def _limits(value: Any, schema: Json) -> Iterator[tuple[str, str]]:
    if "enum" in schema and value not in schema["enum"]:
        allowed = ", ".join(f'"{one}"' for one in schema["enum"])
        yield "FieldValueNotSupported", f'Unsupported value: "{value}": supported values: {allowed}'
    if isinstance(value, int | float):
        if "minimum" in schema and value < schema["minimum"]:
            limit = f"should be greater than or equal to {schema['minimum']}"
            yield "FieldValueInvalid", f"Invalid value: {value}: {limit}"
        if "maximum" in schema and value > schema["maximum"]:
            limit = f"should be less than or equal to {schema['maximum']}"
            yield "FieldValueInvalid", f"Invalid value: {value}: {limit}"
    if isinstance(value, str) and not re.search(schema.get("pattern") or "", value):
        yield "FieldValueInvalid", f"Invalid value: \"{value}\": should match '{schema['pattern']}'"
