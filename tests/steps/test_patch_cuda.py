"""Rolling a workload out with the CUDA library, and back."""

import copy
from dataclasses import replace

import pytest
from pydantic import ValidationError

from scenario_runner.core.edits import leaf
from scenario_runner.core.plan import Guards, ResolvedTarget, Through
from scenario_runner.core.ports import CudaLibrary
from scenario_runner.format.guards import victims
from tests.fake_world import TARGETS
from tests.fakes import GPUS, planned
from tests.steps.entry import step_of
from tests.steps.running import carry_out, last, outcome

MAIN = ("spec", "template", "spec", "containers", "name=main")
OF_WORKER = {"of-worker": replace(TARGETS["victim"], workload="worker")}
THROUGH_WORKER = tuple(
    ResolvedTarget(name, name, target, name, through=None if name == "worker" else Through("worker"))
    for name, target in {
        "worker": TARGETS["worker"],
        "victim": replace(TARGETS["victim"], workload="worker"),
        "place": TARGETS["node"],
    }.items()
)
ALLOWED = Guards(allow=("cordon", "drain", "reboot", "breaker"))
PATCH = "- patch_cuda: worker\n  id: library\n"

FOLLOWED = PATCH + "- inject_xid: {target: victim, xid: 79}\n- wait_for_node: {target: place, reached: cordoned}"


def during(world, at=1.0):
    """Documents of the cluster by key, as they are a while after the step."""
    seen = {}
    world.time.after(at, lambda: seen.update(copy.deepcopy(world.cluster.documents)))
    return seen


def test_the_workload_carries_the_library_while_the_run_lasts_and_is_as_before_afterwards(world):
    before, seen = world.snapshot(), during(world)
    report = carry_out(world, PATCH + "- pause: 5s")
    assert outcome(report, "library") == ("passed", "deployment/vllm-decode carries the library; 3 pods are ready")
    (name,) = [key for key in seen if key.startswith("ConfigMap/dynamo/scenario-runner-cuda-")]
    assert seen[name]["content"]["binaryData"] == {"libscenario_cuda.so": "YSBsaWJyYXJ5"}
    env = leaf(seen["Deployment/dynamo/vllm-decode"]["content"], (*MAIN, "env", "name=LD_PRELOAD"))
    assert env == {"name": "LD_PRELOAD", "value": "/opt/scenario-runner/library/libscenario_cuda.so"}
    assert [(one.subject.partition(" dynamo")[0], one.outcome) for one in report.undo] == [
        ("our ConfigMap", "kept"),
        ("edits of Deployment", "kept"),
    ]
    assert world.snapshot() == before


def test_what_a_secret_may_hide_is_told_as_nobody_reads_it(world):
    container = leaf(world.cluster.documents["Deployment/dynamo/vllm-decode"]["content"], MAIN)
    container["envFrom"] = [
        {"secretRef": {"name": "tokens"}},
        {"secretRef": {"name": "others"}, "prefix": "MY_"},
    ]
    assert outcome(carry_out(world, PATCH), "library") == (
        "passed",
        "deployment/vllm-decode carries the library; 3 pods are ready; Secret tokens (envFrom of main) is not read: "
        "an LD_PRELOAD in it is hidden by ours meanwhile",
    )


def test_the_second_time_there_is_nothing_to_do(world):
    report = carry_out(world, PATCH + "- patch_cuda: worker\n  id: again")
    assert outcome(report, "again") == ("passed", "deployment/vllm-decode carries the library already")
    assert len(report.undo) == 2


def test_a_rollout_that_does_not_end_is_told_with_what_it_lacks_and_taken_back(world):
    before = world.snapshot()
    world.cluster.put(replace(world.cluster.pods("dynamo")[0], ready=False))
    assert last(carry_out(world, PATCH + "  timeout: 10s")) == (
        "broken",
        "rollout of deployment/vllm-decode: 2 of 3 pods are ready; "
        "is there a free GPU for the pod that comes before an old one goes? in_place: true needs none",
    )
    assert world.snapshot() == before


