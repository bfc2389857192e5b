"""Scenario files: what is read, and every problem with its line, its column and what to do."""

import hashlib

import pytest

from scenario_runner.core.outcome import Phase
from scenario_runner.errors import InvalidScenario
from scenario_runner.format.loader import load
from scenario_runner.format.variables import VariableSources
from tests.format.files import HEAD, NOTHING_GIVEN, problems, scenario
from tests.format.kinds import KINDS, InjectXid, Pause, SendRequests

GOOD = """\
description: A drill.
tags: [gpu]
namespace: dynamo
requires: [agent, sentinel]
vars: {deployment: vllm-decode, calm: 30s, often: 3, quick: true}
targets:
  worker: {workload: "deployment/{{ deployment }}"}
  victim: {gpu_of: worker, pick: first}
  front: {service: frontend, port: 8000, chat: {model: auto, prompt: hello, max_tokens: 10}}
guards: {max_nodes: 1, allow: [cordon, drain, reboot], min_ready: {worker: 2}}
abort_when: [{load: traffic, success: below 0.2, window: 30s}]
deadline: 1h
health:
- wait_for_node: {target: victim, reached: ready}
steps:
- send_requests: {target: front, rate: 5/s, for: "{{ calm }}"}
  id: traffic
  background: "{{ quick }}"
- group:
    steps:
    - inject_xid: {target: victim, xid: 79}
      timeout: 10s
    - pause: 5s
  id: outage
- wait_for_node: {target: victim, ready: all}
  retry: {attempts: 3, every: 1s}
- join: traffic
after:
- send_requests: {target: front, count: 10, every: 1s}
"""


def test_a_scenario_is_read_as_it_is_written(tmp_path):
    read = scenario(tmp_path, GOOD)
    entries = [(entry.kind, [group.common.id for group in around]) for entry, around in read.entries(Phase.STEPS)]
    assert entries == [
        ("send_requests", []),
        ("inject_xid", ["outage"]),
        ("pause", ["outage"]),
        ("wait_for_node", []),
        ("join", []),
    ]
    steps = [entry.step for entry, _ in read.entries(Phase.STEPS)]
    assert steps[:3] == [
        SendRequests.model_construct(target="front", rate=5.0, duration=30.0, count=None, every=None, ratio=None),
        InjectXid(target="victim", xid=79),
        Pause.model_construct(duration=5.0),
    ]
    assert read.steps[Phase.STEPS][0].common.background is True
    assert read.digest == hashlib.sha256((HEAD + GOOD).encode()).hexdigest()
    assert (read.name, read.tags, read.header.deadline) == ("drill", ("gpu",), 3600.0)


