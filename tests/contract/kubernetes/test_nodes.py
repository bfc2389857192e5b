"""Nodes: cordon, silence, taints, eviction by taint, and what a scheduler makes of them."""

import threading
from math import ceil

import pytest

from tests.contract.kubernetes.objects import deployment, pod
from tests.contract.kubernetes.puppet import GPU, Puppet
from tests.contract.kubernetes.server import Json, Space, eventually

UNREACHABLE = [("node.kubernetes.io/unreachable", effect) for effect in ("NoExecute", "NoSchedule")]
NOT_READY = [("node.kubernetes.io/not-ready", effect) for effect in ("NoExecute", "NoSchedule")]


def condition(obj: Json, kind: str) -> Json:
    return next((one for one in obj["status"].get("conditions", []) if one["type"] == kind), {})


def test_a_node_that_nobody_speaks_for_takes_no_pods(space: Space) -> None:
    name = f"{space.namespace}-mute"
    made = space.made({"kind": "Node", "metadata": {"name": name}})
    assert {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"} in made["spec"]["taints"]
    space.delete("Node", name)


def test_a_cordon_is_a_wish_and_a_taint(puppet: Puppet) -> None:
    cordon = [("node.kubernetes.io/unschedulable", "NoSchedule")]
    puppet.space.merge("Node", puppet.name, {"spec": {"unschedulable": True}})
    eventually(lambda: puppet.taints() == cordon, "the node is tainted")
    puppet.space.merge("Node", puppet.name, {"spec": {"unschedulable": None}})
    eventually(lambda: puppet.taints() == [], "the taint is gone")
    assert "unschedulable" not in puppet.seen()["spec"]


def test_a_cordoned_node_keeps_its_pods_and_gets_no_new_ones(space: Space, puppet: Puppet) -> None:
    space.made(deployment("d", 1, pods=puppet.pods))
    eventually(lambda: len(puppet.play()) == 1, "one pod runs")
    space.merge("Node", puppet.name, {"spec": {"unschedulable": True}})
    eventually(puppet.taints, "the node is tainted")
    space.merge("Deployment", "d", {"spec": {"replicas": 2}})

    def refused() -> Json | None:
        waiting = [one for one in space.listed("Pod").body["items"] if not one["spec"].get("nodeName")]
        found = condition(waiting[0], "PodScheduled") if waiting else {}
        return found if found.get("status") == "False" else None

    told = eventually(refused, "the second pod is refused")
    assert told["reason"] == "Unschedulable"
    assert "node(s) were unschedulable" in told["message"]
    assert len(puppet.play()) == 1


def test_a_silent_node_is_not_ready_and_loses_its_pods(space: Space, puppet: Puppet, silence: threading.Event) -> None:
    space.made(deployment("d", 1, pods=puppet.pods))
    [before] = eventually(lambda: puppet.play() or None, "a pod runs")
    eventually(lambda: condition(space.read("Pod", before["metadata"]["name"]).body, "Ready"), "it is ready")
    name = before["metadata"]["name"]
    silence.set()
    eventually(lambda: condition(puppet.seen(), "Ready")["status"] == "Unknown", "the node is unknown")
    ready = condition(puppet.seen(), "Ready")
    assert (ready["reason"], ready["message"]) == ("NodeStatusUnknown", "Kubelet stopped posting node status.")
    eventually(lambda: puppet.taints() == UNREACHABLE, "the node is tainted")
    eventually(
        lambda: condition(space.read("Pod", name).body, "Ready").get("status") == "False", "its pod is not ready"
    )
    eventually(lambda: "deletionTimestamp" in space.read("Pod", name).body["metadata"], "its pod is evicted")
    target = condition(space.read("Pod", name).body, "DisruptionTarget")
    assert (target["reason"], target["message"]) == (
        "DeletionByTaintManager",
        "Taint manager: deleting due to NoExecute taint",
    )
    eventually(lambda: len(space.listed("Pod").names) == 2, "another pod stands in")
    assert space.exists("Pod", name), "nobody confirmed the end of the pod on the silent node"


@pytest.mark.timeout(120)
def test_where_most_nodes_fall_silent_not_all_of_them_are_evicted(space: Space, puppet: Puppet) -> None:
    """It is rather the network that is ill then; at least 55 % of the nodes, and at least 3."""
    living_on = len(space.listed("Node").names)
    silent = [Puppet(space, f"{puppet.name}-silent-{number}") for number in range(max(3, ceil(living_on * 55 / 45)))]
    try:
        for one in silent:
            one.join()
            one.beat()
        for one in silent:
            eventually(lambda one=one: ("node.kubernetes.io/unreachable", "NoSchedule") in one.taints(), "it is lost")
        evicted = [one.name for one in silent if ("node.kubernetes.io/unreachable", "NoExecute") in one.taints()]
        assert len(evicted) < len(silent)
    finally:
        for one in silent:
            one.leave()


def test_a_silent_node_is_told_in_an_event(space: Space, puppet: Puppet, silence: threading.Event) -> None:
    silence.set()
    path = "/api/v1/namespaces/default/events"
    about = f"involvedObject.kind=Node,involvedObject.name={puppet.name},reason=NodeNotReady"

    def told() -> Json | None:
        found = space.server.call("GET", path, fieldSelector=about).body["items"]
        return found[0] if found else None

    event = eventually(told, "the event is written")
    assert event["message"] == f"Node {puppet.name} status is now: NodeNotReady"
    assert event["source"]["component"] == "node-controller"


def test_a_node_that_speaks_again_is_ready_again(puppet: Puppet, silence: threading.Event) -> None:
    silence.set()
    eventually(lambda: puppet.taints() == UNREACHABLE, "the node is tainted")
    puppet.beat()
    puppet.say_ready("True")
    eventually(lambda: puppet.taints() == [], "the taints are gone")


def test_a_node_that_says_so_is_not_ready_while_its_pods_may_be(space: Space, puppet: Puppet) -> None:
    space.made(pod("p", node=puppet.name))
    puppet.run("p")
    puppet.say_ready("False")
    eventually(lambda: puppet.taints() == NOT_READY, "the node is tainted")
    assert condition(space.read("Pod", "p").body, "Ready")["status"] == "True", "its kubelet lives and says so"
    puppet.say_ready("True")
    eventually(lambda: puppet.taints() == [], "the taints are gone")


def test_a_pod_is_told_how_long_it_tolerates_an_ill_node(space: Space) -> None:
    tolerations = space.made(pod("p"))["spec"]["tolerations"]
    assert [(one["key"], one["operator"], one["effect"]) for one in tolerations] == [
        ("node.kubernetes.io/not-ready", "Exists", "NoExecute"),
        ("node.kubernetes.io/unreachable", "Exists", "NoExecute"),
    ]


def test_a_taint_that_is_not_tolerated_evicts_at_once(space: Space, puppet: Puppet) -> None:
    patient = [{"key": "ill", "operator": "Exists"}]
    space.made(pod("stays", node=puppet.name, tolerations=patient))
    space.made(pod("goes", node=puppet.name))
    for name in ("stays", "goes"):
        puppet.run(name)
    taints = [*puppet.seen()["spec"]["taints"], {"key": "ill", "effect": "NoExecute"}]
    space.merge("Node", puppet.name, {"spec": {"taints": taints}})
    eventually(lambda: "deletionTimestamp" in space.read("Pod", "goes").body["metadata"], "one is evicted")
    assert "deletionTimestamp" not in space.read("Pod", "stays").body["metadata"]
    told = eventually(
        lambda: space.listed("Event", fieldSelector="involvedObject.name=goes,reason=TaintManagerEviction").body[
            "items"
        ],
        "the event is written",
    )
    assert told[0]["message"] == f"Marking for deletion Pod {space.namespace}/goes"


def test_gpus_are_given_out_once(space: Space, puppet: Puppet) -> None:
    def gpu_pod(name: str) -> Json:
        container = {"name": "main", "image": "x", "resources": {"limits": {GPU: "1"}}}
        return {"kind": "Pod", "metadata": {"name": name}, "spec": puppet.pods | {"containers": [container]}}

    for name in ("one", "two"):
        space.made(gpu_pod(name))
        eventually(lambda name=name: space.read("Pod", name).body["spec"].get("nodeName"), f"{name} has a node")
    space.made(gpu_pod("three"))
    refusal = eventually(
        lambda: found if (found := condition(space.read("Pod", "three").body, "PodScheduled")) else None, "refused"
    )
    assert (refusal["status"], refusal["reason"]) == ("False", "Unschedulable")
    assert f"Insufficient {GPU}" in refusal["message"]
    events = eventually(
        lambda: space.listed("Event", fieldSelector="involvedObject.name=three").body["items"], "an event"
    )
    assert events[0]["reason"] == "FailedScheduling"
    puppet.finish("one", "Succeeded")
    eventually(
        lambda: space.read("Pod", "three").body["spec"].get("nodeName") == puppet.name, "a finished pod made room"
    )


@pytest.mark.timeout(200)
def test_the_pods_of_a_node_that_is_gone_go(space: Space, puppet: Puppet) -> None:
    space.made(pod("p", node=puppet.name))
    puppet.run("p")
    space.delete("Node", puppet.name)
    eventually(lambda: not space.exists("Pod", "p"), "the pod is gone", patience=150)


def test_the_status_of_a_node_may_carry_labels_and_annotations(puppet: Puppet) -> None:
    patch = {"metadata": {"annotations": {"a": "b"}}, "status": {"conditions": [{"type": "Odd", "status": "True"}]}}
    puppet.space.strategic("Node", puppet.name, patch, "status")
    assert puppet.seen()["metadata"]["annotations"]["a"] == "b"
    assert condition(puppet.seen(), "Odd")["status"] == "True"
    assert condition(puppet.seen(), "Ready")["status"] == "True"
