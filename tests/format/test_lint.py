"""What a readable scenario still gets wrong."""

import pytest

from tests.format.files import findings

TARGETS = """\
targets:
  worker: {workload: deployment/w}
  victim: {gpu_of: worker}
  front: {service: front}
"""


def lint(folder, steps, head=""):
    """Findings of a scenario with the usual targets in lines 3 to 6 and steps from line 8 on."""
    return findings(folder, f"{TARGETS}{head}steps:\n{steps}")


def test_a_drill_that_judges_its_fault_is_fine(tmp_path):
    steps = """\
- send_requests: {target: front, rate: 5/s, for: 30s}
  id: calm
- send_requests: {target: front, rate: 5/s}
  id: traffic
  background: true
- inject_xid: {target: victim, xid: 79}
  id: lost
- recover_fault: lost
- wait_for_recovery: {load: traffic, ratio: at least 0.9, window: 30s}
- join: traffic
- assert_success: {load: traffic, during: lost, ratio: at least 0.7}
- assert_success: {load: traffic, during: recovery, ratio: at least 0.7}
- assert_latency: {load: traffic, during: fault, p95: at most 5 x calm}
"""
    assert lint(tmp_path, steps) == []


FAULT = "- inject_xid: {target: victim, xid: 79}\n"
LOAD = "- send_requests: {target: front, rate: 5/s}\n  id: traffic\n  background: true\n"
CALM = "- send_requests: {target: front, rate: 5/s, for: 30s}\n  id: calm\n"
JOIN = "- join: traffic\n"
JUDGE = "- assert_success: {load: traffic, ratio: at least 0.7}\n"


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        pytest.param(
            LOAD + FAULT + JOIN,
            ["error 11:3: steps[1]: nothing judges this fault: add an assertion after it"],
            id="a fault that nothing judges",
        ),
        pytest.param(
            LOAD + JOIN + JUDGE + FAULT,
            ["error 13:3: steps[3]: nothing judges this fault: add an assertion after it"],
            id="a fault after the last assertion",
        ),
        pytest.param(
            LOAD + JOIN + JUDGE,
            [
                "warning 5:3: targets.victim: nothing refers to this target",
                "error 7:1: steps: no step injects a fault, so this can not pass: add one, or write control: true",
            ],
            id="no fault",
        ),
        pytest.param(
            FAULT + JUDGE,
            [
                "warning 6:3: targets.front: nothing refers to this target",
                "error 9:26: steps[1].assert_success.load: there is no load traffic before this step: "
                "nothing of that kind has an id before",
            ],
            id="a ratio of traffic that never started",
        ),
        pytest.param(
            FAULT + JUDGE + LOAD + JOIN,
            ["error 9:26: steps[1].assert_success.load: traffic comes later, in line 10"],
            id="a ratio of traffic that starts later",
        ),
        pytest.param(
            LOAD + FAULT + JOIN + JUDGE.replace("traffic", "trafic"),
            [
                "error 13:26: steps[3].assert_success.load: there is no load trafic before this step: "
                "did you mean traffic?"
            ],
            id="a ratio of a load with a typing error",
        ),
        pytest.param(
            LOAD + JOIN + FAULT + "- assert_success: {load: traffic, during: fault, ratio: at least 0.7}\n",
            ["error 13:43: steps[3].assert_success.during: traffic had ended (line 11) when the fault was injected"],
            id="a fault window of traffic that had ended",
        ),
        pytest.param(
            CALM + FAULT + "- assert_success: {load: calm, during: fault, ratio: at least 0.7}\n",
            ["error 11:40: steps[2].assert_success.during: calm had ended (line 8) when the fault was injected"],
            id="a fault window of a load that was waited for",
        ),
        pytest.param(
            LOAD + "- assert_success: {load: traffic, during: fault, ratio: at least 0.7}\n" + FAULT + JOIN + JUDGE,
            [
                "error 11:43: steps[1].assert_success.during: "
                "no fault was injected before this step, so there is no window fault"
            ],
            id="a fault window before the fault",
        ),
        pytest.param(
            FAULT + LOAD + JOIN + "- assert_success: {load: traffic, during: baseline, ratio: at least 0.7}\n",
            ["error 13:43: steps[3].assert_success.during: traffic began after the fault, so it has no baseline"],
            id="a baseline of traffic that began after the fault",
        ),
        pytest.param(
            LOAD + FAULT + JOIN + "- assert_success: {load: traffic, during: fautl, ratio: at least 0.7}\n",
            ["error 13:43: steps[3].assert_success.during: there is no window fautl: did you mean fault?"],
            id="a window with a typing error",
        ),
        pytest.param(
            LOAD + FAULT + JOIN + "- wait_for_recovery: {load: traffic, ratio: at least 0.9, window: 5s}\n" + JUDGE,
            [
                "error 13:29: steps[3].wait_for_recovery.load: "
                "traffic has ended before (line 12), and this waits for requests to come"
            ],
            id="waiting for traffic that has ended",
        ),
        pytest.param(
            LOAD + FAULT + JUDGE,
            ["warning 8:3: steps[0]: nothing joins traffic: it is ended when the steps are over"],
            id="a background load that is never joined",
        ),
        pytest.param(
            LOAD + FAULT + JOIN + JOIN + JUDGE,
            ["error 13:9: steps[3].join: traffic was joined before, in line 12"],
            id="a second join",
        ),
        pytest.param(
            CALM + FAULT + "- join: calm\n" + JUDGE.replace("traffic", "calm"),
            ["error 11:9: steps[2].join: calm does not run in the background: there is nothing to join"],
            id="a join of a load that was waited for",
        ),
        pytest.param(
            FAULT + JOIN + CALM + JUDGE.replace("traffic", "calm"),
            [
                "error 9:9: steps[1].join: there is no load traffic before this step: "
                "nothing of that kind has an id before"
            ],
            id="a join of nothing",
        ),
        pytest.param(
            FAULT + CALM + "  timeout: 10s\n" + JUDGE.replace("traffic", "calm"),
            [
                "error 11:12: steps[1].timeout: a timeout of 10s is shorter than the 1m that this step takes, the time "
                "for its last request included"
            ],
            id="a timeout shorter than the load",
        ),
        pytest.param(
            LOAD.replace("5/s}", "5/s, for: 10m}") + JOIN + "  timeout: 10s\n" + FAULT + JUDGE,
            ["error 12:12: steps[1].timeout: traffic still takes 10m 30s here: a timeout of 10s is too short"],
            id="a join shorter than its load",
        ),
        pytest.param(
            FAULT + "- send_requests: {target: front, count: 10, every: 1s}\n  id: few\n"
            "- assert_success: {load: few, ratio: at least 0.7}\n",
            ["error 11:3: steps[2].assert_success: a verdict needs 20 requests, and few sends 10: give min_requests"],
            id="too few requests for a verdict",
        ),
        pytest.param(
            FAULT + "- send_requests: {target: front, rate: 5/s, for: 30s}\n  background: true\n" + CALM
            + JUDGE.replace("traffic", "calm"),
            [
                "error 9:3: steps[1]: a load in the background needs an id, so that it can be joined and judged",
            ],
            id="a background load without an id",
        ),
        pytest.param(
            LOAD + FAULT + "  id: traffic\n" + JOIN + JUDGE,
            ["error 12:7: steps[1].id: the id traffic is used before, in line 8"],
            id="an id twice",
        ),
        pytest.param(
            LOAD + FAULT + "- recover_fault: traffic\n" + JOIN + JUDGE,
            ["error 12:18: steps[2].recover_fault: traffic is a send_requests, and this needs an earlier inject_xid"],
            id="recovering what is no fault",
        ),
        pytest.param(
            LOAD + FAULT + "  id: lost\n- recover_fault: lots\n" + JOIN + JUDGE,
            ["error 13:18: steps[2].recover_fault: there is no step lots before this step: did you mean lost?"],
            id="recovering a step with a typing error",
        ),
        pytest.param(
            LOAD + FAULT.replace("victim", "victm") + JOIN + JUDGE,
            [
                "warning 5:3: targets.victim: nothing refers to this target",
                "error 11:24: steps[1].inject_xid.target: there is no target victm: did you mean victim?",
            ],
            id="a target with a typing error",
        ),
        pytest.param(
            LOAD + FAULT.replace("victim", "worker") + JOIN + JUDGE,
            [
                "warning 5:3: targets.victim: nothing refers to this target",
                "error 11:24: steps[1].inject_xid.target: worker is a workload, and this needs a gpu or a node",
            ],
            id="a target of the wrong kind",
        ),
    ],
)  # fmt: skip
def test_lint_tells_of(tmp_path, steps, told):
    assert lint(tmp_path, steps) == told


