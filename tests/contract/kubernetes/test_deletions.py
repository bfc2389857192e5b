"""Deleting: grace, finalizers, owners and namespaces."""

import time
from datetime import datetime

from tests.contract.kubernetes.objects import config_map, deployment, owned_by, pod
from tests.contract.kubernetes.puppet import Puppet
from tests.contract.kubernetes.server import Json, Space, eventually


def meta(space: Space, kind: str, name: str) -> Json:
    found: Json = space.read(kind, name).body["metadata"]
    return found


def test_a_bound_pod_stays_until_its_kubelet_confirms(space: Space, puppet: Puppet) -> None:
    space.made(pod("p", node=puppet.name))
    puppet.run("p")
    answer = space.delete("Pod", "p")
    assert (answer.status, answer.body["kind"]) == (200, "Pod")
    going = meta(space, "Pod", "p")
    assert going["deletionGracePeriodSeconds"] == 3
    ends = datetime.fromisoformat(going["deletionTimestamp"]).timestamp()
    assert abs(ends - 3 - time.time()) < 10
    puppet.bury("p")
    assert not space.exists("Pod", "p")


def test_a_grace_can_be_shortened_but_not_stretched(space: Space, puppet: Puppet) -> None:
    space.made(pod("p", node=puppet.name))
    space.delete("Pod", "p", {"gracePeriodSeconds": 30})
    space.delete("Pod", "p", {"gracePeriodSeconds": 60})
    assert meta(space, "Pod", "p")["deletionGracePeriodSeconds"] == 30
    space.delete("Pod", "p", gracePeriodSeconds=2)
    assert meta(space, "Pod", "p")["deletionGracePeriodSeconds"] == 2


def test_a_pod_without_a_node_is_gone_at_once(space: Space) -> None:
    space.made(pod("p"))
    space.delete("Pod", "p")
    assert not space.exists("Pod", "p")


def test_a_finished_pod_is_gone_at_once(space: Space, puppet: Puppet) -> None:
    for phase in ("Succeeded", "Failed"):
        space.made(pod("p", node=puppet.name))
        puppet.finish("p", phase)
        space.delete("Pod", "p")
        assert not space.exists("Pod", "p")


def test_a_finalizer_keeps_an_object_until_it_is_taken_off(space: Space) -> None:
    space.made(config_map("a", finalizers=["example.com/wait"]))
    assert space.delete("ConfigMap", "a").status == 200
    assert "deletionTimestamp" in meta(space, "ConfigMap", "a")
    assert space.merge("ConfigMap", "a", {"metadata": {"finalizers": None}}).status == 200
    assert not space.exists("ConfigMap", "a")


def test_an_object_that_goes_takes_no_new_finalizer(space: Space) -> None:
    space.made(config_map("a", finalizers=["example.com/wait"]))
    space.delete("ConfigMap", "a")
    more = {"metadata": {"finalizers": ["example.com/wait", "example.com/more"]}}
    answer = space.merge("ConfigMap", "a", more)
    assert answer.said == (422, "Invalid")
    assert answer.body["details"]["causes"][0]["field"] == "metadata.finalizers"
    space.merge("ConfigMap", "a", {"metadata": {"finalizers": None}})


def test_a_pod_with_a_finalizer_waits_for_both(space: Space, puppet: Puppet) -> None:
    made = pod("p", node=puppet.name)
    made["metadata"]["finalizers"] = ["example.com/wait"]
    space.made(made)
    space.delete("Pod", "p")
    puppet.bury("p")
    assert meta(space, "Pod", "p")["deletionGracePeriodSeconds"] == 0
    space.merge("Pod", "p", {"metadata": {"finalizers": None}})
    assert not space.exists("Pod", "p")


def test_what_an_object_owned_goes_after_it(space: Space) -> None:
    owner = space.made(config_map("owner"))
    space.made(config_map("child", ownerReferences=owned_by(owner)))
    space.delete("ConfigMap", "owner")
    eventually(lambda: not space.exists("ConfigMap", "child"), "the child is gone")


