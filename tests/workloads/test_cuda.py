"""Where the CUDA library goes in each kind of workload, beside what is there, and back again."""

import pytest

from scenario_runner.core.edits import edited, leaf
from scenario_runner.core.ports import Document, ObjectRef
from scenario_runner.core.targets import WorkloadTarget
from scenario_runner.errors import StepBroken
from scenario_runner.workloads.cuda import carried_config_map, cuda_edits, in_place_edits, pin_edits
from scenario_runner.workloads.pod_templates import document_ref, pod_templates, pods

OURS = "/opt/scenario-runner/library/libscenario_cuda.so"
FIRST = [{"name": "first", "image": "x", "env": [{"name": "LD_PRELOAD", "value": "/usr/lib/libjemalloc.so"}]}]
SPEC = {"initContainers": FIRST, "containers": [{"name": "main", "image": "x"}, {"name": "side", "image": "y"}]}
CONTENTS = {
    "Deployment": {"spec": {"template": {"spec": SPEC}}},
    "StatefulSet": {"spec": {"template": {"spec": SPEC}}},
    "DaemonSet": {"spec": {"template": {"spec": SPEC}}},
    "LeaderWorkerSet": {
        "spec": {"leaderWorkerTemplate": {"leaderTemplate": {"spec": SPEC}, "workerTemplate": {"spec": SPEC}}}
    },
    "DynamoGraphDeployment": {"spec": {"components": [{"name": "decode", "podTemplate": {"spec": SPEC}}]}},
    "DynamoGraphDeployment v1alpha1": {
        "spec": {
            "services": {
                "decode": {"extraPodSpec": {"initContainers": FIRST, "mainContainer": {"image": "x"}}},
                "prefill": {},
            }
        }
    },
}
every_kind = pytest.mark.parametrize("kind", CONTENTS)


def document(kind, content=None):
    return Document(ObjectRef("v", kind.partition(" ")[0], "dynamo", "w", "uid"), "1", content or CONTENTS[kind])


def patched(given, **options):
    edits = cuda_edits(given, "library", options.get("containers", ()))
    return Document(given.ref, "2", edited(given.content, edits))


def preloads(given):
    return [
        (leaf(given.content, (*path, "env", "name=LD_PRELOAD")) or {}).get("value")
        for template in pod_templates(given)
        for path in template.containers.values()
    ]


@every_kind
def test_every_container_of_every_template_loads_the_library(kind):
    given = document(kind)
    assert set(preloads(patched(given))) == {OURS}


@every_kind
def test_init_containers_are_left_alone_and_stand_in_the_pod_that_is_tried(kind):
    given = document(kind)
    carrying = patched(given)

    def first(content):
        return [leaf(content, (*one.spec, "initContainers")) for one in pod_templates(given)]

    assert first(carrying.content) == first(given.content)
    assert FIRST in first(given.content)
    assert FIRST in [pod["spec"].get("initContainers") for pod in pods(carrying)]


def test_an_init_container_can_not_be_named():
    with pytest.raises(StepBroken) as refused:
        cuda_edits(document("Deployment"), "library", ("first",))
    assert str(refused.value) == "Deployment w has no container first; it has main, side"


@every_kind
def test_a_workload_that_carries_the_library_needs_no_further_change(kind):
    carrying = patched(document(kind))
    assert cuda_edits(carrying, "library", ()) == []
    assert (carried_config_map(document(kind)), carried_config_map(carrying)) == ("", "library")


def test_a_container_gets_the_library_read_only_the_control_folder_and_a_place_for_hits():
    spec = patched(document("Deployment"), containers=("main",)).content["spec"]["template"]["spec"]
    assert spec["volumes"] == [
        {"name": "scenario-runner-library", "configMap": {"name": "library", "defaultMode": 0o644}},
        {
            "name": "scenario-runner-cuda",
            "hostPath": {"path": "/run/scenario-runner/cuda", "type": "DirectoryOrCreate"},
        },
    ]
    main, side = spec["containers"]
    assert main["volumeMounts"] == [
        {"name": "scenario-runner-library", "mountPath": "/opt/scenario-runner/library", "readOnly": True},
        {"name": "scenario-runner-cuda", "mountPath": "/opt/scenario-runner/cuda", "readOnly": True},
        {"name": "scenario-runner-cuda", "mountPath": "/opt/scenario-runner/hits", "subPath": "hits"},
    ]
    values = {one["name"]: one.get("value") for one in main["env"]}
    assert values == {
        "SCENARIO_RUNNER_CUDA_NAMESPACE": None,
        "SCENARIO_RUNNER_CUDA_POD": None,
        "SCENARIO_RUNNER_CUDA_OWNER": "$(SCENARIO_RUNNER_CUDA_NAMESPACE)/$(SCENARIO_RUNNER_CUDA_POD)/main",
        "SCENARIO_RUNNER_CUDA_CONTROL": "/opt/scenario-runner/cuda/control",
        "SCENARIO_RUNNER_CUDA_HITS": "/opt/scenario-runner/hits",
        "LD_PRELOAD": OURS,
    }
    assert list(values)[-4:-3] == ["SCENARIO_RUNNER_CUDA_OWNER"], "what it refers to must stand before it"
    assert side == {"name": "side", "image": "y"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("/usr/lib/libjemalloc.so", f"{OURS}:/usr/lib/libjemalloc.so"),
        ("/a.so /b.so", f"{OURS}:/a.so:/b.so"),
        ("", OURS),
        (f"/a.so:{OURS}", f"{OURS}:/a.so"),
    ],
)
def test_it_is_preloaded_before_what_is_preloaded_already(before, after):
    main = {"name": "main", "env": [{"name": "LD_PRELOAD", "value": before}]}
    given = document("Deployment", {"spec": {"template": {"spec": {"containers": [main]}}}})
    assert preloads(patched(given)) == [after]