def test_a_library_for_another_machine_is_asked_for_by_the_label_of_the_nodes(world):
    asked = []
    world.library = lambda machine: asked.append(machine) or CudaLibrary(b"x", machine)
    for node in world.cluster.nodes():
        world.cluster.put(replace(node, labels={**node.labels, "kubernetes.io/arch": "arm64"}))
    carry_out(world, PATCH)
    assert asked == ["aarch64"]


def test_nodes_of_several_kinds_are_refused(world):
    node = world.cluster.nodes()[0]
    world.cluster.put(replace(node, labels={**node.labels, "kubernetes.io/arch": "arm64"}))
    assert last(carry_out(world, PATCH)) == (
        "broken", "the pods run on nodes of several kinds (amd64, arm64): one library fits one",
    )  # fmt: skip


def test_a_library_that_no_config_map_holds_is_refused_before_anything_changes(world):
    world.library = lambda machine: CudaLibrary(b"x" * 800_000, machine)
    report = carry_out(world, PATCH)
    assert last(report) == (
        "broken",
        "the CUDA library has 1066668 bytes as text, a ConfigMap holds 1044480 at most: build it stripped",
    )
    assert report.undo == ()


@pytest.mark.parametrize("fault", ["inject_xid", "arm_cuda"])
def test_after_our_own_rollout_a_fault_follows_the_new_pod_on_the_planned_node(world, fault):
    """The plan chose GPU 0, and the new pod of the workload got GPU 1."""
    victim = world.cluster.pods("dynamo")[0]
    first, second = GPUS["gpu-1"]
    world.cluster.put(replace(victim, name="vllm-decode-new", uid="uid-new"))
    free, held = replace(first, held_by=()), replace(second, held_by=("dynamo/vllm-decode-new",))
    world.agent.nodes = {**GPUS, "gpu-1": (free, held)}
    report = carry_out(world, PATCH + f"- {fault}: {{target: of-worker, xid: 79}}", targets=OF_WORKER)
    assert [one.gpu for one in report.faults] == ["1 GPU-11"]


def test_after_our_own_rollout_a_fault_does_not_hit_a_pod_that_is_on_its_way_out(world):
    """The planned pod still holds its GPU 0 until it has ended."""
    going = world.cluster.pods("dynamo")[0]
    first, second = GPUS["gpu-1"]
    world.cluster.put(replace(going, deleting=True))
    world.cluster.put(replace(going, name="vllm-decode-new", uid="uid-new"))
    world.agent.nodes = {**GPUS, "gpu-1": (first, replace(second, held_by=("dynamo/vllm-decode-new",)))}
    report = carry_out(world, PATCH + "- inject_xid: {target: of-worker, xid: 79}", targets=OF_WORKER)
    assert [one.gpu for one in report.faults] == ["1 GPU-11"]


def test_a_victim_that_our_rollout_left_is_another_one_from_then_on(world):
    """No pod came back to gpu-1: of the others, the first by name decides, and later steps look at its node."""
    leave(world, "gpu-1")
    report = carry_out(world, FOLLOWED, resolved=THROUGH_WORKER, guards=ALLOWED)
    assert outcome(report, "library") == (
        "passed",
        "deployment/vllm-decode carries the library; 3 pods are ready; victim is GPU 0 of gpu-2, held by vllm-decode-2"
        " now, it was victim; place is gpu-2, runs vllm-decode-2 now, it was place",
    )
    assert [(one.node, one.gpu) for one in report.faults] == [("gpu-2", "0 GPU-20")]
    assert last(report) == ("passed", "gpu-2 cordoned 2s after the fault")
    assert report.plan.targets["victim"] == "GPU 0 of gpu-2, held by vllm-decode-2"


def test_a_victim_whose_node_another_run_owns_is_not_the_new_one(world):
    leave(world, "gpu-1")
    world.taken["gpu-2"] = "another"
    report = carry_out(world, FOLLOWED, resolved=THROUGH_WORKER, guards=ALLOWED)
    assert [one.node for one in report.faults] == ["gpu-3"]