STEP_PROBLEMS = [
    ("pauze: 5s", ["4:3: steps[0]: unknown kind 'pauze': did you mean pause?"]),
    (
        "xyz: 5s",
        [
            "4:3: steps[0]: unknown kind 'xyz': there is assert_latency, assert_success, group, inject_xid, join, "
            "pause, recover_fault, send_requests, wait_for_node, wait_for_recovery"
        ],
    ),
    ("pause: 5s\n  join: x", ["5:3: steps[0]: two kinds in one step: pause and join; write a step for each"]),
    ("pause: {for: 5s, timeout: 3s}", ["4:20: steps[0].pause.timeout: stands beside pause, not inside it"]),
    ("pause: 5s\n  tiemout: 3s", ["5:3: steps[0].tiemout: unknown key: did you mean timeout?"]),
    (
        "inject_xid: {target: v, xid: 79, targte: w}",
        ["4:36: steps[0].inject_xid.targte: unknown key: did you mean target?"],
    ),
    (
        "inject_xid:\n  target: v\n  xid: 79",
        [
            "5:3: steps[0].target: belongs to inject_xid: indent it below that, or put it in its braces",
            "6:3: steps[0].xid: belongs to inject_xid: indent it below that, or put it in its braces",
        ],
    ),
    ("pause: 5", ["4:10: steps[0].pause: a duration needs a unit: write 5s"]),
    ("pause: 1:30", ["4:10: steps[0].pause: '1:30' is no duration: write 250ms, 30s, 2m or 1h30m"]),
    ("pause: 5s\n  timeout: 10", ["5:12: steps[0].timeout: a duration needs a unit: write 10s"]),
    ("pause: 5s\n  background: yes", ["5:15: steps[0].background: expected true or false, found 'yes'"]),
    ("pause: 5s\n  background: true", ["5:3: steps[0].background: pause can not run in the background"]),
    ("pause: 5s\n  id: fault", ["5:7: steps[0].id: 'fault' is the name of a window of time: choose another id"]),
    ("id: x", ["4:3: steps[0]: has no kind: a step does one thing, like 'pause: 5s'"]),
    ("5", ["4:3: steps[0]: a step is a mapping with one kind, like 'pause: 5s'; found 5"]),
    ("inject_xid: {target: v}", ["4:15: steps[0].inject_xid.xid: is missing: the XID"]),
    ("inject_xid: {target: v, xid: '79'}", ["4:32: steps[0].inject_xid.xid: expected a whole number, found '79'"]),
    ("inject_xid: {target: v, xid: true}", ["4:32: steps[0].inject_xid.xid: expected a whole number, found true"]),
    ("inject_xid: {target: v, xid: 0}", ["4:32: steps[0].inject_xid.xid: must be at least 1, found 0"]),
    ("inject_xid: {target: 5, xid: 9}", ["4:24: steps[0].inject_xid.target: expected a text, found 5"]),
    ("inject_xid: v", ["4:15: steps[0].inject_xid: inject_xid has no short form: write inject_xid: {target: ...}"]),
    (
        "inject_xid: {target: v, xid: 79}\n  retry: {attempts: 2, every: 1s}",
        [
            "4:24: steps[0].inject_xid.target: there is no target v: the scenario declares none",
            "5:3: steps[0].retry: inject_xid changes something: only reads and requests can be tried again",
        ],
    ),
    (
        "assert_success: {load: x, ratio: 0.7}",
        ["4:36: steps[0].assert_success.ratio: 0.7 alone does not say how to compare: write at least 0.7"],
    ),
    (
        "assert_success: {load: x, ratio: at least 0}",
        [
            "4:36: steps[0].assert_success.ratio: 'at least 0' holds whatever happens: ask for more, or leave it out",
        ],
    ),
    (
        "wait_for_node: {target: v, ready: many}",
        ["4:37: steps[0].wait_for_node.ready: expected a whole number or all, found 'many'"],
    ),
    (
        "wait_for_node: {target: v, reached: coordoned}",
        ["4:39: steps[0].wait_for_node.reached: expected cordoned, ready or schedulable, found 'coordoned'"],
    ),
    ("group: {steps: []}", ["4:11: steps[0].group.steps: must not be empty"]),
    (
        "group: {steps: [pause: 5]}\n  timeout: 5s",
        [
            "4:3: steps[0].group: a group has no timeout: give it to a step inside",
            "4:26: steps[0].group.steps[0].pause: a duration needs a unit: write 5s",
        ],
    ),
    (
        "group: {for_each: victim, steps: [pause: 5s]}",
        ["4:11: steps[0].group.for_each: 'for_each' is not there yet: write the steps out"],
    ),
    ("use: other.yaml", ["4:3: steps[0]: 'use' is not there yet: write the steps out"]),
]


@pytest.mark.parametrize(("step", "told"), STEP_PROBLEMS)
def test_what_is_wrong_with_a_step_is_told_with_its_place(tmp_path, step, told):
    assert problems(tmp_path, f"steps:\n- {step}\n") == told


