"""The JSON Schema says what the loader says, wherever a schema can."""

from pathlib import Path

import jsonschema
import pytest

from scenario_runner.errors import InvalidScenario
from scenario_runner.format.entries import COMMON
from scenario_runner.format.loader import load
from scenario_runner.format.schema import json_schema
from scenario_runner.format.variables import VariableSources
from scenario_runner.format.yaml_core import parse_yaml, plain
from scenario_runner.reporters.step_docs import catalogue
from scenario_runner.steps import STEPS
from tests.format.files import HEAD, problems
from tests.format.kinds import KINDS
from tests.format.test_loader import GOOD
from tests.format.test_plan import DRILL

SHIPPED = sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))


def validator(kinds):
    schema = json_schema(kinds)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


SMALL = validator(KINDS)
FULL = validator(STEPS)


def accepts(text):
    return SMALL.is_valid(plain(parse_yaml((HEAD + text).encode(), "f.yaml")))


GOOD_FILES = [
    GOOD,
    DRILL,
    "steps:\n- pause: 5s\n",
    "vars:\nsteps:\n- pause: {for: 1h 30m}\n  id: a\n  timeout: 2h\n  when: true\n",
    'vars: {x: 79, y: true}\nsteps:\n- inject_xid: {target: "t-{{ x }}", xid: "{{ x }}"}\n  when: "{{ y }}"\n',
    "targets: {a: {node: {selector: x=y, pick: random}}, b: {gpu: {node: x, index: 1}}, c: {url: 'http://x'}}\n"
    "steps: [pause: 5s]\n",
    "steps:\n- assert_latency: {load: x, p95: between 1.2 and 5 x calm}\n- assert_success: {load: x, ratio: 7 of 10}\n",
    'steps:\n- assert_success: {load: x, ratio: ">= 70%"}\n- assert_latency: {load: x, p95: "<= 1.5s"}\n',
    "control: true\ndeadline: 1h30m\nundo_budget: 30s\nplatform: {detected: 5s}\nsteps: [pause: 250ms]\n",
]


@pytest.mark.parametrize("text", GOOD_FILES)
def test_the_schema_accepts_what_the_loader_accepts(tmp_path, text):
    assert problems(tmp_path, text) == []
    assert accepts(text)


BAD_FILES = [
    "steps: []\n",
    "",
    "descripton: x\nsteps: [pause: 5s]\n",
    "steps:\n- pauze: 5s\n",
    "steps:\n- pause: 5s\n  join: x\n",
    "steps:\n- id: x\n",
    "steps:\n- pause: 5s\n  tiemout: 3s\n",
    "steps:\n- pause: {for: 5s, timeout: 3s}\n",
    "steps:\n- pause: 5\n",
    "steps:\n- pause: 30 seconds\n",
    "steps:\n- pause: 5s\n  timeout: 10\n",
    "steps:\n- pause: 5s\n  background: yes\n",
    "steps:\n- inject_xid: {target: v}\n",
    "steps:\n- inject_xid: {target: v, xid: seventy}\n",
    "steps:\n- inject_xid: {target: v, xid: 0}\n",
    "steps:\n- inject_xid: v\n",
    "steps:\n- send_requests: {target: x, rate: 5}\n",
    "steps:\n- assert_success: {load: x, ratio: 0.7}\n",
    "steps:\n- assert_success: {load: x, ratio: lots}\n",
    "steps:\n- group: {steps: []}\n",
    "always:\n- inject_xid: {target: v, xid: 1}\nsteps: [pause: 5s]\n",
    "after:\n- group: {steps: [pause: 5s]}\nsteps: [pause: 5s]\n",
    "guards: {allow: [fire]}\nsteps: [pause: 5s]\n",
    "abort_when: [{load: x, success: at least 0.3, window: 30s}]\nsteps: [pause: 5s]\n",
    "targets: {a: {nod: x}}\nsteps: [pause: 5s]\n",
    "targets: {a: {workload: x}}\nsteps: [pause: 5s]\n",
    "vars: {a: [1]}\nsteps: [pause: 5s]\n",
    "matrix: {}\nsteps: [pause: 5s]\n",
]


@pytest.mark.parametrize("text", BAD_FILES)
def test_the_schema_refuses_what_the_loader_refuses(tmp_path, text):
    assert problems(tmp_path, text) != []
    assert not accepts(text)


def test_editors_are_offered_every_kind_and_the_common_keys():
    step = json_schema(KINDS)["$defs"]["step"]
    assert set(step["properties"]) == {*KINDS, "group", *COMMON}
    assert all(step["properties"][kind]["description"] for kind in KINDS)


def test_editors_and_the_reference_describe_a_group_with_the_same_words():
    told = {kind: sentence for kind, _, sentence in catalogue(STEPS)}
    assert json_schema(STEPS)["$defs"]["step"]["properties"]["group"]["description"] == told["group"]


@pytest.mark.parametrize("kind", sorted(STEPS))
def test_the_example_of_every_kind_is_a_step(tmp_path, kind):
    example = STEPS[kind].example.rstrip()
    indent = len(example.lstrip("\n")) - len(example.lstrip("\n").lstrip())
    lines = [line[indent:] for line in example.strip("\n").splitlines()]
    text = "version: 1\nname: x\nsteps:\n- " + "\n  ".join(lines) + "\n"
    file = tmp_path / "x.yaml"
    file.write_text(text)
    load(file, VariableSources(), STEPS)
    FULL.validate(plain(parse_yaml(text.encode(), "x.yaml")))


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_every_shipped_scenario_follows_the_schema_and_is_read(file):
    load(file, VariableSources(), STEPS)
    FULL.validate(plain(parse_yaml(file.read_bytes(), file.name)))


def test_there_are_shipped_scenarios():
    assert SHIPPED


def test_a_file_with_another_kind_is_refused_by_its_own_kinds_only(tmp_path):
    file = tmp_path / "x.yaml"
    file.write_text(HEAD + "steps: [pause: 5s]\n")
    with pytest.raises(InvalidScenario, match="unknown kind 'pause'"):
        load(file, VariableSources(), {"join": KINDS["join"]})