def test_a_victim_that_may_be_nowhere_else_breaks_the_run_before_anything_is_hit(world):
    leave(world, "gpu-1")
    world.taken["gpu-2"] = "another"
    world.cluster.change_node("gpu-3", labels={"scenario-runner/allow": None})
    report = carry_out(world, FOLLOWED, resolved=THROUGH_WORKER, guards=ALLOWED)
    assert last(report) == (
        "broken",
        "the pods of worker are others now: target victim, which was victim, has left gpu-1, and nothing else may be "
        "hit: node gpu-2 belongs to run another, which is still running; "
        "node gpu-3 is not labelled scenario-runner/allow=true",
    )
    assert report.faults == ()


def test_a_victim_that_this_run_has_struck_stays_what_it_was(world):
    """Its node is ill by our hand, and what was found out about it belongs to it."""
    world.time.after(20.0, lambda: leave(world, "gpu-1"))
    steps = "- inject_xid: {target: victim, xid: 94, expect: written}\n- pause: 30s\n" + FOLLOWED
    report = carry_out(world, steps, resolved=THROUGH_WORKER, guards=ALLOWED)
    assert outcome(report, "library")[1] == "deployment/vllm-decode carries the library; 3 pods are ready"
    assert [(one.node, one.gpu) for one in report.faults] == [("gpu-1", "0 GPU-10"), ("gpu-1", "0 GPU-10")]


def test_what_the_rollout_back_moved_is_chosen_again_too(world):
    world.time.after(20.0, lambda: leave(world, "gpu-1"))
    steps = PATCH + "- pause: 30s\n- restore_cuda: library\n  id: back\n- inject_xid: {target: victim, xid: 79}"
    report = carry_out(world, steps, resolved=THROUGH_WORKER, guards=ALLOWED)
    assert outcome(report, "back")[1].endswith(
        "; victim is GPU 0 of gpu-2, held by vllm-decode-2 now, it was GPU 0 of gpu-1, held by vllm-decode-1"
        "; place is gpu-2, runs vllm-decode-2 now, it was gpu-1, runs vllm-decode-1"
    )
    assert [one.node for one in report.faults] == ["gpu-2"]


def test_a_pin_keeps_the_pods_where_they_are_and_is_taken_back(world):
    before, seen = world.snapshot(), during(world)
    node = world.cluster.nodes()[0]
    world.cluster.put(replace(node, labels={**node.labels, "kubernetes.io/hostname": "host-1"}))
    carry_out(world, "- patch_cuda: {target: worker, pin: true}\n- pause: 5s")
    affinity = seen["Deployment/dynamo/vllm-decode"]["content"]["spec"]["template"]["spec"]["affinity"]
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["gpu-2", "gpu-3", "host-1"]}
    assert affinity == {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}
        }
    }
    assert world.snapshot() == before


def test_where_no_gpu_is_spare_old_pods_go_first_and_the_strategy_is_set_back_with_the_rest(world):
    known = world.cluster.documents["Deployment/dynamo/vllm-decode"]
    known["content"]["spec"] |= {"replicas": 3, "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}}
    before, during_it = world.snapshot(), during(world)
    strategy = ("spec", "strategy", "rollingUpdate")
    report = carry_out(world, "- patch_cuda: {target: worker, in_place: true}\n  id: library\n- pause: 5s")
    assert outcome(report, "library")[1] == (
        "deployment/vllm-decode carries the library; 3 pods are ready, each in the place of an old one "
        "(maxSurge 0, maxUnavailable 1)"
    )
    assert leaf(during_it["Deployment/dynamo/vllm-decode"]["content"], strategy) == {"maxSurge": 0, "maxUnavailable": 1}
    assert [one.outcome for one in report.undo] == ["kept", "kept"]
    assert world.snapshot() == before


def test_a_pod_with_the_library_is_tried_before_anything_changes(world):
    carry_out(world, PATCH)
    ((namespace, pod),) = world.cluster.tried_pods
    assert (namespace, pod["metadata"]["name"]) == ("dynamo", "vllm-decode-scenario-runner")
    assert [one["name"] for one in pod["spec"]["volumes"]] == ["scenario-runner-library", "scenario-runner-cuda"]


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        (
            'the API server does not allow POST: pods "w" is forbidden: violates PodSecurity "baseline:latest": '
            'hostPath volumes (volume "scenario-runner-cuda")',
            "pods of deployment/vllm-decode with the CUDA library would not be admitted, as it reaches the node's "
            "control file by hostPath: label namespace dynamo pod-security.kubernetes.io/enforce=privileged, or drill "
            'elsewhere; the API server does not allow POST: pods "w" is forbidden: violates PodSecurity '
            '"baseline:latest": hostPath volumes (volume "scenario-runner-cuda")',
        ),
        (
            "the API server refuses POST: exceeded quota",
            "pods of deployment/vllm-decode with the CUDA library would not be admitted: "
            "the API server refuses POST: exceeded quota; in_place: true lets an old one go first",
        ),
    ],
    ids=["PodSecurity", "a quota"],
)
def test_a_namespace_that_would_not_admit_the_pods_is_refused_before_anything_changes(world, refused, told):
    before = world.snapshot()
    world.cluster.refusing_pods = refused
    report = carry_out(world, PATCH)
    assert (last(report), report.undo, world.snapshot()) == (("broken", told), (), before)


