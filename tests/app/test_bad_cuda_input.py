"""Everything about CUDA that a scenario or a cluster can get wrong: one sentence each, before anything is changed."""

import copy
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from scenario_runner.adapters.cuda_library import CudaLibraryFiles
from scenario_runner.adapters.kubernetes_cluster import KubernetesCluster
from scenario_runner.app.backend import Address, Backend
from scenario_runner.app.preflight import refuse_what_is_not_permitted, refuse_what_steps_object_to
from scenario_runner.core.ports import CudaLibrary
from scenario_runner.core.states import WorkloadState
from scenario_runner.errors import InvalidScenario, Refused
from scenario_runner.format.lint import lint
from scenario_runner.format.loader import load
from scenario_runner.format.plan import make_plan
from scenario_runner.steps import STEPS
from tests.app.small_api import SmallApi
from tests.contract.clusters import write_kubeconfig
from tests.contract.servers import serving
from tests.fakes import FakeClock
from tests.format.cluster import PODS, pod, small_cluster
from tests.format.files import NOTHING_GIVEN

HEAD = """version: 1
name: drill
namespace: dynamo
targets:
  worker: {workload: deployment/w}
  victim: {gpu_of: worker}
  place: {node: gpu-1}
"""
NO_FAULT = "control: true\n" + HEAD.replace("  victim: {gpu_of: worker}\n", "")
PATCH = "steps:\n- patch_cuda: worker\n"
ARM = "- arm_cuda: {target: victim, xid: 79}\n  id: lost\n"
WAITS = "- wait_for_node: {target: place, reached: ready}\n"
JUDGED = "- assert_cuda_hits: {of: lost, processes: at least 1}\n"


class Here:
    """A small cluster whose Deployment can be patched, and the way of a scenario until it would begin."""

    def __init__(self, folder):
        self.folder = folder
        self.cluster, self.agent = small_cluster()
        self.library_size, self.machine = 10, ""
        self.container: dict[str, Any] = {"name": "main", "image": "vllm"}

    def library(self, machine):
        return CudaLibrary(b"x" * self.library_size, self.machine or machine)

    def begin(self, text=PATCH + ARM + JUDGED, head=HEAD):
        content = {"spec": {"template": {"spec": {"containers": [copy.deepcopy(self.container)]}}}}
        self.cluster.documents["Deployment/dynamo/w"] = {"uid": "uid", "version": 1, "content": content}
        file = self.folder / "drill.yaml"
        file.write_text(head + text)
        plan = make_plan(load(file, NOTHING_GIVEN, STEPS), self.cluster, self.agent, seed=1)
        refuse_what_steps_object_to(plan, SimpleNamespace(cluster=self.cluster), self)
        return plan

    def refused(self, *text, **more):
        before = copy.deepcopy(self.cluster.documents)
        with pytest.raises((Refused, InvalidScenario)) as refused:
            self.begin(*text, **more)
        before.setdefault("Deployment/dynamo/w", self.cluster.documents.get("Deployment/dynamo/w"))
        assert self.cluster.documents == before
        return str(refused.value).replace(f"{self.folder}/", "")


@pytest.fixture
def here(tmp_path):
    return Here(tmp_path)


def test_a_drill_in_order_may_begin(here):
    assert here.begin().scenario == "drill"


def test_an_unknown_profile_is_answered_with_what_was_meant(here):
    assert here.refused(PATCH + ARM.replace("xid: 79", "profile: gpu-last") + JUDGED) == (
        "drill.yaml:10:13: steps[1].arm_cuda: there is no CUDA profile 'gpu-last': did you mean gpu-lost?"
    )


def test_an_xid_without_a_profile_is_answered_with_those_that_have_one(here):
    assert here.refused(PATCH + ARM.replace("79", "62") + JUDGED) == (
        "drill.yaml:10:13: steps[1].arm_cuda: XID 62 has no CUDA profile: name a `profile`, or take one of "
        "13, 31, 43, 48, 74, 79, 94, 95, 119, 120"
    )


def test_an_unknown_error_code_is_answered_with_what_was_meant(here):
    assert here.refused(PATCH + ARM.replace("79", "79, code: CUDA_ERROR_LAUNCH_FALED") + JUDGED) == (
        "drill.yaml:10:13: steps[1].arm_cuda: CUDA has no error CUDA_ERROR_LAUNCH_FALED: did you mean launch-failed?"
    )