FILE_PROBLEMS = [
    ("steps: []\n", ["3:8: steps: must not be empty"]),
    ("", ["1:1: steps: is missing: what the scenario does, one step after the other"]),
    ("steps: pause\n", ["3:8: steps: expected a list of steps, found 'pause'"]),
    ("descripton: x\nsteps: [pause: 5s]\n", ["3:1: descripton: unknown key: did you mean description?"]),
    ("matrix: {}\nsteps: [pause: 5s]\n", ["3:1: matrix: 'matrix' is not there yet: write a file for each case"]),
    ("tags: gpu\nsteps: [pause: 5s]\n", ["3:7: tags: expected a list, found 'gpu'"]),
    ("control: 1\nsteps: [pause: 5s]\n", ["3:10: control: expected true or false, found 1"]),
    ("deadline: 60\nsteps: [pause: 5s]\n", ["3:11: deadline: a duration needs a unit: write 60s"]),
    (
        "guards: {allow: [fire], max_node: 1}\nsteps: [pause: 5s]\n",
        [
            "3:18: guards.allow[0]: expected cordon, drain, reboot, gpu-reset or breaker, found 'fire'",
            "3:25: guards.max_node: unknown key: did you mean max_nodes?",
        ],
    ),
    (
        "abort_when: [{load: x, success: at least 0.3, window: 30s}]\nsteps: [pause: 5s]\n",
        [
            "3:33: abort_when[0].success: a run is stopped when success falls too low: "
            "write below 0.2, not 'at least 0.3'"
        ],
    ),
    (
        "targets: {a: {nod: x}, b: {workload: x}, c: x, d: {}, e: {node: x, pod: y}, f: {gpu_of: {}}}\n"
        "steps: [pause: 5s]\n",
        [
            "3:15: targets.a.nod: 'nod' is no way to name a target: did you mean node?",
            "3:38: targets.b.workload: 'x' does not say which kind of workload: write deployment/x",
            "3:45: targets.c: expected a mapping, like {workload: deployment/NAME}",
            "3:51: targets.d: is empty: there is gpu, gpu_of, node, node_of, nodes, pod, service, url, workload",
            "3:58: targets.e: names its target in several ways (node, pod): keep one",
            "3:81: targets.f.gpu_of: give either workload or node",
        ],
    ),
    (
        "targets: {a: {node: {selectr: x}}, b: {gpu_of: {workload: w, indx: 1}}, c: {node: [x]}}\nsteps: [pause: 5s]\n",
        [
            "3:15: targets.a.node.selector: is missing: label selector, e.g. accelerator=nvidia",
            "3:22: targets.a.node.selectr: unknown key: did you mean selector?",
            "3:62: targets.b.gpu_of.indx: unknown key: did you mean index?",
            "3:77: targets.c.node: expected a text or a mapping, found a list",
        ],
    ),
    (
        "always:\n- inject_xid: {target: v, xid: 1}\nsteps: [pause: 5s]\n",
        [
            "4:3: always[0].inject_xid: changes something, so it can not stand in always: only reads and requests can",
            "4:24: always[0].inject_xid.target: there is no target v: the scenario declares none",
        ],
    ),
    (
        "after:\n- group: {steps: [pause: 5s]}\nsteps: [pause: 5s]\n",
        ["4:3: after[0].group: a group can not stand in after"],
    ),
    (
        "targets: {x: {service: x}}\nhealth:\n- send_requests: {target: x}\n  background: true\n  id: x\n"
        "steps: [pause: 5s]\n",
        ["6:3: health[0].background: nothing runs in the background in health"],
    ),
]


@pytest.mark.parametrize(("text", "told"), FILE_PROBLEMS)
def test_what_is_wrong_with_a_file_is_told_with_its_place(tmp_path, text, told):
    assert problems(tmp_path, text) == told