def test_a_quota_has_room_for_pods_that_take_the_place_of_old_ones(world):
    world.cluster.refusing_pods = "the API server refuses POST: exceeded quota"
    assert last(carry_out(world, "- patch_cuda: {target: worker, in_place: true}"))[0] == "passed"


ARMED = "- patch_cuda: {target: worker, armed: true, victim: victim, xid: 79}\n  id: library\n"


def test_an_armed_one_arms_when_the_new_pods_are_ready_and_waits_for_the_first_hit(world):
    before = world.snapshot()
    report = carry_out(world, ARMED + "- assert_cuda_hits: {of: library, processes: exactly 1, target: worker}")
    assert outcome(report, "library") == (
        "passed",
        "deployment/vllm-decode carries the library; 3 pods are ready; CUDA fault gpu-lost is armed for GPU 0 of gpu-1"
        "; first hit: dynamo/vllm-decode-1, cuLaunchKernel",
    )
    assert (report.verdict.status, world.snapshot()) == ("passed", before)
    assert [(one.subject.partition(" dynamo")[0], one.outcome) for one in report.undo] == [
        ("our ConfigMap", "kept"), ("edits of Deployment", "kept"), ("CUDA fault gpu-lost on gpu-1", "kept"),
    ]  # fmt: skip
    assert [str(one.role) for one in report.outcomes if one.step_id == "library" and one.phase == "steps"] == ["fault"]


def test_an_armed_one_that_nobody_runs_into_says_on_which_node(world):
    world.agent.on_arm = lambda record: None
    assert last(carry_out(world, ARMED + "  timeout: 10s")) == (
        "broken", "CUDA fault gpu-lost is armed: no process of a pod on gpu-1 ran into it: does it use that GPU?",
    )  # fmt: skip


def test_a_workload_that_carries_the_library_already_is_armed_all_the_same(world):
    report = carry_out(world, PATCH + ARMED.replace("library", "again"))
    assert outcome(report, "again")[1].startswith("deployment/vllm-decode carries the library already; CUDA fault")


def test_what_is_armed_hits_what_the_plan_calls_its_victim():
    step = step_of("patch_cuda", {"target": "worker", "armed": True, "victim": "victim", "profile": "oom"})
    assert step.changes(TARGETS) == [
        "dynamo/deployment/vllm-decode: a rollout with the CUDA library in a ConfigMap, and one back at the end",
        "gpu-1: CUDA fault oom for processes that use GPU 0",
    ]
    assert [(one.what, one.node.name, one.gpu, one.target) for one in victims([planned(step)], TARGETS)] == [
        ("CUDA fault oom", "gpu-1", "0", "victim")
    ]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"xid": 79}, "xid is for `armed: true`; without it the library does nothing until `arm_cuda`"),
        ({"armed": True, "xid": 79}, "armed needs a victim, and either xid or profile"),
        ({"armed": True, "victim": "v"}, "armed needs a victim, and either xid or profile"),
        (
            {"armed": True, "victim": "v", "xid": 79, "profile": "oom"},
            "armed needs a victim, and either xid or profile",
        ),
        (
            {"armed": True, "victim": "v", "profile": "gpu-last"},
            "there is no CUDA profile 'gpu-last': did you mean gpu-lost?",
        ),
    ],
)
def test_half_an_arming_is_refused_with_a_sentence(fields, words):
    with pytest.raises(ValidationError) as refused:
        step_of("patch_cuda", {"target": "worker", **fields})
    assert refused.value.errors()[0]["msg"] == f"Value error, {words}"


