"""What every cluster does: the fake one of the tests, and the lab's API server through the official client."""

import queue
from dataclasses import replace

import pytest

from scenario_runner.core.ports import Edit, Watch
from scenario_runner.core.states import BudgetState, PodState
from scenario_runner.errors import TargetRefused

ENV = ("spec", "template", "spec", "containers", "name=main", "env")
PATIENCE = 20.0  # seconds; only a broken server needs them


def container(document):
    return document.content["spec"]["template"]["spec"]["containers"][0]


def edit(stand, ref, *edits):
    """Edit a fresh read; a controller may write in between."""
    while True:
        try:
            return stand.cluster.edit(ref, stand.cluster.read(ref).resource_version, edits)
        except TargetRefused as refusal:
            if refusal.code != "Conflict":
                raise


class Told:
    """What a watch told, in order."""

    def __init__(self, cluster, what, namespace=""):
        self._messages = queue.Queue()
        self.subscription = cluster.follow(Watch(what, namespace), self._messages.put)

    def next(self):
        seen = self._messages.get(timeout=PATIENCE)
        return seen.kind, None if seen.state is None else seen.state.name, seen.initial

    def until(self, accept):
        while not accept(seen := self._messages.get(timeout=PATIENCE)):
            pass
        return seen

    @property
    def empty(self):
        return self._messages.empty()


def test_a_cluster_is_known_by_an_identity_that_stays(stand):
    assert stand.cluster.identity() == stand.cluster.identity()
    assert len(stand.cluster.identity()) == 36
    assert {"default", "kube-system"} <= set(stand.cluster.namespaces())


def test_nodes_are_found_by_name_and_by_label(stand):
    stand.add_node("gpu-1", pool="a")
    stand.add_node("gpu-2", pool="b")
    assert [node.name for node in stand.cluster.nodes()] == ["gpu-1", "gpu-2"]
    assert [node.name for node in stand.cluster.nodes("pool=b")] == ["gpu-2"]
    found = stand.cluster.node("gpu-1")
    assert (found.name, found.unschedulable, found.labels["pool"]) == ("gpu-1", False, "a")
    assert stand.cluster.node_names() == ("gpu-1", "gpu-2")
    assert stand.cluster.node_names("pool=b") == ("gpu-2",)
    stand.cordon("gpu-1")
    assert stand.cluster.node("gpu-1").unschedulable
    assert [node.name for node in stand.cluster.nodes(cordoned=True)] == ["gpu-1"]
    assert stand.cluster.node("gpu-3") is None


def test_pods_are_found_by_namespace_and_label(stand):
    stand.add_node("gpu-1")
    stand.add_pod("web-1", "gpu-1", app="web")
    stand.add_pod("other-1", "gpu-1", app="other")
    (pod,) = stand.cluster.pods("default", "app=web")
    assert pod == PodState("default", "web-1", pod.uid, "gpu-1", "Pending", labels={"app": "web"})
    assert [one.name for one in stand.cluster.pods("", "app in (web, other)")] == ["other-1", "web-1"]
    assert stand.cluster.pods("kube-system") == ()


def test_pods_are_found_by_name_and_by_node(stand):
    for node in ("gpu-1", "gpu-2"):
        stand.add_node(node)
        stand.add_pod(f"web-on-{node}", node, app="web")
    assert [one.name for one in stand.cluster.pods("", node="gpu-2")] == ["web-on-gpu-2"]
    assert [one.name for one in stand.cluster.pods("default", name="web-on-gpu-1")] == ["web-on-gpu-1"]
    assert stand.cluster.pods("default", "app=web", name="web-on-gpu-1", node="gpu-2") == ()


def test_disruption_budgets_of_all_namespaces_are_found(stand):
    assert stand.cluster.budgets() == ()
    stand.add_budget()
    assert stand.cluster.budgets() == (BudgetState("default", "keep", "app=web", 0, "minAvailable 1"),)


def test_what_does_not_exist_is_none(stand):
    assert stand.cluster.workload("deployment", "default", "no") is None
    assert stand.cluster.service("default", "no") is None
    assert stand.cluster.read(replace(stand.add_deployment(), name="no")) is None


def test_a_watch_tells_what_is_there_and_then_each_change(stand):
    stand.add_node("gpu-1")
    told = Told(stand.cluster, "nodes")
    assert told.next() == ("state", "gpu-1", True)
    assert told.next() == ("synced", None, False)
    stand.cordon("gpu-1")
    assert told.until(lambda seen: seen.state.unschedulable).kind == "state"
    stand.add_node("gpu-2")
    assert told.until(lambda seen: seen.state.name == "gpu-2").initial is False
    stand.remove_node("gpu-1")
    assert told.until(lambda seen: seen.kind == "gone").state.name == "gpu-1"
    told.subscription.close()


def test_a_closed_watch_tells_nothing_more(stand):
    stand.add_node("gpu-1")
    told = Told(stand.cluster, "nodes")
    told.until(lambda seen: seen.kind == "synced")
    told.subscription.close()
    while not told.empty:
        told.next()
    stand.cordon("gpu-1")
    assert told.empty


def test_a_watch_of_a_custom_resource_that_is_not_installed_is_a_complete_list_of_nothing(stand):
    told = Told(stand.cluster, "janitor.dgxc.nvidia.com/v1alpha1/rebootnodes")
    assert told.next() == ("synced", None, False)
    told.subscription.close()


def test_an_edit_changes_the_leaf_that_it_names_and_answers_with_the_new_object(stand):
    ref = stand.add_deployment()
    document = stand.cluster.read(ref)
    assert document.ref == ref
    edited = edit(stand, ref, Edit((*ENV, "name=B", "value"), "2", "3"))
    assert container(edited)["env"] == [{"name": "A", "value": "1"}, {"name": "B", "value": "3"}]
    assert edited.resource_version != document.resource_version
    assert container(stand.cluster.read(ref)) == container(edited)


def test_an_element_of_a_list_is_added_and_taken_out_by_its_key(stand):
    ref = stand.add_deployment()
    added = {"name": "C", "value": "x"}
    assert container(edit(stand, ref, Edit((*ENV, "name=C"), None, added)))["env"][-1] == added
    less = edit(
        stand,
        ref,
        Edit((*ENV, "name=A"), {"name": "A", "value": "1"}, None),
        Edit((*ENV, "name=C", "value"), "x", "y"),
    )
    assert container(less)["env"] == [{"name": "B", "value": "2"}, {"name": "C", "value": "y"}]


@pytest.mark.parametrize("stale", ["version", "uid"])
def test_an_edit_of_an_object_that_is_another_one_by_now_is_a_conflict(stand, stale):
    ref = stand.add_deployment()
    document = stand.cluster.read(ref)
    version = "1000000" if stale == "version" else document.resource_version
    edited = replace(ref, uid="another") if stale == "uid" else ref
    with pytest.raises(TargetRefused) as caught:
        stand.cluster.edit(edited, version, (Edit((*ENV, "name=B", "value"), "2", "3"),))
    assert caught.value.code == "Conflict"
    assert container(stand.cluster.read(ref)) == container(document)