def test_all_problems_are_told_at_once(tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text("version: 2\nname: A b\nsteps:\n- pauze: 5s\n- pause: 5\n")
    with pytest.raises(InvalidScenario) as caught:
        load(file, NOTHING_GIVEN, KINDS)
    assert str(caught.value).replace(str(file), "bad.yaml") == (
        "bad.yaml:1:10: version: expected 1, found 2\n"
        "bad.yaml:2:7: name: 'A b' is not allowed: write lower-case letters, digits and hyphens, at most 63, like "
        "lost-gpu\n"
        "bad.yaml:4:3: steps[0]: unknown kind 'pauze': did you mean pause?\n"
        "bad.yaml:5:10: steps[1].pause: a duration needs a unit: write 5s"
    )


def test_what_makes_no_sense_is_told_together_with_what_can_not_be_read(tmp_path):
    text = """\
targets:
  broken: {gpu_off: worker}
  front: {service: front}
steps:
- send_requests: {target: fornt, rate: 5/s}
  id: traffic
- pauze: 5s
- inject_xid: {target: broken, xid: 79}
  id: traffic
- join: trafic
- assert_success: {load: lost, ratio: at least 0.7}
- pause: 5
  id: lost
"""
    assert problems(tmp_path, text) == [
        "4:12: targets.broken.gpu_off: 'gpu_off' is no way to name a target: did you mean gpu_of?",
        "7:27: steps[0].send_requests.target: there is no target fornt: did you mean front?",
        "9:3: steps[1]: unknown kind 'pauze': did you mean pause?",
        "11:7: steps[2].id: the id traffic is used before, in line 7",
        "12:9: steps[3].join: there is no load trafic before this step: did you mean traffic?",
        "14:10: steps[5].pause: a duration needs a unit: write 5s",
    ]


def test_a_file_that_is_no_mapping_is_refused(tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text("- pause: 5s\n")
    with pytest.raises(InvalidScenario) as caught:
        load(file, NOTHING_GIVEN, KINDS)
    assert caught.value.problems[0].text == ("a scenario is a mapping that begins with 'version: 1', found a list")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InvalidScenario) as caught:
        load(tmp_path / "none.yaml", NOTHING_GIVEN, KINDS)
    assert str(caught.value) == f"{tmp_path}/none.yaml:1:1: can not be read: No such file or directory"


def test_a_file_that_is_too_large_is_not_even_read(tmp_path):
    file = tmp_path / "large.yaml"
    with file.open("wb") as sparse:
        sparse.truncate(2 * 1024 * 1024)
    with pytest.raises(InvalidScenario) as caught:
        load(file, NOTHING_GIVEN, KINDS)
    assert str(caught.value) == f"{file}:1:1: the file has 2.0 MiB: a scenario is at most 1 MiB"


# Variables


def values(read):
    return [(one.name, one.value, one.source) for one in read.variables]


def test_a_variable_comes_from_the_first_of_flag_file_environment_and_scenario(tmp_path):
    shared = tmp_path / "vars.yaml"
    shared.write_text("b: from vars file\nc: from vars file\nother: ignored\n")
    sources = VariableSources(
        flags={"c": "from flag"},
        files=(shared,),
        environment={"SCENARIO_VAR_A": "from environment", "SCENARIO_VAR_B": "from environment"},
    )
    read = scenario(tmp_path, "vars: {a: x, b: x, c: x, d: x}\nsteps: [pause: 5s]\n", sources)
    assert values(read) == [
        ("a", "from environment", "SCENARIO_VAR_A"),
        ("b", "from vars file", f"--vars-file {shared}"),
        ("c", "from flag", "--var"),
        ("d", "x", "file"),
    ]


def test_a_given_text_gets_the_type_of_the_value_that_it_replaces(tmp_path):
    sources = VariableSources(flags={"number": "5", "text": "5", "switch": "false"})
    read = scenario(tmp_path, "vars: {number: 1, text: a, switch: true}\nsteps: [pause: 5s]\n", sources)
    assert [one.value for one in read.variables] == [5, "5", False]


def test_a_value_that_is_one_variable_keeps_its_type(tmp_path):
    text = (
        "vars: {xid: 79, gone: true, node: gpu-1, calm: 5s}\n"
        "steps:\n"
        '- inject_xid: {target: "t-{{ node | upper }}", xid: "{{ xid }}"}\n'
        '  when: "{{ gone }}"\n'
        '- pause: "{{ calm }}"\n'
        "  when: \"{{ node == 'gpu-2' }}\"\n"
    )
    read = scenario(tmp_path, text)
    assert [(entry.step, entry.common.when) for entry, _ in read.entries(Phase.STEPS)] == [
        (InjectXid(target="t-GPU-1", xid=79), True),
        (Pause.model_construct(duration=5.0), False),
    ]


def test_jinja_and_plain_names_are_written_out_alike(tmp_path):
    text = "vars: {a: x, b: true, n: 1.5}\nsteps: [pause: 5s]\ndescription: "
    plain = scenario(tmp_path, text + '"{{ a }}-{{ b }} {{n}}"\n').header.description
    expressed = scenario(tmp_path, text + "\"{{ a | lower }}-{{ b }} {{ '' ~ n }}\"\n").header.description
    assert (plain, expressed) == ("x-true 1.5", "x-true 1.5")


def test_variables_never_change_the_structure_of_a_file(tmp_path):
    text = 'vars: {x: "5s}, join: y"}\nsteps:\n- pause: "{{ x }}"\n'
    assert problems(tmp_path, text) == [
        "5:10: steps[0].pause: '5s}, join: y' is no duration: write 250ms, 30s, 2m or 1h30m"
    ]


_ALLOWED = "only variables, comparisons and the filters float, int, lower, string, trim, upper may stand in {{ }}"


@pytest.mark.parametrize(
    ("variables", "value", "told"),
    [
        ("{calm: 5s}", "{{ clam }}", "the variable clam is not defined: did you mean calm?"),
        ("{a: 5s, b: 3s}", "{{ other }}", "the variable other is not defined: there is a, b"),
        ("{}", "{{ x }}", "the variable x is not defined: the scenario has no vars"),
        ("{a: 5s}", "{% for x in y %}", "only {{ variable }} may stand in a value, not {% %} or {# #}"),
        ("{a: 5s}", "{{ a.__class__ }}", _ALLOWED),
        ("{a: 5s}", "{{ a() }}", _ALLOWED),
        ("{a: 5s}", "{{ a * 1000 }}", _ALLOWED),
        ("{a: 5s}", "{{ a | replace('s', 'm') }}", _ALLOWED),
        (
            "{a: 5s}",
            "{{ a",
            "'{{ a' can not be written out: what stands between {{ and }} is no variable, nor anything that is made of "
            "variables",
        ),
    ],
)
def test_what_is_wrong_with_a_template_is_told_once(tmp_path, variables, value, told):
    text = f'vars: {variables}\nsteps:\n- pause: "{value}"\n'
    assert problems(tmp_path, text) == [f"5:10: steps[0].pause: {told}"]


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ("{a: [1]}", ["3:11: vars.a: a variable is a single value, found a list or a mapping"]),
        ("{a: }", ["3:11: vars.a: a variable is a single value, found nothing"]),
        ("{A: 1}", ["3:8: vars.A: a variable's name has lower-case letters, digits and underscores"]),
        ('{a: "{{ b }}"}', ["3:11: vars.a: a variable's own value can not refer to variables"]),
        ("x", ["3:7: vars: expected a mapping of variables, like 'calm: 30s'"]),
    ],
)
def test_what_is_no_variable_is_told(tmp_path, variables, told):
    assert problems(tmp_path, f"vars: {variables}\nsteps: [pause: 5s]\n") == told


def test_an_unknown_flag_is_refused(tmp_path):
    sources = VariableSources(flags={"clam": "3s"})
    assert problems(tmp_path, "vars: {calm: 5s}\nsteps: [pause: 5s]\n", sources) == [
        "1:1: --var clam: the scenario has no such variable: did you mean calm?"
    ]


def test_a_flag_of_another_type_is_refused(tmp_path):
    sources = VariableSources(flags={"xid": "many"})
    assert problems(tmp_path, "vars: {xid: 79}\nsteps: [pause: 5s]\n", sources) == [
        "3:13: vars.xid: --var gives 'many', and the scenario has a whole number (79) here"
    ]


def test_a_vars_file_that_is_no_mapping_of_single_values_is_refused(tmp_path):
    shared = tmp_path / "vars.yaml"
    shared.write_text("a: [1]\n")
    with pytest.raises(InvalidScenario) as caught:
        scenario(tmp_path, "vars: {a: x}\nsteps: [pause: 5s]\n", VariableSources(files=(shared,)))
    assert str(caught.value) == f"{shared}:1:4: a: a variable is a single value, found a list or a mapping"