def test_a_workload_without_replicas_is_refused(world):
    none = replace(TARGETS["worker"], replicas=0)
    report = carry_out(world, "- patch_cuda: none", targets={"none": none})
    assert last(report) == (
        "broken",
        "deployment/vllm-decode has zero replicas: nobody would load the library; scale it up first",
    )
    assert report.undo == ()


def test_a_workload_without_a_pod_on_a_node_is_refused(world):
    for pod in world.cluster.pods("dynamo"):
        world.cluster.put(replace(pod, node=""))
    report = carry_out(world, PATCH)
    assert last(report) == ("broken", "deployment/vllm-decode has no pod on any node; nothing was changed")
    assert report.undo == ()


def test_a_workload_that_is_another_one_by_now_is_refused(world):
    world.cluster.documents["Deployment/dynamo/vllm-decode"]["uid"] = "another"
    assert last(carry_out(world, PATCH)) == (
        "broken", "deployment/vllm-decode is no longer the one that was planned; nothing was changed",
    )  # fmt: skip


def test_what_can_be_known_beforehand_is_objected_to_in_the_plan(world):
    step = step_of("patch_cuda", {"target": "worker", "containers": ["vllm"]})
    assert list(step.objections(TARGETS, world.cluster, world)) == [
        "Deployment vllm-decode has no container vllm; it has main"
    ]
    assert list(step_of("patch_cuda", "worker").objections(TARGETS, world.cluster, world)) == []


def test_groups_whose_controller_does_not_say_what_it_saw_are_waited_for_until_their_pods_are_others(world):
    """A LeaderWorkerSet takes a while to say that an update is in progress."""
    target = replace(
        TARGETS["worker"], kind="leaderworkerset", api_version="leaderworkerset.x-k8s.io/v1", uid="uid-groups"
    )
    content = {"spec": {"leaderWorkerTemplate": {"workerTemplate": {"spec": {"containers": [{"name": "main"}]}}}}}
    world.cluster.documents["LeaderWorkerSet/dynamo/vllm-decode"] = {
        "uid": "uid-groups", "version": 1, "content": {**content, "status": {"replicas": 3, "updatedReplicas": 3}},
    }  # fmt: skip
    before = world.snapshot()
    world.time.after(7.0, lambda: [world.cluster.put(replace(pod, uid=f"{pod.uid}-new"))
                                   for pod in world.cluster.pods("dynamo")])  # fmt: skip
    report = carry_out(world, "- patch_cuda: groups\n  id: library", targets={"groups": target})
    (one,) = [one for one in report.outcomes if one.step_id == "library" and one.phase == "steps"]
    assert (one.status, one.summary, one.seconds) == (
        "passed", "leaderworkerset/vllm-decode carries the library; 3 pods are ready", 7.0,
    )  # fmt: skip
    assert world.snapshot() == before


def leave(world, node):
    """The pod of a node comes back on gpu-3, where it holds the other GPU."""
    pod = next(one for one in world.cluster.pods("dynamo") if one.node == node)
    world.cluster.remove(pod)
    world.cluster.put(replace(pod, name="vllm-decode-new", uid="uid-new", node="gpu-3"))
    (first, second), (third, fourth) = world.agent.nodes[node], world.agent.nodes["gpu-3"]
    moved = (third, replace(fourth, held_by=("dynamo/vllm-decode-new",)))
    world.agent.nodes = {**world.agent.nodes, node: (replace(first, held_by=()), second), "gpu-3": moved}