def test_a_preload_that_comes_from_elsewhere_is_refused():
    source = {"configMapKeyRef": {"name": "settings", "key": "preload"}}
    main = {"name": "main", "env": [{"name": "LD_PRELOAD", "valueFrom": source}]}
    given = document("Deployment", {"spec": {"template": {"spec": {"containers": [main]}}}})
    with pytest.raises(StepBroken) as refused:
        cuda_edits(given, "library", ())
    assert str(refused.value) == (
        "container main of Deployment w takes LD_PRELOAD from elsewhere (valueFrom), and what comes from there can not "
        "be added to: write it as a value, or name other containers"
    )


def test_a_container_that_there_is_not_is_refused_with_those_there_are():
    with pytest.raises(StepBroken) as refused:
        cuda_edits(document("Deployment"), "library", ("main", "vllm"))
    assert str(refused.value) == "Deployment w has no container vllm; it has main, side"


@pytest.mark.parametrize("kind", ["Deployment", "ConfigMap"])
def test_what_has_no_pod_template_is_refused(kind):
    with pytest.raises(StepBroken) as refused:
        pod_templates(document(kind, {"spec": {}}))
    assert str(refused.value) == f"{kind} w has no pod template with a container"


def test_a_target_is_read_in_the_version_in_which_it_was_found():
    target = WorkloadTarget("dynamographdeployment", "dynamo", "w", "uid", "app=w", 3, "nvidia.com/v1alpha1")
    assert document_ref(target) == ObjectRef("nvidia.com/v1alpha1", "DynamoGraphDeployment", "dynamo", "w", "uid")


TERM = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}
HERE = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["gpu-1", "gpu-2"]}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, [{"matchExpressions": [HERE]}]),
        ({"nodeSelectorTerms": [TERM]}, [{"matchExpressions": [*TERM["matchExpressions"], HERE]}]),
        (
            {"nodeSelectorTerms": [TERM, {"matchFields": ["f"]}]},
            [
                {"matchExpressions": [*TERM["matchExpressions"], HERE]},
                {"matchFields": ["f"], "matchExpressions": [HERE]},
            ],
        ),
    ],
)
def test_a_pin_holds_beside_what_the_pods_ask_for_themselves(before, after):
    node = {"requiredDuringSchedulingIgnoredDuringExecution": before} if before else {}
    spec = {**SPEC, "affinity": {"nodeAffinity": {**node, "preferredDuringSchedulingIgnoredDuringExecution": ["p"]}}}
    given = document("Deployment", {"spec": {"template": {"spec": spec}}})
    pinned = edited(given.content, pin_edits(given, ["gpu-2", "gpu-1"]))
    assert pinned["spec"]["template"]["spec"]["affinity"]["nodeAffinity"] == {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": after},
        "preferredDuringSchedulingIgnoredDuringExecution": ["p"],
    }


@every_kind
def test_every_template_is_pinned(kind):
    given = document(kind)
    pinned = edited(given.content, pin_edits(given, ["gpu-1"]))
    path = ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
    found = [leaf(pinned, (*template.spec, *path)) for template in pod_templates(given)]
    assert found == [[{"matchExpressions": [{**HERE, "values": ["gpu-1"]}]}]] * len(pod_templates(given))


def test_a_pod_is_tried_as_its_template_has_it():
    labels = {"labels": {"app": "w"}, "annotations": {"a": "b"}, "creationTimestamp": None}
    given = document("Deployment", {"spec": {"template": {"metadata": labels, "spec": SPEC}}})
    assert list(pods(given)) == [{"metadata": {"labels": {"app": "w"}, "annotations": {"a": "b"}}, "spec": SPEC}]


def test_a_pod_of_which_an_operator_adds_the_rest_is_tried_with_what_is_known():
    tried = list(pods(patched(document("DynamoGraphDeployment v1alpha1"))))
    containers = [[(one["name"], one["image"]) for one in pod["spec"]["containers"]] for pod in tried]
    assert containers == [[("main", "x")], [("main", "scenario-runner/unknown")]]
    assert [len(pod["spec"]["volumes"]) for pod in tried] == [2, 2]


@pytest.mark.parametrize(
    ("kind", "strategy", "edits"),
    [
        ("Deployment", {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
         [("maxSurge", "25%", 0), ("maxUnavailable", "25%", 1)]),
        ("Deployment", {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 2}},
         [("maxUnavailable", 2, 1)]),
        ("Deployment", {"type": "Recreate"}, []),
        ("StatefulSet", {}, []),
    ],
)  # fmt: skip
def test_in_place_changes_the_strategy_of_deployments_only(kind, strategy, edits):
    given = document(kind, {"spec": {"strategy": strategy, "template": {"spec": SPEC}}})
    assert [(one.path[-1], one.was, one.became) for one in in_place_edits(given)] == edits
