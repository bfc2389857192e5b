"""Kubernetes JSON in and out: edits as patches, objects as the states that the runner looks at."""

import copy

import jsonpatch
import pytest

from scenario_runner.adapters.kubernetes_edits import json_patch
from scenario_runner.adapters.kubernetes_objects import (
    budget_state,
    list_path,
    node_state,
    pod_state,
    resource_state,
    selector_text,
    service_state,
    workload_state,
)
from scenario_runner.core.ports import Edit
from scenario_runner.core.states import (
    BudgetState,
    Condition,
    NodeState,
    PodState,
    ResourceState,
    ServiceState,
    WorkloadState,
)

POD = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {"containers": [{"name": "side"}, {"name": "main", "env": [{"name": "A", "value": "1"}]}]},
}
MAIN = ("spec", "containers", "name=main")


def patched(content, *edits):
    before = copy.deepcopy(content)
    operations = json_patch(content, edits)
    assert content == before
    return jsonpatch.apply_patch(content, operations), operations


@pytest.mark.parametrize(
    ("edit", "operation"),
    [
        (
            Edit((*MAIN, "env", "name=A", "value"), "1", "2"),
            {"op": "replace", "path": "/spec/containers/1/env/0/value", "value": "2"},
        ),
        (Edit((*MAIN, "env", "name=A"), {}, None), {"op": "remove", "path": "/spec/containers/1/env/0"}),
        (
            Edit((*MAIN, "env", "name=B", "value"), None, "2"),
            {"op": "add", "path": "/spec/containers/1/env/-", "value": {"name": "B", "value": "2"}},
        ),
        (
            Edit(("spec", "containers", "name=side", "env", "name=B", "value"), None, "2"),
            {"op": "add", "path": "/spec/containers/0/env", "value": [{"name": "B", "value": "2"}]},
        ),
        (
            Edit(("metadata", "annotations", "a/b~c"), None, "x"),
            {"op": "add", "path": "/metadata/annotations", "value": {"a/b~c": "x"}},
        ),
        (
            Edit(("metadata", "labels", "a/b~c"), None, "x"),
            {"op": "add", "path": "/metadata/labels/a~1b~0c", "value": "x"},
        ),
    ],
)
def test_an_edit_becomes_the_operation_on_the_leaf_that_it_names(edit, operation):
    assert patched(POD, edit)[1] == [operation]


def test_what_is_not_there_need_not_be_taken_away():
    edits = (Edit(("metadata", "annotations", "x"), "y", None), Edit((*MAIN, "env", "name=Z", "value"), "y", None))
    assert patched(POD, *edits) == (POD, [])


def test_a_place_that_is_null_is_filled():
    content, _ = patched({"metadata": {"labels": None}}, Edit(("metadata", "labels", "a"), None, "b"))
    assert content == {"metadata": {"labels": {"a": "b"}}}


def test_later_edits_see_what_earlier_ones_did_to_the_places_in_a_list():
    content, _ = patched(
        POD,
        Edit(("spec", "containers", "name=side"), {"name": "side"}, None),
        Edit((*MAIN, "env", "name=B", "value"), None, "2"),
        Edit((*MAIN, "env", "name=A", "value"), "1", "3"),
    )
    env = [{"name": "A", "value": "3"}, {"name": "B", "value": "2"}]
    assert content["spec"] == {"containers": [{"name": "main", "env": env}]}


def test_a_list_that_several_edits_begin_holds_each_of_them_once():
    content, operations = patched(
        {"spec": {}},
        Edit(("spec", "volumes", "name=a"), None, {"name": "a"}),
        Edit(("spec", "volumes", "name=b"), None, {"name": "b"}),
    )
    assert content == {"spec": {"volumes": [{"name": "a"}, {"name": "b"}]}}
    assert [one["value"] for one in operations] == [[{"name": "a"}], {"name": "b"}]


def test_a_node_is_its_conditions_labels_and_whether_it_may_be_scheduled():
    raw = {
        "metadata": {"name": "gpu-1", "uid": "u", "labels": {"a": "b"}, "annotations": {"c": "d"}},
        "spec": {"unschedulable": True},
        "status": {
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "fine"}],
            "nodeInfo": {"bootID": "boot-1"},
        },
    }
    ready = {"Ready": Condition("True", "KubeletReady", "fine")}
    assert node_state(raw) == NodeState("gpu-1", "u", True, ready, {"a": "b"}, {"c": "d"}, "boot-1")
    assert node_state({"metadata": {"name": "n", "uid": "u"}}) == NodeState("n", "u")


def test_a_pod_is_told_with_why_it_waits():
    crashed = {"restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    raw = {
        "metadata": {
            "namespace": "d", "name": "p", "uid": "u", "deletionTimestamp": "2026-01-01T00:00:30Z",
            "deletionGracePeriodSeconds": 30, "labels": {"a": "b"},
        },
        "spec": {"nodeName": "gpu-1"},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "False"}],
            "containerStatuses": [{"restartCount": 0, "state": {"running": {}}}, crashed],
        },
    }  # fmt: skip
    assert pod_state(raw) == PodState(
        "d", "p", "u", "gpu-1", "Running", False, True, 3, "CrashLoopBackOff", False, {"a": "b"}
    )
    assert pod_state({"metadata": {"namespace": "d", "name": "p", "uid": "u"}}) == PodState("d", "p", "u")


