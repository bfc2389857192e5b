"""Lists as kubectl prints them: a Table with the columns of the real server."""

import re
from collections.abc import Callable
from typing import Any

from scenario_runner.lab.apiserver.cells import CELLS, age
from scenario_runner.lab.apiserver.objects import Json, dig
from scenario_runner.lab.apiserver.resources import Resource

Cell = Callable[[Json, float], Any]


def as_table(resource: Resource, objects: list[Json], meta: Json, include: str, now: float) -> Json:
    """Render objects; `include` is `Object`, `Metadata` or `None`, as the client asked."""
    columns = _columns(resource)
    rows = [{"cells": [cell(obj, now) for _, _, cell in columns], "object": _attached(obj, include)} for obj in objects]
    definitions = [
        {
            "name": name.rstrip("#"),
            "type": "integer" if name.endswith("#") else "string",
            "format": "name" if name == "Name" else "",
            "description": name.rstrip("#"),
            "priority": priority,
        }
        for name, priority, _ in columns
    ]
    body: Json = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": meta}
    return body | {"columnDefinitions": definitions, "rows": rows}


def _attached(obj: Json, include: str) -> Json | None:
    if include == "None":
        return None
    if include == "Object":
        return obj
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def _columns(resource: Resource) -> list[tuple[str, int, Cell]]:
    """(heading, priority, cell); priority 1 is shown by `-o wide` only."""
    if resource.columns:
        return [("Name", 0, _name), *[_custom(column) for column in resource.columns]]
    if resource.is_custom or resource.plural not in CELLS:
        return [("Name", 0, _name), ("Age", 0, age)]
    return [
        (heading.removesuffix("+"), int(heading.endswith("+")), cell)
        for heading, cell in CELLS[resource.plural].items()
    ]


def _name(obj: Json, _now: float) -> str:
    return str(obj["metadata"]["name"])


def _custom(column: Json) -> tuple[str, int, Cell]:
    """A column of a CRD; of JSONPath, plain paths and `[?(@.type=="X")]` are understood."""
    path = column["jsonPath"]

    def cell(obj: Json, now: float) -> Any:
        value = _follow(obj, path)
        return age({"metadata": {"creationTimestamp": value}}, now) if column["type"] == "date" else value

    return column["name"], int(column.get("priority") or 0), cell


def _follow(obj: Json, path: str) -> Any:
    plain, _, rest = path.partition("[?(@.")
    found = dig(obj, plain.strip("."))
    if match := re.fullmatch(r"(\w+)==[\"']([^\"']+)[\"']\)\]\.?(.*)", rest):
        one = next((item for item in found or [] if item.get(match[1]) == match[2]), None)
        return dig(one, match[3]) if match[3] else one
    return found
