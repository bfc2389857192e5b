"""The values of the chart: each has a type, none is forgotten, and a wrong one is refused."""

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml

from tests.deploy.charts import AGENT_CHART, GOLDEN

Json = Any

SCHEMA = json.loads((AGENT_CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((AGENT_CHART / "values.yaml").read_text())
FREE = {"selector", "inventory", "resources", "podAnnotations", "nodeSelector", "annotations"}  # maps of the user's own


def problems(values: Json) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in jsonschema.Draft7Validator(SCHEMA).iter_errors(values)]


def leaves(values: Json, path: tuple[str, ...] = ()) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict) and key not in FREE:
            yield from leaves(value, (*path, key))
        else:
            yield ".".join((*path, key))


def in_schema(schema: Json, path: tuple[str, ...] = ()) -> Iterator[str]:
    for key, one in schema["properties"].items():
        if "properties" in one:
            yield from in_schema(one, (*path, key))
        else:
            yield ".".join((*path, key))


def test_the_values_that_the_chart_comes_with_fit_its_schema() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert problems(VALUES) == []


@pytest.mark.parametrize("name", ["agent-everything", "plain"])
def test_values_of_the_golden_files_fit_the_schema(name: str) -> None:
    values = yaml.safe_load((GOLDEN / f"{name}.values.yaml").read_text())
    del values.get("node", {"selector": {"nvidia.com/gpu.present": None}})["selector"]["nvidia.com/gpu.present"]
    assert problems(values) == []


def test_every_value_has_a_type_and_every_type_a_value() -> None:
    assert sorted(leaves(VALUES)) == sorted(set(in_schema(SCHEMA)) - {"global"})


def test_the_templates_use_every_value_and_no_other() -> None:
    text = "".join(path.read_text() for path in sorted((AGENT_CHART / "templates").iterdir()))
    used = set(re.findall(r"\.Values\.([A-Za-z.]+)", text))
    known = set(leaves(VALUES))
    tops = {"image", "gateway.awayFrom"}  # taken whole by a helper template, their parts are named there
    assert used <= known | tops
    parts = {f"{top}.{part}" for top in tops for part in re.findall(r"(?:\$away|\$?)\.([A-Za-z]+)", text)}
    assert known - used <= parts


NODE_NAME = "^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
NO_MINOR = {"index": 0, "uuid": "GPU-0a", "pci": "0000:17:00"}
BAD = [
    ("node.port", 443, "$.node.port: 443 is less than the minimum of 1024"),
    ("node.prot", 9443, "$.node: Additional properties are not allowed ('prot' was unexpected)"),
    ("node.allowXids", ["79"], "$.node.allowXids[0]: '79' is not of type 'integer'"),
    ("node.allowXids", [79, 79], "$.node.allowXids: [79, 79] has non-unique elements"),
    ("node.stateDir", "var/lib", "$.node.stateDir: 'var/lib' does not match '^/[^:]+$'"),
    ("node.selector", {}, "$.node.selector: {} should be non-empty"),
    ("node.maxUnavailable", "some", "$.node.maxUnavailable: 'some' does not match '^[0-9]+%$'"),
    ("node.inventory", {"gpu-1": [NO_MINOR]}, "$.node.inventory['gpu-1'][0]: 'minor' is a required property"),
    ("gateway.allowNodes", ["GPU 1"], f"$.gateway.allowNodes[0]: 'GPU 1' does not match '{NODE_NAME}'"),
    ("gateway.awayFrom.mode", "no", "$.gateway.awayFrom.mode: 'no' is not one of ['required', 'preferred', 'off']"),
    ("gateway.replicas", 0, "$.gateway.replicas: 0 is less than the minimum of 1"),
    ("image.digest", "sha256:1", "$.image.digest: 'sha256:1' does not match '^(sha256:[0-9a-f]{64})?$'"),
    ("uninstall.within", 1, "$.uninstall.within: 1 is less than the minimum of 10"),
    ("networkPolicy.from", [{}], "$.networkPolicy.from[0]: {} should be non-empty"),
    ("tokens", {}, "$: Additional properties are not allowed ('tokens' was unexpected)"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "message"), BAD, ids=lambda part: part if isinstance(part, str) else "")
def test_a_wrong_value_is_refused(path: str, value: Json, message: str) -> None:
    values = copy.deepcopy(VALUES)
    *way, last = path.split(".")
    target = values
    for part in way:
        target = target[part]
    target[last] = value
    assert problems(values) == [message]
