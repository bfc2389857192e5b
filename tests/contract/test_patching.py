"""`patch_cuda` and its way back against a real API server: every kind of workload that it knows, and its refusals."""

import pytest

from scenario_runner.core.events import StepProgress
from scenario_runner.core.targets import WorkloadTarget
from scenario_runner.workloads.kinds import KINDS
from scenario_runner.workloads.pod_templates import document_ref
from tests.contract.clusters import RealStand
from tests.contract.test_changes import definition, eventually
from tests.fakes import FakeWorld
from tests.steps.running import carry_out, outcome

POD = {"spec": {"containers": [{"name": "main", "image": "vllm", "env": [{"name": "LD_PRELOAD", "value": "/j.so"}]}]}}
CUSTOM = {
    "leaderworkerset": ("leaderworkerset.x-k8s.io/v1", {"leaderWorkerTemplate": {"size": 1, "workerTemplate": POD}}),
    "dynamographdeployment alpha": (
        "nvidia.com/v1alpha1",
        {"services": {"Decode": {"extraPodSpec": {"mainContainer": {"image": "vllm"}}}}},
    ),
    "dynamographdeployment beta": (
        "nvidia.com/v1beta1",
        {"components": [{"name": "decode", "podTemplate": POD}]},
    ),
}
LABELS = {
    "leaderworkerset": {"leaderworkerset.sigs.k8s.io/name": "w"},
    "dynamographdeployment": {"nvidia.com/dynamo-graph-deployment-name": "w"},
}
READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


class Hand:
    """Somebody who does what the controller of a custom workload would do."""

    def __init__(self, stand: RealStand) -> None:
        self.stand = stand
        self.pods = "/api/v1/namespaces/default/pods"

    def define(self, word: str) -> str:
        version, spec = CUSTOM[word]
        kind = KINDS[word.partition(" ")[0]]
        group = version.partition("/")[0]
        made = definition(group, kind.kind, version)
        self.stand._create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", made)
        path = f"/apis/{version}/namespaces/default/{kind.plural}"
        body = {"apiVersion": version, "kind": kind.kind, "metadata": {"name": "w"}, "spec": spec}
        eventually(lambda: self.stand._create(path, body))
        return word.partition(" ")[0]

    def add_pod(self, name: str, word: str) -> None:
        self.stand.add_pod(name, "gpu-1", **LABELS[word])
        self.stand.call("PATCH", f"{self.pods}/{name}/status", {"status": READY})

    def replace_pod(self, word: str) -> None:
        """The group is made anew."""
        path = f"{self.pods}/w-0"
        if path in self.stand._made:
            self.stand._made.remove(path)
            self.stand.call("DELETE", path, {"gracePeriodSeconds": 0})
            self.add_pod("w-0-new", word)


@pytest.fixture
def hand(api_server):
    stand = RealStand(api_server)
    stand.add_node("gpu-1", **{"kubernetes.io/hostname": "gpu-1"})
    yield Hand(stand)
    stand.leave_nothing()


class Mirrored:
    """A real cluster but for its watches, whose real time is not that of the tests: they hear of pods when told to."""

    def __init__(self, real, watches):
        self._real, self._watches, self.follow = real, watches, watches.follow

    def __getattr__(self, name):
        return getattr(self._real, name)

    def look(self):
        for pod in self._real.pods("default"):
            self._watches.put(pod)


def in_its_world(folder, stand):
    world = FakeWorld(folder)
    world.cluster = Mirrored(stand.cluster, world.cluster)
    return world


def target_of(stand, word):
    found = stand.cluster.workload(word, "default", "w")
    assert found is not None
    return WorkloadTarget(
        word, found.namespace, found.name, found.uid, found.selector, found.replicas, found.api_version
    )


def as_it_is(stand, target):
    document = stand.cluster.read(document_ref(target))
    assert document is not None
    counted = ("resourceVersion", "generation", "managedFields")
    about = {key: value for key, value in document.content["metadata"].items() if key not in counted}
    return about, document.content["spec"]


@pytest.mark.parametrize("word", CUSTOM)
def test_a_custom_workload_is_found_carries_the_library_and_is_as_it_was_afterwards(hand, word, tmp_path):
    """No controller is there, so all that is waited for is what its pods and its status say."""
    kind = hand.define(word)
    hand.add_pod("w-0", kind)
    target, world = target_of(hand.stand, kind), in_its_world(tmp_path, hand.stand)
    assert (target.api_version, target.replicas) == (CUSTOM[word][0], 1)
    before, during = as_it_is(hand.stand, target), []

    def controller(event):
        if isinstance(event, StepProgress) and event.step_id == "library":
            during.append(as_it_is(hand.stand, target))
            hand.replace_pod(kind)
            world.cluster.look()

    world.cluster.look()
    world.listeners += (controller,)
    report = carry_out(world, "- patch_cuda: {target: it, pin: true}\n  id: library", targets={"it": target})
    assert outcome(report, "library") == ("passed", f"{kind}/w carries the library; 1 pods are ready")
    assert "/opt/scenario-runner/library/libscenario_cuda.so" in str(during[0])
    assert "'values': ['gpu-1']" in str(during[0])
    assert [one.outcome for one in report.undo] == ["kept", "kept"]
    assert as_it_is(hand.stand, target) == before


def test_the_newest_version_of_a_graph_that_the_cluster_knows_is_used(hand):
    hand.define("dynamographdeployment alpha")
    assert [(one.kind, one.name) for one in hand.stand.cluster.workloads("default")] == [("dynamographdeployment", "w")]
    assert "kind: DynamoGraphDeployment" in hand.stand.cluster.describe("dynamographdeployment", "default", "w")
    assert hand.stand.cluster.workload("leaderworkerset", "default", "w") is None


def test_an_api_server_says_whether_it_would_admit_a_pod_and_makes_none(hand):
    spec = {"containers": [{"name": "main", "image": "vllm"}]}
    cluster = hand.stand.cluster
    assert cluster.refuses_pod("default", {"metadata": {"name": "tried"}, "spec": spec}) == ""
    assert [pod.name for pod in cluster.pods("default")] == []
    refused = cluster.refuses_pod("default", {"metadata": {"name": "tried"}, "spec": {"containers": []}})
    assert refused.startswith("the API server refuses POST /api/v1/namespaces/default/pods: Pod")
    assert "spec.containers: Required value" in refused
