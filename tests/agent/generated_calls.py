"""Makes calls from the OpenAPI document: what fits its schemas, what nearly does, and what does not at all."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st

Schema = dict[str, Any]

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@dataclass(frozen=True)
class Call:
    """One request, ready to be sent."""

    method: str
    path: str
    params: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    json: Any = None


@dataclass(frozen=True)
class Document:
    """An OpenAPI document.

    `known` are values for parameters and fields by name, `bodies` bodies by operation that are accepted: from them
    calls get somewhere.
    """

    content: Schema
    known: dict[str, list[Any]]
    bodies: dict[tuple[str, str], Schema]

    def operations(self) -> list[tuple[str, str]]:
        return [(method, path) for path, methods in sorted(self.content["paths"].items()) for method in sorted(methods)]

    def calls(self, method: str, path: str) -> st.SearchStrategy[Call]:
        """Calls of one operation."""
        operation = self.content["paths"][path][method]
        given: dict[str, list[tuple[str, st.SearchStrategy[Any]]]] = {"path": [], "query": [], "header": []}
        for parameter in operation.get("parameters", []):
            given[parameter["in"]].append((parameter["name"], self._value(parameter["name"], parameter["schema"])))
        body = operation.get("requestBody")
        return st.builds(
            _call,
            st.just(method),
            st.just(path),
            st.fixed_dictionaries(dict(given["path"])),
            st.fixed_dictionaries({}, optional=dict(given["query"])),
            st.fixed_dictionaries({}, optional=dict(given["header"])),
            st.none()
            if body is None
            else self._body(self.bodies[method, path], body["content"]["application/json"]["schema"]),
        )

    def _body(self, accepted: Schema, schema: Schema) -> st.SearchStrategy[Any]:
        fits = self.strategy(schema)
        more = st.dictionaries(st.sampled_from(sorted(accepted)) | st.text(max_size=8), ANYTHING, max_size=2)
        changed = st.builds(_changed, st.just(accepted), fits, st.integers(0, 2))
        return st.one_of(changed, changed, fits, st.builds(lambda body, other: {**body, **other}, fits, more), ANYTHING)

    def _value(self, name: str, schema: Schema) -> st.SearchStrategy[Any]:
        known = self.known.get(name)
        fits = self.strategy(schema)
        return st.one_of(st.sampled_from(known), st.sampled_from(known), fits) if known else fits

    def strategy(self, schema: Schema) -> st.SearchStrategy[Any]:
        """Values that fit the schema, as far as it is spelt in these documents."""
        if "$ref" in schema:
            return self.strategy(self.content["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
        if "anyOf" in schema:
            return st.one_of([self.strategy(one) for one in schema["anyOf"]])
        if "enum" in schema or "const" in schema:
            return st.sampled_from(schema.get("enum", [schema.get("const")]))
        return getattr(self, f"_{schema['type']}")(schema)  # type: ignore[no-any-return]

    def _object(self, schema: Schema) -> st.SearchStrategy[Any]:
        fields = {name: self._value(name, one) for name, one in schema.get("properties", {}).items()}
        needed = {name: fields.pop(name) for name in schema.get("required", [])}
        return st.fixed_dictionaries(needed, optional=fields)

    def _array(self, schema: Schema) -> st.SearchStrategy[Any]:
        longest = min(schema.get("maxItems", 3), 3)
        return st.lists(self.strategy(schema["items"]), min_size=schema.get("minItems", 0), max_size=longest)

    def _integer(self, schema: Schema) -> st.SearchStrategy[Any]:
        highest = schema.get("maximum", schema.get("exclusiveMaximum", 2**70) - 1)
        return st.integers(schema.get("minimum"), highest)

    def _number(self, schema: Schema) -> st.SearchStrategy[Any]:
        lowest = schema.get("minimum", schema.get("exclusiveMinimum"))
        shut_out = "exclusiveMinimum" in schema
        return st.floats(lowest, schema.get("maximum"), exclude_min=shut_out, allow_nan=False, allow_infinity=False)

    def _string(self, schema: Schema) -> st.SearchStrategy[Any]:
        if "pattern" in schema:
            return st.from_regex(schema["pattern"]).filter(lambda text: len(text) <= schema.get("maxLength", 50))
        return st.text(min_size=schema.get("minLength", 0), max_size=min(schema.get("maxLength", 20), 20))

    def _boolean(self, _: Schema) -> st.SearchStrategy[Any]:
        return st.booleans()

    def _null(self, _: Schema) -> st.SearchStrategy[Any]:
        return st.none()


def _changed(accepted: Schema, other: Schema, count: int) -> Schema:
    """The accepted body with so many fields of another one."""
    return {**accepted, **dict(list(other.items())[-count:] if count else [])}


def _call(method: str, path: str, names: Schema, query: Schema, headers: Schema, body: Any) -> Call:
    for name, value in names.items():
        path = path.replace(f"{{{name}}}", quote(str(value), safe="~") or "~")
    return Call(
        method,
        path,
        {name: str(value) for name, value in query.items() if value is not None},
        {name: _as_header(value) for name, value in headers.items() if value is not None},
        body,
    )


def _as_header(value: Any) -> str:
    """What HTTP lets through."""
    return "".join(letter for letter in str(value) if " " <= letter <= "~").strip()
