"""The three kinds of patch: JSON (RFC 6902), merge (RFC 7386) and Kubernetes' strategic merge."""

from dataclasses import dataclass
from typing import Any

import jsonpatch

from scenario_runner.lab.apiserver.failures import ApiError, bad_request, unsupported_media
from scenario_runner.lab.apiserver.objects import Json, clone
from scenario_runner.lab.apiserver.schema import Schemas

_JSON = "application/json-patch+json"
_MERGE = "application/merge-patch+json"
_STRATEGIC = "application/strategic-merge-patch+json"
_ORDER = "$setElementOrder/"
_DELETE_FROM = "$deleteFromPrimitiveList/"


@dataclass(frozen=True)
class Patch:
    """A patch as a request carries it: its media type and its body."""

    media_type: str
    body: Any

    def apply(self, obj: Json, schema: Json, schemas: Schemas, *, is_custom: bool) -> Json:
        """Return the patched object; `obj` stays as it is.

        Raises ApiError: 400 for a malformed patch, 415 for a media type the resource does not take, 422 for a
        JSON Patch that does not apply (a failed `test` included).
        """
        if self.media_type == _JSON:
            return _json_patch(obj, self.body)
        if not isinstance(self.body, dict):
            raise bad_request("the patch must be a JSON object")
        if self.media_type == _MERGE:
            result: Json = merged(obj, self.body)
            return result
        if self.media_type == _STRATEGIC and not is_custom:
            return _Strategic(schemas).merge(obj, self.body, schema)
        accepted = [_JSON, _MERGE] if is_custom else [_JSON, _MERGE, _STRATEGIC]
        raise unsupported_media(", ".join(accepted))


def _json_patch(obj: Json, operations: Any) -> Json:
    if not isinstance(operations, list) or not all(isinstance(one, dict) for one in operations):
        raise bad_request("error decoding patch: it is no list of operations")
    result = clone(obj)
    try:
        for operation in operations:
            result = jsonpatch.JsonPatch([_as_go_does(operation, result)]).apply(result)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError) as error:
        message = f"the server rejected our request due to an error in our request: {error}"
        raise ApiError(422, "Invalid", message, {}) from error
    if not isinstance(result, dict):
        raise bad_request("the patch leaves something that is no object")
    return result


def _as_go_does(operation: Json, obj: Json) -> Json:
    """The real server's library also replaces a key that is not there, where RFC 6902 refuses."""
    if operation.get("op") != "replace":
        return operation
    parent, key = jsonpatch.JsonPointer(operation.get("path", "")).to_last(obj)
    return operation | {"op": "add"} if isinstance(parent, dict) and key not in parent else operation


def merged(old: Any, patch: Any) -> Any:
    """RFC 7386: null deletes, objects merge, everything else replaces."""
    if not isinstance(patch, dict):
        return clone(patch)
    result = dict(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


@dataclass(frozen=True)
class _Strategic:
    """Strategic merge: the schema says which lists are merged, and by which key."""

    schemas: Schemas

    def merge(self, old: Any, patch: Json, schema: Json) -> Json:
        if patch.get("$patch") == "replace":
            return {name: clone(value) for name, value in patch.items() if name != "$patch"}
        if patch.get("$patch") == "delete":
            return {}
        result = dict(old) if isinstance(old, dict) else {}
        if "$retainKeys" in patch:
            result = {name: value for name, value in result.items() if name in patch["$retainKeys"]}
        for name, value in patch.items():
            if not name.startswith("$"):
                self._merge_field(result, name, value, patch, schema)
            elif name.startswith(_DELETE_FROM):
                field = name.removeprefix(_DELETE_FROM)
                result[field] = [item for item in result.get(field) or [] if item not in value]
        self._order_untouched(result, patch, schema)
        return result

    def _merge_field(self, result: Json, name: str, value: Any, patch: Json, schema: Json) -> None:
        field = self.schemas.of_field(schema, name)
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict) and field.get("x-kubernetes-patch-strategy") != "replace":
            result[name] = self.merge(result.get(name), value, field)
        elif isinstance(value, list) and "merge" in field.get("x-kubernetes-patch-strategy", ""):
            order = patch.get(_ORDER + name)
            result[name] = self._merge_list(result.get(name) or [], value, field, order)
        else:
            result[name] = clone(value)

    def _merge_list(self, old: list[Any], patch: list[Any], field: Json, order: list[Any] | None) -> list[Any]:
        key = field.get("x-kubernetes-patch-merge-key")
        if not key:
            merged_values = old + [item for item in patch if item not in old]
            return _ordered(merged_values, order or patch, old, key)
        if any(item.get("$patch") == "replace" for item in patch):
            return [clone(item) for item in patch if "$patch" not in item]
        result = list(old)
        for item in patch:
            if key not in item:
                raise bad_request(f"map: {item} does not contain declared merge key: {key}")
            self._merge_item(result, item, key, field.get("items") or {})
        return _ordered(result, order or patch, old, key)

    def _merge_item(self, result: list[Any], item: Json, key: str, schema: Json) -> None:
        index = next((at for at, one in enumerate(result) if one.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            if index is not None:
                del result[index]
        elif index is None:
            result.append(self.merge({}, item, schema))
        else:
            result[index] = self.merge(result[index], item, schema)

    def _order_untouched(self, result: Json, patch: Json, schema: Json) -> None:
        """A patch may order a list that it does not change otherwise."""
        for name, order in patch.items():
            field = name.removeprefix(_ORDER)
            if name.startswith(_ORDER) and field not in patch and isinstance(result.get(field), list):
                key = self.schemas.of_field(schema, field).get("x-kubernetes-patch-merge-key")
                result[field] = _ordered(result[field], order, result[field], key)


def _ordered(items: list[Any], wanted: list[Any], live: list[Any], key: str | None) -> list[Any]:
    """The items that the patch names in its order, the others put between them as they were in the live list."""

    def places(of: list[Any]) -> dict[Any, int]:
        return {one.get(key) if key else one: place for place, one in enumerate(of)}

    def name(item: Any) -> Any:
        return item.get(key) if key else item

    by_patch, by_live = places(wanted), places(live)
    ours = sorted((item for item in items if name(item) in by_patch), key=lambda item: by_patch[name(item)])
    result: list[Any] = []
    for other in (item for item in items if name(item) not in by_patch):
        while ours and not by_live.get(name(other), 0) < by_live.get(name(ours[0]), -1):
            result.append(ours.pop(0))
        result.append(other)
    return result + ours