@pytest.mark.parametrize(
    ("code", "finished", "told", "died"),
    [
        pytest.param(1, "00:00:10", None, True, id="nobody told the pod to go"),
        pytest.param(0, "00:00:10", None, False, id="it came to its end"),
        pytest.param(137, "00:00:09", "00:00:10", True, id="killed for want of memory, then told"),
        pytest.param(1, "00:00:10", "00:00:10", True, id="within the second in which it was told"),
        pytest.param(143, "00:00:10", "00:00:10", False, id="ended by the signal at once"),
        pytest.param(1, "00:00:11", "00:00:10", False, id="an engine that ends with an error when it is told to"),
    ],
)
def test_a_container_died_when_it_ended_with_an_error_before_its_pod_was_told_to_go(code, finished, told, died):
    metadata = {"namespace": "d", "name": "p", "uid": "u"}
    if told:
        end = f"2026-01-01T{told[:-2]}{int(told[-2:]) + 30}Z"
        metadata |= {"deletionTimestamp": end, "deletionGracePeriodSeconds": 30}
    ended = {"exitCode": code, "finishedAt": f"2026-01-01T{finished}Z"}
    statuses = [{"restartCount": 0, "state": {"running": {}}}, {"restartCount": 0, "state": {"terminated": ended}}]
    assert pod_state({"metadata": metadata, "status": {"containerStatuses": statuses}}).died is died


@pytest.mark.parametrize(
    ("conditions", "state"),
    [
        ([], ""),
        ([("SignalSent", "True", "1"), ("NodeReady", "True", "2")], "NodeReady"),
        ([("SignalSent", "True", "1"), ("NodeReady", "False", "2")], "SignalSent"),
        ([("NodeReady", "False", "2")], "NodeReady=False"),
    ],
)
def test_a_remediation_is_in_the_state_of_its_newest_condition_that_holds(conditions, state):
    told = [{"type": kind, "status": status, "lastTransitionTime": at} for kind, status, at in conditions]
    raw = {"kind": "RebootNode", "metadata": {"name": "m", "uid": "u"}, "spec": {"nodeName": "gpu-1"}}
    assert resource_state({**raw, "status": {"conditions": told}}) == ResourceState(
        "RebootNode", "", "m", "u", "gpu-1", state
    )


def test_the_ports_of_a_service_are_found_by_name_and_by_number():
    spec = {"clusterIP": "127.1.0.1", "ports": [{"name": "http", "port": 8000}, {"port": 9000}]}
    raw = {"metadata": {"namespace": "d", "name": "s"}, "spec": spec}
    assert service_state(raw) == ServiceState("d", "s", "127.1.0.1", {"8000": 8000, "http": 8000, "9000": 9000})
    assert service_state({**raw, "spec": {"clusterIP": "None"}}) == ServiceState("d", "s", "", {})


def test_a_workload_wants_as_many_pods_as_it_says_or_one():
    raw = {"metadata": {"namespace": "d", "name": "w", "uid": "u"}, "spec": {"selector": {"matchLabels": {"a": "b"}}}}
    assert workload_state("deployment", "apps/v1", raw) == WorkloadState("deployment", "d", "w", "u", 1, "a=b")
    assert workload_state("daemonset", "apps/v1", {**raw, "status": {"desiredNumberScheduled": 4}}).replicas == 4


def test_a_disruption_budget_covers_all_of_its_namespace_or_nothing_or_what_it_selects():
    def budget(status=None, **spec):
        return budget_state({"metadata": {"namespace": "d", "name": "b"}, "spec": spec, "status": status})

    assert budget({"disruptionsAllowed": 2}, selector={"matchLabels": {"a": "1"}}, minAvailable="50%") == BudgetState(
        "d", "b", "a=1", 2, "minAvailable 50%"
    )
    assert budget(selector={}, maxUnavailable=0) == BudgetState("d", "b", "", 0, "maxUnavailable 0")
    assert budget(minAvailable=1) is None


def test_a_selector_is_written_in_one_line():
    selector = {
        "matchLabels": {"b": "2", "a": "1"},
        "matchExpressions": [
            {"key": "c", "operator": "In", "values": ["x", "y"]},
            {"key": "d", "operator": "NotIn", "values": ["z"]},
            {"key": "e", "operator": "Exists"},
            {"key": "f", "operator": "DoesNotExist"},
        ],
    }
    assert selector_text(selector) == "a=1,b=2,c in (x,y),d notin (z),e,!f"


def test_lists_are_found_where_kubernetes_keeps_them():
    assert list_path("nodes") == "/api/v1/nodes"
    assert list_path("pods", "dynamo") == "/api/v1/namespaces/dynamo/pods"
    assert list_path("a.io/v1/things") == "/apis/a.io/v1/things"