def test_a_control_with_a_fault_is_refused(tmp_path):
    assert lint(tmp_path, LOAD + FAULT + JOIN + JUDGE, "control: true\n") == [
        "error 12:3: steps[1]: a control has no fault: take this out, or control: true"
    ]


def test_a_control_that_asserts_nothing_is_refused(tmp_path):
    assert findings(tmp_path, "control: true\nsteps:\n- pause: 5s\n") == [
        "error 4:1: steps: nothing is asserted, so this would pass whatever happens"
    ]


def test_a_rule_for_stopping_needs_a_load(tmp_path):
    head = "abort_when: [{load: trafic, success: below 0.2, window: 5s}]\n"
    assert lint(tmp_path, LOAD + FAULT + JOIN + JUDGE, head) == [
        "error 7:21: abort_when[0].load: there is no load trafic: did you mean traffic?"
    ]


def test_targets_and_guards_refer_to_targets_of_the_right_kind(tmp_path):
    text = """\
targets:
  node: {node: gpu-1}
  a: {gpu_of: worker}
  b: {gpu_of: node}
  c: {gpu_of: {node: node, index: 1}}
  d: {pod: {workload: node}}
guards: {min_ready: {node: 1, none: 1}}
control: true
steps:
- wait_for_node: {target: node, reached: ready}
- wait_for_node: {target: a, reached: ready}
- wait_for_node: {target: b, reached: ready}
- wait_for_node: {target: c, reached: ready}
"""
    assert findings(tmp_path, text) == [
        "error 5:15: targets.a.gpu_of: there is no target worker: there is a, b, c, d, node",
        "error 6:15: targets.b.gpu_of: node is a node, and this needs a workload",
        "warning 8:3: targets.d: nothing refers to this target",
        "error 8:23: targets.d.pod.workload: node is a node, and this needs a workload",
        "error 9:28: guards.min_ready.node: node is a node, and this needs a workload",
        "error 9:37: guards.min_ready.none: there is no target none: did you mean node?",
    ]