def test_what_nobody_owns_any_more_goes(space: Space) -> None:
    owner = space.made(config_map("owner"))
    space.delete("ConfigMap", "owner")
    space.made(config_map("child", ownerReferences=owned_by(owner)))
    eventually(lambda: not space.exists("ConfigMap", "child"), "the child is gone")


def test_what_has_another_owner_stays(space: Space) -> None:
    one, two = space.made(config_map("one")), space.made(config_map("two"))
    space.made(config_map("child", ownerReferences=[*owned_by(one), *owned_by(two)]))
    space.delete("ConfigMap", "one")
    eventually(lambda: len(meta(space, "ConfigMap", "child")["ownerReferences"]) == 1, "one owner is forgotten")
    space.delete("ConfigMap", "two")
    eventually(lambda: not space.exists("ConfigMap", "child"), "the child is gone")


def test_an_owner_that_goes_in_the_foreground_goes_last(space: Space) -> None:
    owner = space.made(config_map("owner"))
    child = config_map(
        "child", ownerReferences=owned_by(owner, blockOwnerDeletion=True), finalizers=["example.com/wait"]
    )
    space.made(child)
    space.delete("ConfigMap", "owner", {"propagationPolicy": "Foreground"})
    assert meta(space, "ConfigMap", "owner")["finalizers"] == ["foregroundDeletion"]
    eventually(lambda: "deletionTimestamp" in meta(space, "ConfigMap", "child"), "the child is going")
    assert space.exists("ConfigMap", "owner")
    space.merge("ConfigMap", "child", {"metadata": {"finalizers": None}})
    eventually(lambda: not space.exists("ConfigMap", "owner"), "the owner is gone")


def test_an_orphan_stays_and_has_no_owner(space: Space) -> None:
    owner = space.made(config_map("owner"))
    space.made(config_map("child", ownerReferences=owned_by(owner)))
    space.delete("ConfigMap", "owner", {"propagationPolicy": "Orphan"})
    eventually(lambda: not space.exists("ConfigMap", "owner"), "the owner is gone")
    assert "ownerReferences" not in meta(space, "ConfigMap", "child")


def test_a_deployment_takes_its_replica_sets_and_pods_along(space: Space, puppet: Puppet) -> None:
    space.made(deployment("d", 2, pods=puppet.pods))
    eventually(lambda: len(puppet.play()) == 2, "two pods run")
    space.delete("Deployment", "d", propagationPolicy="Foreground")

    def is_empty() -> bool:
        puppet.play()
        return not any(space.listed(kind).names for kind in ("Deployment", "ReplicaSet", "Pod"))

    eventually(is_empty, "deployment, replica set and pods are gone")


def test_a_namespace_that_goes_takes_nothing_new(space: Space) -> None:
    space.made(config_map("a", finalizers=["example.com/wait"]))
    space.delete("Namespace", space.namespace)
    eventually(lambda: "deletionTimestamp" in meta(space, "ConfigMap", "a"), "its content is going")
    found = space.read("Namespace", space.namespace).body
    assert found["status"]["phase"] == "Terminating"
    answer = space.create(config_map("b"))
    assert answer.said == (403, "Forbidden")
    assert [cause["reason"] for cause in answer.body["details"]["causes"]] == ["NamespaceTerminating"]
    space.merge("ConfigMap", "a", {"metadata": {"finalizers": None}})
    eventually(lambda: not space.exists("Namespace", space.namespace), "the namespace is gone")


def test_a_namespace_says_what_it_waits_for(space: Space) -> None:
    space.made(config_map("a", finalizers=["example.com/wait"]))
    space.delete("Namespace", space.namespace)

    def waits_for() -> str | None:
        status = space.read("Namespace", space.namespace).body["status"]
        held = [one for one in status.get("conditions", []) if one["type"] == "NamespaceFinalizersRemaining"]
        return held[0]["message"] if held and held[0]["status"] == "True" else None

    told = eventually(waits_for, "the namespace says what it waits for")
    assert told == "Some content in the namespace has finalizers remaining: example.com/wait in 1 resource instances"
    space.merge("ConfigMap", "a", {"metadata": {"finalizers": None}})
