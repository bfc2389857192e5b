"""How objects are changed: under a claim, conditionally, by names that are fixed; the fake and the lab's API server."""

import time
import urllib.error
from dataclasses import replace

import pytest

from scenario_runner.core.edits import CLAIM, CLAIM_PATH, claim_of, leaf
from scenario_runner.core.ports import Edit, ObjectRef
from scenario_runner.core.step import Act
from scenario_runner.core.undo.revert_edits import RevertEdits
from scenario_runner.errors import TargetRefused
from tests.contract.clusters import RealStand

ENV = ("spec", "template", "spec", "containers", "name=main", "env")
TO_THREE = (Edit((*ENV, "name=B", "value"), "2", "3"),)
CREATED = ObjectRef("v1", "ConfigMap", "default", "scenario-runner-library-1")


def values(document):
    env = document.content["spec"]["template"]["spec"]["containers"][0]["env"]
    return {one["name"]: one["value"] for one in env}


def edit(stand, ref, *edits):
    """Edit a fresh read; a controller may write in between."""
    while True:
        try:
            return stand.cluster.edit(ref, stand.cluster.read(ref).resource_version, edits)
        except TargetRefused as refusal:
            if refusal.code != "Conflict":
                raise


def refusal_of(call, *arguments):
    with pytest.raises(TargetRefused) as refused:
        call(*arguments)
    return refused.value.code


@pytest.fixture
def made(stand):
    yield lambda content: stand.cluster.create(CREATED, "run-a/1", content)
    left = stand.cluster.read(CREATED)
    if left is not None:
        stand.cluster.delete(left.ref)


def test_a_claim_is_an_annotation_and_is_put_on_once(stand):
    ref = stand.add_deployment()
    claimed = stand.cluster.claim(ref, "run-a/1")
    assert claim_of(claimed.content) == claim_of(stand.cluster.read(ref).content) == "run-a/1"
    assert claim_of(stand.cluster.claim(ref, "run-a/1").content) == "run-a/1"


def test_a_claim_of_another_run_is_respected(stand):
    ref = stand.add_deployment()
    stand.cluster.claim(ref, "run-a/1")
    with pytest.raises(TargetRefused, match="is being changed by run run-a") as refused:
        stand.cluster.claim(ref, "run-b/1")
    assert refused.value.code == "Claimed"


@pytest.mark.parametrize("change", [{"uid": "another"}, {"name": "gone"}])
def test_another_object_is_not_claimed(stand, change):
    ref = replace(stand.add_deployment(), **change)
    assert refusal_of(stand.cluster.claim, ref, "run-a/1") == "Conflict"
    assert refusal_of(stand.cluster.edit_claimed, ref, "run-a/1", TO_THREE) == "Conflict"


def test_a_claimed_object_is_edited_whatever_its_version_is_by_now(stand):
    ref = stand.add_deployment()
    stand.cluster.claim(ref, "run-a/1")
    assert values(stand.cluster.edit_claimed(ref, "run-a/1", TO_THREE)) == {"A": "1", "B": "3"}
    assert values(stand.cluster.edit_claimed(ref, "run-a/1", TO_THREE)) == {"A": "1", "B": "3"}


@pytest.mark.parametrize("claim", ["", "run-b/1"])
def test_without_the_claim_on_it_an_object_is_not_edited(stand, claim):
    ref = stand.add_deployment()
    if claim:
        stand.cluster.claim(ref, claim)
    assert refusal_of(stand.cluster.edit_claimed, ref, "run-a/1", TO_THREE) == "Conflict"
    assert values(stand.cluster.read(ref)) == {"A": "1", "B": "2"}


def test_an_edit_after_the_claim_was_taken_off_comes_too_late(stand):
    ref = stand.add_deployment()
    stand.cluster.claim(ref, "run-a/1")
    stand.cluster.edit_claimed(ref, "run-a/1", TO_THREE)
    edit(stand, ref, Edit((*ENV, "name=B", "value"), "3", "2"), Edit(CLAIM_PATH, "run-a/1", None))
    assert refusal_of(stand.cluster.edit_claimed, ref, "run-a/1", TO_THREE) == "Conflict"
    assert values(stand.cluster.read(ref)) == {"A": "1", "B": "2"}


def test_a_value_that_is_not_what_it_was_is_not_overwritten(stand):
    ref = stand.add_deployment()
    stand.cluster.claim(ref, "run-a/1")
    edits = (Edit((*ENV, "name=A", "value"), "1", "9"), Edit((*ENV, "name=B", "value"), "something else", "9"))
    assert refusal_of(stand.cluster.edit_claimed, ref, "run-a/1", edits) == "Conflict"
    assert values(stand.cluster.read(ref)) == {"A": "1", "B": "2"}