def test_a_mistake_in_a_rule_is_told_where_it_stands(here):
    arm = """- arm_cuda:
    target: victim
    rules:
    - {calls: [alloc, lanch], mode: oom}
    - {calls: [sync], mode: hang, after_cals: 2}
    - {calls: [sync], mode: fail}
    - {mode: oom}
  id: lost
"""
    assert here.refused(PATCH + arm + JUDGED).splitlines() == [
        "drill.yaml:13:23: steps[1].arm_cuda.rules[0].calls[1]: there is no kind of CUDA call lanch: "
        "did you mean launch?",
        "drill.yaml:14:35: steps[1].arm_cuda.rules[1].after_cals: unknown key: did you mean after_calls?",
        "drill.yaml:15:7: steps[1].arm_cuda.rules[2]: fail needs a code that the calls answer, "
        "e.g. code: launch-failed",
        "drill.yaml:16:7: steps[1].arm_cuda.rules[3].calls: is missing: which calls: launch, sync, copy, alloc and "
        "others",
    ]


def test_a_gpu_that_the_node_does_not_have(here):
    arm = ARM.replace("victim, xid: 79", "place, xid: 79, gpu: 5")
    assert here.refused(PATCH + arm + JUDGED) == (
        "gpu-1 has no GPU 5; it has 0 (GPU-10, 4001:10:00), 1 (GPU-11, 4001:11:00)"
    )


def test_a_gpu_that_the_node_does_not_have_where_no_workload_is_named_either(here):
    head = HEAD.partition("targets")[0] + "targets: {place: {node: gpu-1}}\n"
    arm = ARM.replace("victim, xid: 79", "place, xid: 79, gpu: 5")
    assert here.refused("steps:\n" + arm + JUDGED, head=head) == (
        "gpu-1 has no GPU 5; it has 0 (GPU-10, 4001:10:00), 1 (GPU-11, 4001:11:00)"
    )


def test_a_workload_that_is_missing(here):
    del here.cluster.workload_states["deployment", "dynamo", "w"]
    assert here.refused() == ("target worker: there is no deployment/w in namespace dynamo; there are no workloads")


def test_a_workload_with_zero_replicas(here):
    scale_to_zero(here)
    assert here.refused() == (
        "target victim: worker has zero replicas, so that no pod of it runs on a node: scale it up first"
    )


def test_a_workload_with_zero_replicas_whose_gpu_is_named_by_its_node(here):
    scale_to_zero(here)
    assert here.refused(PATCH + WAITS, head=NO_FAULT) == (
        "step 01-patch_cuda: deployment/w has zero replicas: nobody would load the library; scale it up first"
    )


def scale_to_zero(here):
    state = here.cluster.workload_states["deployment", "dynamo", "w"]
    here.cluster.workload_states["deployment", "dynamo", "w"] = replace(state, replicas=0)
    for name in PODS:
        here.cluster.remove(here.cluster.pod_states["dynamo", name])


def test_a_workload_that_selects_no_pods(here):
    for name, node in (("w-a", "gpu-2"), ("w-b", "gpu-1"), ("w-c", "gpu-3")):
        here.cluster.put(pod(name, node, labels={"app": "another"}))
    assert here.refused() == "target victim: no pod of worker runs on a node"


def test_a_library_that_is_built_for_another_machine(here, tmp_path, monkeypatch):
    file = tmp_path / "library.so"
    file.write_bytes(b"\x7fELF" + bytes(14) + (183).to_bytes(2, "little"))
    monkeypatch.setenv("SCENARIO_RUNNER_CUDA_LIBRARY", str(file))
    here.library = CudaLibraryFiles(tmp_path).library
    assert here.refused() == (
        "step 01-patch_cuda: the CUDA library is built for aarch64, and the nodes are x86_64: build it for them "
        "(cuda_lib/README.md) and say where it is with SCENARIO_RUNNER_CUDA_LIBRARY"
    )


def test_a_library_that_no_config_map_holds(here):
    here.library_size = 800_000
    assert here.refused() == (
        "step 01-patch_cuda: the CUDA library has 1066668 bytes as text, a ConfigMap holds 1044480 at most: "
        "build it stripped"
    )