def test_edits_and_their_undo_leave_an_object_as_it_was(stand):
    ref = stand.add_deployment()
    before = stand.cluster.read(ref)
    volume = {"name": "cuda", "configMap": {"name": "library", "defaultMode": 292}}
    undo = RevertEdits.of(
        before,
        [
            *TO_THREE,
            Edit((*ENV, "name=LD_PRELOAD"), None, {"name": "LD_PRELOAD", "value": "/cuda/ours.so"}),
            Edit(("spec", "template", "spec", "volumes", "name=cuda"), None, volume),
            Edit(("spec", "template", "metadata", "annotations", "a/b"), None, "c"),
        ],
    )
    changed = undo.make(Act(None, stand.cluster, "run-a/1"))
    assert values(changed) == {"A": "1", "B": "3", "LD_PRELOAD": "/cuda/ours.so"}

    context = Undoing(stand.cluster, "run-a/1")
    assert undo.take_back(context).endswith("is as it was: 4 of 4 values set back")

    after = stand.cluster.read(ref)
    assert after.content["spec"] == before.content["spec"]
    assert claim_of(after.content) == ""
    assert undo.take_back(context).endswith("has nothing of ours")
    assert claim_of(stand.cluster.read(ref).content) == ""


def test_a_created_object_has_its_name_its_content_and_the_claim(stand, made):
    document = made({"metadata": {"labels": {"a": "b"}}, "data": {"key": "value"}})
    metadata = document.content["metadata"]
    assert (metadata["labels"], metadata["annotations"]) == ({"a": "b"}, {CLAIM: "run-a/1"})
    assert document.content["data"] == {"key": "value"}
    assert document.ref == replace(CREATED, uid=document.ref.uid)
    assert stand.cluster.read(CREATED).ref == document.ref
    assert refusal_of(made, {}) == "AlreadyExists"


def test_a_created_object_is_deleted_by_its_uid(stand, made):
    document = made({"data": {}})
    assert refusal_of(stand.cluster.delete, replace(document.ref, uid="another")) == "Conflict"
    stand.cluster.delete(document.ref)
    assert stand.cluster.read(CREATED) is None
    stand.cluster.delete(document.ref)


CONTAINER = {"name": "main", "image": "vllm", "env": [{"name": "A", "value": "1"}]}
POD = {"spec": {"containers": [CONTAINER]}}
CUSTOM = [
    (
        "leaderworkerset.x-k8s.io/v1",
        "LeaderWorkerSet",
        {"replicas": 1, "leaderWorkerTemplate": {"size": 2, "workerTemplate": POD}},
        ("spec", "leaderWorkerTemplate", "workerTemplate", "spec", "containers", "name=main", "env"),
    ),
    (
        "nvidia.com/v1alpha1",
        "DynamoGraphDeployment",
        {"services": {"VllmDecodeWorker": {"replicas": 1}}},
        ("spec", "services", "VllmDecodeWorker", "extraPodSpec", "mainContainer", "env"),
    ),
    (
        "nvidia.com/v1beta1",
        "DynamoGraphDeployment",
        {"components": [{"name": "frontend"}, {"name": "decode", "podTemplate": POD}]},
        ("spec", "components", "name=decode", "podTemplate", "spec", "containers", "name=main", "env"),
    ),
]


@pytest.mark.parametrize(("version", "kind", "spec", "env"), CUSTOM, ids=["LWS", "DGD alpha", "DGD beta"])
def test_custom_workloads_are_edited_and_set_back_to_the_letter(api_server, version, kind, spec, env):
    stand = RealStand(api_server)
    plural, group = f"{kind.lower()}s", version.partition("/")[0]
    stand.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition(group, kind, version))
    path = f"/apis/{version}/namespaces/default/{plural}"
    try:
        body = {"apiVersion": version, "kind": kind, "metadata": {"name": "w"}, "spec": spec}
        ref = ObjectRef(
            version, kind, "default", "w", eventually(lambda: stand.call("POST", path, body))["metadata"]["uid"]
        )
        before = stand.cluster.read(ref)
        preload = {"name": "LD_PRELOAD", "value": "/cuda/ours.so"}
        undo = RevertEdits.of(before, [Edit((*env, "name=LD_PRELOAD"), None, preload)])

        changed = undo.make(Act(None, stand.cluster, "run-a/1"))

        assert leaf(changed.content, (*env, "name=LD_PRELOAD")) == preload
        assert undo.take_back(Undoing(stand.cluster, "run-a/1")).endswith("1 of 1 values set back")
        after = stand.cluster.read(ref)
        assert after.content["spec"] == before.content["spec"]
        assert "annotations" not in after.content["metadata"]
    finally:
        stand.call("DELETE", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.{group}")
        stand.leave_nothing()


def definition(group, kind, version):
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    names = {"kind": kind, "plural": f"{kind.lower()}s", "singular": kind.lower(), "listKind": f"{kind}List"}
    versions = [{"name": version.partition("/")[2], "served": True, "storage": True, "schema": schema}]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": versions},
    }


def eventually(call):
    """A definition is served a moment after it was made."""
    for _ in range(200):
        try:
            return call()
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            time.sleep(0.05)
    raise AssertionError("the custom resource is not served")


class Undoing:
    """As much of an undo's context as edits need."""

    def __init__(self, cluster, claim):
        self.cluster, self.claim = cluster, claim