def test_a_preload_from_a_reference_to_a_config_map(here):
    source = {"configMapKeyRef": {"name": "settings", "key": "preload"}}
    here.container["env"] = [{"name": "LD_PRELOAD", "valueFrom": source}]
    assert here.refused() == (
        "step 01-patch_cuda: container main of Deployment w takes LD_PRELOAD from elsewhere (valueFrom), and what "
        "comes from there can not be added to: write it as a value, or name other containers"
    )


def test_a_preload_among_all_variables_of_a_config_map(here):
    here.container["envFrom"] = [{"configMapRef": {"name": "settings"}, "prefix": "LD_"}]
    here.cluster.documents["ConfigMap/dynamo/settings"] = {
        "uid": "u", "version": 1, "content": {"data": {"PRELOAD": "/usr/lib/libjemalloc.so"}},
    }  # fmt: skip
    assert here.refused() == (
        "step 01-patch_cuda: container main of Deployment w takes LD_PRELOAD from ConfigMap settings (envFrom), and "
        "ours would hide it: write it as a value, or name other containers"
    )
    here.container["envFrom"][0]["prefix"] = "MY_"
    assert here.begin().scenario == "drill"


def test_a_container_that_there_is_not(here):
    assert here.refused(PATCH.replace("worker", "{target: worker, containers: [vllm]}") + ARM + JUDGED) == (
        "step 01-patch_cuda: Deployment w has no container vllm; it has main"
    )


def test_a_namespace_that_is_guarded(here):
    here.cluster.workload_states["deployment", "kube-system", "w"] = WorkloadState(
        "deployment", "kube-system", "w", "uid", 3, "app=w"
    )
    here.cluster.put(replace(pod("w-a", "gpu-2"), namespace="kube-system"))
    head = NO_FAULT.replace("deployment/w", "deployment/w, namespace: kube-system")
    assert here.refused(PATCH + WAITS, head=head) == (
        "step 01-patch_cuda changes worker in namespace kube-system, which is protected"
    )


def test_a_namespace_that_does_not_admit_the_pods(here):
    here.cluster.refusing_pods = 'the API server does not allow it: violates PodSecurity "restricted:latest"'
    assert here.refused() == (
        "step 01-patch_cuda: pods of deployment/w with the CUDA library would not be admitted, as it reaches the "
        "node's control file by hostPath: label namespace dynamo pod-security.kubernetes.io/enforce=privileged, or "
        'drill elsewhere; the API server does not allow it: violates PodSecurity "restricted:latest"'
    )


@pytest.mark.parametrize(
    ("verb", "resource", "words"),
    [
        ("patch", "deployments", "patch deployments.apps"),
        ("create", "configmaps", "create configmaps"),
        ("delete", "configmaps", "delete configmaps"),
        ("create", "pods", "create pods"),
    ],
)
def test_no_permission_to_do_what_a_patch_does(here, tmp_path, verb, resource, words):
    def forbidden(review):
        return (review["verb"], review["resource"], review.get("namespace")) == (verb, resource, "dynamo")

    plan = here.begin()
    with serving(SmallApi(forbidden=forbidden)) as url:
        cluster = KubernetesCluster(write_kubeconfig(tmp_path, url), clock=FakeClock())
        where = Backend("cluster prod", Address("/config", context="prod", agent_url="http://a"), cluster, None, "uid")
        with closing(cluster), pytest.raises(Refused) as refused:
            refuse_what_is_not_permitted(plan, where)
    assert str(refused.value) == (
        f"we may not {words} in namespace dynamo: the Role scenario-runner of that namespace "
        "(Helm chart agent/deploy/runner) grants it"
    )


def test_pods_that_are_pinned_and_waited_for_elsewhere(tmp_path):
    file = tmp_path / "drill.yaml"
    waits = "- wait_for_pods: {target: worker, ready: all, away_from: victim}\n"
    file.write_text(HEAD + PATCH.replace("worker", "{target: worker, pin: true}") + ARM + waits + JUDGED)
    found = [f"{one.problem.line}: {one.problem.text}" for one in lint(load(file, NOTHING_GIVEN, STEPS))]
    assert found[1:] == ["12: worker is pinned to its nodes in line 9: its pods can not leave victim"]
