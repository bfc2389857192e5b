"""Plans: flat steps, budgets, and every reason not to begin."""

from dataclasses import replace

import pytest

from scenario_runner.core.faults import GpuSeat
from scenario_runner.core.outcome import Phase
from scenario_runner.core.plan import AbortRule, Guards, PlatformProfile, Retry
from scenario_runner.core.states import BudgetState, Condition, PodState, WorkloadState
from scenario_runner.errors import InvalidScenario, Refused
from scenario_runner.format.plan import make_plan
from scenario_runner.format.plan_text import render
from tests.format.cluster import LABELS, node, pod, small_cluster
from tests.format.files import scenario
from tests.format.kinds import InjectXid

DRILL = """\
description: A GPU falls off the bus.
namespace: dynamo
requires: [agent, sentinel]
vars: {calm: 30s}
targets:
  worker: {workload: deployment/w}
  victim: {gpu_of: worker, pick: first}
  front: {service: front}
guards: {allow: [cordon, drain, reboot], min_ready: {worker: 2}}
abort_when: [{load: traffic, success: below 0.2, window: 30s}]
platform: {cordoned: 90s}
health:
- wait_for_node: {target: victim, reached: ready}
steps:
- send_requests: {target: front, rate: 5/s, for: "{{ calm }}"}
  id: traffic
  background: true
- group:
    steps:
    - inject_xid: {target: victim, xid: 79}
      timeout: 10s
    - group: {steps: [pause: 5s]}
      when: false
  id: outage
- join: traffic
  name: Wait for the traffic
  retry: {attempts: 3, every: 1s}
  continue_on_failure: true
- assert_success: {load: traffic, ratio: at least 0.9}
after:
- send_requests: {target: front, count: 10, every: 1s}
"""


def plan(folder, text, world=None):
    cluster, agent = world or small_cluster()
    return make_plan(scenario(folder, text), cluster, agent, seed=7)


def test_a_plan_is_flat_and_every_step_has_an_id_a_number_and_a_timeout(tmp_path):
    steps = plan(tmp_path, DRILL).steps
    assert [(one.number, one.id, one.phase, one.scope, one.timeout, one.when, one.line) for one in steps] == [
        ("health 01", "health-01-wait_for_node", Phase.HEALTH, (), 60.0, True, 15),
        ("01", "traffic", Phase.STEPS, (), 60.0, True, 17),
        ("02", "02-inject_xid", Phase.STEPS, ("outage",), 10.0, True, 22),
        ("03", "03-pause", Phase.STEPS, ("outage", "03-group-1"), 60.0, False, 24),
        ("04", "04-join", Phase.STEPS, (), 60.0, True, 27),
        ("05", "05-assert_success", Phase.STEPS, (), 60.0, True, 31),
        ("after 01", "after-01-send_requests", Phase.AFTER, (), 60.0, True, 33),
    ]
    assert steps[2].step == InjectXid(target="victim", xid=79)
    assert (steps[1].background, steps[4].retry, steps[4].continue_on_failure, steps[4].name) == (
        True,
        Retry(3, 1.0),
        True,
        "Wait for the traffic",
    )


def test_a_plan_knows_its_budgets_and_what_will_happen(tmp_path):
    made = plan(tmp_path, DRILL)
    health, traffic, inject, join, judge, two_groups = 60.0, 60.0, 10.0, 3 * 60.0 + 2.0, 60.0, 2 * 300.0
    assert made.worst_case == health + traffic + inject + join + judge + two_groups
    assert made.undo_budget == 300.0
    assert made.profile == PlatformProfile(cordoned=90.0)
    assert made.guards == Guards(allow=("cordon", "drain", "reboot"), min_ready={"worker": 2})
    assert made.abort_when == (AbortRule("traffic", 0.2, 30.0),)
    assert made.changes == ("victim: a kernel log line with XID 79",)
    assert made.consequences == (
        "gpu-2: cordon, drain, reboot (the platform's answer to XID 79)",
        "gpu-2: pods there: dynamo/w-a, nvsentinel/labeler",
        "1 of 3 nodes with GPUs (33%) take no pods for a while",
    )


def test_a_plan_tells_of_the_budgets_that_a_drain_has_to_wait_for(tmp_path):
    cluster, agent = small_cluster()
    cluster.budget_states += [
        BudgetState("dynamo", "w", "app=w", 0, "minAvailable 3"),
        BudgetState("nvsentinel", "all", "", 1, "maxUnavailable 1"),
        BudgetState("dynamo", "other", "app=other", 0, "minAvailable 1"),
    ]
    assert plan(tmp_path, DRILL, (cluster, agent)).consequences[2:4] == (
        "gpu-2: disruption budget dynamo/w (minAvailable 3) covers 1 of them and lets 0 go now: the drain waits for it",
        "gpu-2: disruption budget nvsentinel/all (maxUnavailable 1) covers 1 of them and lets 1 go now",
    )


def test_a_plan_tells_of_the_pods_of_every_namespace_and_how_many_it_does_not_name(tmp_path):
    cluster, agent = small_cluster()
    for at in range(12):
        cluster.put(PodState(("ops", "team")[at % 2], f"p-{at:02}", f"uid-{at}", "gpu-2", "Running", ready=True))
    assert plan(tmp_path, DRILL, (cluster, agent)).consequences[1] == (
        "gpu-2: pods there: dynamo/w-a, nvsentinel/labeler, ops/p-00, ops/p-02, ops/p-04, ops/p-06, ops/p-08, ops/p-10"
        ", and 6 more of team"
    )


def test_a_fault_that_the_platform_only_notes_hits_no_pods(tmp_path):
    assert plan(tmp_path, aimed_at("{gpu_of: worker}", xid=94)).consequences == (
        "gpu-2: no action (the platform's answer to XID 94)",
    )


def test_a_deadline_bounds_the_worst_case_and_an_undo_budget_can_be_given(tmp_path):
    made = plan(tmp_path, "deadline: 100s\nundo_budget: 40s\n" + DRILL)
    assert (made.worst_case, made.undo_budget, made.deadline) == (60.0 + 100.0, 40.0, 100.0)


def test_a_plan_is_printed_with_what_it_will_do(tmp_path):
    text = render(plan(tmp_path, DRILL)).replace(str(tmp_path), "FOLDER")
    assert (
        text.splitlines()
        == """\
drill (FOLDER/drill.yaml)
A GPU falls off the bus.

Variables:
  calm = 30s (file)

Targets:
  worker  dynamo/deployment/w, 3 pods wanted   {workload: deployment/w}
  victim  GPU 1 of gpu-2, held by w-a   {gpu_of: worker, pick: first}
          also matched: GPU 1 of gpu-1, held by w-b; GPU 1 of gpu-3, held by w-c
  front   dynamo/front:8000 at http://127.0.0.9:8000   {service: front}

Health, before the first step and after undo:
  health 01  wait_for_node (at most 1m)

Steps:
  01  send_requests [traffic] (at most 1m, in the background)
      group outage, taken back at its end:
  02    inject_xid (at most 10s)
        group 03-group-1, taken back at its end:
  03      pause 5.0 (at most 1m, skipped, its when is false)
  04  Wait for the traffic (at most 1m, 3 attempts, 1s apart, a failure does not stop the run)
  05  assert_success (at most 1m)

After undo:
  after 01  send_requests (at most 1m)

Guards:
  at most 1 nodes and 1 GPUs are hit
  the platform may: cordon, drain, reboot
  worker has at least 2 ready pods before the first fault

Changes, taken back at the end:
  victim: a kernel log line with XID 79

Consequences, left to the platform:
  gpu-2: cordon, drain, reboot (the platform's answer to XID 79)
  gpu-2: pods there: dynamo/w-a, nvsentinel/labeler
  1 of 3 nodes with GPUs (33%) take no pods for a while

Times:
  worst case 16m 12s, then undo within 5m
  the platform may take: detected 1m, cordoned 1m 30s, drained 5m, remediated 10m, uncordoned 10m
  XID 79 (critical) shows within 30s to 1m, is recovered after 3m to 5m, stable 3m to 5m later
  seed 7

Stops early when:
  success of traffic is below 0.2 over 30s""".splitlines()
    )


def refused(folder, text, world=None):
    with pytest.raises(Refused) as caught:
        plan(folder, text, world)
    return str(caught.value).splitlines()


def test_a_consequence_that_the_guards_do_not_allow_is_refused(tmp_path):
    assert refused(tmp_path, DRILL.replace("allow: [cordon, drain, reboot]", "allow: [cordon]")) == [
        "XID 79 makes the platform drain gpu-2, and guards.allow does not name drain",
        "XID 79 makes the platform reboot gpu-2, and guards.allow does not name reboot",
    ]


def test_more_nodes_or_gpus_than_the_guards_allow_are_refused(tmp_path):
    text = DRILL.replace("  victim:", "  other: {gpu: {node: gpu-3, index: 1}}\n  victim:").replace(
        "- join:", "- inject_xid: {target: other, xid: 79}\n- join:"
    )
    assert refused(tmp_path, text) == [
        "the faults hit 2 nodes (gpu-2, gpu-3), and guards.max_nodes is 1",
        "the faults hit 2 gpus (GPU 1 of gpu-2, GPU 1 of gpu-3), and guards.max_gpus is 1",
        "2 of 3 nodes with GPUs (67%) would be cordoned: at 50% within 5m the platform's circuit breaker stops "
        "everything, uncordoning too, and guards.allow does not name breaker",
    ]


def test_a_scenario_without_guards_may_hit_one_gpu_of_one_node_and_nothing_beyond_the_fault_itself(tmp_path):
    text = DRILL.replace("  victim:", "  other: {gpu: {node: gpu-3, index: 1}}\n  victim:").replace(
        "- join:", "- inject_xid: {target: other, xid: 94}\n- join:"
    )
    unguarded = text.replace("guards: {allow: [cordon, drain, reboot], min_ready: {worker: 2}}\n", "")
    assert refused(tmp_path, unguarded) == [
        "the faults hit 2 nodes (gpu-2, gpu-3), and guards.max_nodes is 1",
        "the faults hit 2 gpus (GPU 1 of gpu-2, GPU 1 of gpu-3), and guards.max_gpus is 1",
        "XID 79 makes the platform cordon gpu-2, and guards.allow does not name cordon",
        "XID 79 makes the platform drain gpu-2, and guards.allow does not name drain",
        "XID 79 makes the platform reboot gpu-2, and guards.allow does not name reboot",
    ]


def test_nodes_that_are_cordoned_already_count_for_the_circuit_breaker(tmp_path):
    cluster, agent = small_cluster()
    cluster.put(node("gpu-3", unschedulable=True))
    assert refused(tmp_path, DRILL, (cluster, agent)) == [
        "2 of 3 nodes with GPUs (67%) would be cordoned: at 50% within 5m the platform's circuit breaker stops "
        "everything, uncordoning too, and guards.allow does not name breaker"
    ]
    allowed = DRILL.replace("allow: [cordon,", "allow: [breaker, cordon,")
    assert "breaker" in plan(tmp_path, allowed, (cluster, agent)).guards.allow


@pytest.mark.parametrize("namespace", ["kube-system", "nvsentinel"])
def test_a_gpu_that_a_protected_namespace_holds_is_no_victim(tmp_path, namespace):
    cluster, agent = small_cluster()
    cluster.put(replace(pod("w-a", "gpu-2"), namespace=namespace, name="theirs", labels={"app": "theirs"}))
    cluster.workload_states["deployment", namespace, "theirs"] = WorkloadState(
        "deployment", namespace, "theirs", "uid", 1, "app=theirs"
    )
    agent.nodes["gpu-2"] = (GpuSeat(1, "GPU-21", "4001:21:00", (f"{namespace}/theirs",)),)
    text = DRILL.replace("deployment/w}", f"deployment/theirs, namespace: {namespace}}}").replace(
        "worker: 2", "worker: 1"
    )
    assert refused(tmp_path, text.replace("worker: 2", "worker: 1"), (cluster, agent)) == [
        f"GPU 1 of gpu-2 is held by {namespace}/theirs, which is protected"
    ]


@pytest.mark.parametrize("place", ["gpu: {node: gpu-2, index: 1}", "node: gpu-2"])
def test_a_gpu_that_a_protected_namespace_holds_is_no_victim_by_its_place_either(tmp_path, place):
    cluster, agent = small_cluster()
    agent.nodes["gpu-2"] = (GpuSeat(1, "GPU-21", "4001:21:00", ("nvsentinel/theirs",)),)
    text = DRILL.replace("gpu_of: worker, pick: first", place).replace("xid: 79}", "xid: 79, gpu: 1}")
    assert refused(tmp_path, text, (cluster, agent))[0] == (
        "GPU 1 of gpu-2 is held by nvsentinel/theirs, which is protected"
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"unschedulable": True}, "is cordoned already"),
        ({"conditions": {"Ready": Condition("Unknown")}}, "is not ready already"),
        (
            {"conditions": {"Ready": Condition("True"), "SysLogsXIDError": Condition("True")}},
            "has condition SysLogsXIDError already",
        ),
        ({"labels": {**LABELS, "dgxc.nvidia.com/nvsentinel-state": "draining"}}, "is in state draining already"),
    ],
)
def test_a_victim_that_is_ill_is_refused_unless_that_is_allowed(tmp_path, changes, told):
    cluster, agent = small_cluster()
    cluster.put(node("gpu-2", **changes))
    assert refused(tmp_path, DRILL, (cluster, agent)) == [f"node gpu-2 {told}; allow_sick: true in guards accepts that"]
    assert plan(tmp_path, DRILL.replace("guards: {", "guards: {allow_sick: true, "), (cluster, agent)).guards.allow_sick


def test_a_node_that_is_not_labelled_for_drills_is_refused(tmp_path):
    cluster, agent = small_cluster()
    cluster.put(node("gpu-2", labels={"nvidia.com/gpu.present": "true"}))
    assert refused(tmp_path, DRILL, (cluster, agent)) == ["node gpu-2 is not labelled scenario-runner/allow=true"]


def test_too_few_ready_pods_are_refused(tmp_path):
    assert refused(tmp_path, DRILL.replace("worker: 2", "worker: 4")) == [
        "worker has 3 ready pods, and guards.min_ready asks for 4"
    ]


HELD = "dynamo/w-b holds GPU 1 of gpu-1, dynamo/w-a holds GPU 1 of gpu-2, dynamo/w-c holds GPU 1 of gpu-3"


def aimed_at(target, xid=79):
    return DRILL.replace("{gpu_of: worker, pick: first}", target).replace("xid: 79", f"xid: {xid}")


def test_a_gpu_that_no_pod_of_the_workload_holds_is_no_victim(tmp_path):
    assert refused(tmp_path, aimed_at("{gpu: {node: gpu-1, index: 0}}")) == [
        f"no pod of worker holds GPU 0 of gpu-1, so nobody would feel XID 79 there; {HELD}"
    ]
    assert (
        plan(tmp_path, aimed_at("{gpu: {node: gpu-1, index: 1}}")).resolved[1].chosen == "GPU 1 of gpu-1, held by w-b"
    )


def test_a_gpu_that_somebody_else_holds_is_no_victim(tmp_path):
    cluster, agent = small_cluster()
    free, held = agent.nodes["gpu-1"]
    agent.nodes["gpu-1"] = (replace(free, held_by=("dynamo/notebook",)), held)
    assert refused(tmp_path, aimed_at("{gpu: {node: gpu-1, index: 0}}"), (cluster, agent)) == [
        f"no pod of worker holds GPU 0 of gpu-1 (dynamo/notebook does), so nobody would feel XID 79 there; {HELD}"
    ]


def test_a_node_is_a_victim_when_its_drain_meets_a_pod_of_the_workload(tmp_path):
    assert plan(tmp_path, aimed_at("{node: gpu-1}")).consequences[0].startswith("gpu-1: cordon, drain, reboot")
    assert refused(tmp_path, aimed_at("{node: gpu-1}", xid=94)) == [
        f"no pod of worker holds GPU 0 of gpu-1, so nobody would feel XID 94 there; {HELD}"
    ]


def test_one_of_several_faults_may_hit_a_gpu_that_nobody_holds_and_the_plan_says_so(tmp_path):
    text = DRILL.replace("  victim:", "  idle: {gpu: {node: gpu-3}}\n  victim:").replace(
        "- join:", "- inject_xid: {target: idle, xid: 94}\n- join:"
    )
    made = plan(tmp_path, text.replace("guards: {", "guards: {max_nodes: 2, max_gpus: 2, "))
    assert made.consequences[-1] == "no pod of worker holds GPU 0 of gpu-3, so nobody would feel XID 94 there"


def test_a_node_without_a_pod_of_the_workload_is_no_victim(tmp_path):
    cluster, agent = small_cluster()
    cluster.remove(next(pod for pod in cluster.pods("dynamo") if pod.name == "w-b"))
    agent.nodes["gpu-1"] = tuple(replace(seat, held_by=()) for seat in agent.nodes["gpu-1"])
    assert refused(tmp_path, aimed_at("{node: gpu-1}").replace("worker: 2", "worker: 1"), (cluster, agent)) == [
        "no pod of worker holds a GPU of gpu-1, so nobody would feel XID 79 there; "
        "dynamo/w-a holds GPU 1 of gpu-2, dynamo/w-c holds GPU 1 of gpu-3"
    ]


def test_who_holds_gpus_of_a_node_without_an_agent_is_not_known_and_does_not_matter(tmp_path):
    cluster, agent = small_cluster()
    del agent.nodes["gpu-2"]
    agent.unreachable["gpu-3"] = "connection refused"
    text = aimed_at("{gpu: {node: gpu-1, index: %d}}").replace("requires: [agent, sentinel]\n", "")
    assert refused(tmp_path, text % 0, (cluster, agent)) == [
        "no pod of worker holds GPU 0 of gpu-1, so nobody would feel XID 79 there; dynamo/w-b holds GPU 1 of gpu-1"
    ]
    assert plan(tmp_path, text % 1, (cluster, agent)).resolved[1].chosen == "GPU 1 of gpu-1, held by w-b"


def test_a_gpu_that_does_not_exist_on_a_node_is_no_victim(tmp_path):
    text = aimed_at("{node: gpu-1}").replace("xid: 79}", "xid: 79, gpu: 5}")
    assert refused(tmp_path, text) == ["gpu-1 has no GPU 5; it has 0 (GPU-10, 4001:10:00), 1 (GPU-11, 4001:11:00)"]


def test_a_scenario_that_names_no_workload_may_hit_a_gpu_that_nobody_holds(tmp_path):
    text = "namespace: dynamo\n" + (
        "targets: {victim: {gpu: {node: gpu-1}}, front: {service: front}}\n"
        "steps:\n- send_requests: {target: front, count: 20, every: 1s}\n  id: traffic\n  background: true\n"
        "- inject_xid: {target: victim, xid: 94}\n- assert_success: {load: traffic, ratio: at least 0.9}\n"
    )
    assert plan(tmp_path, text).changes == ("victim: a kernel log line with XID 94",)


def test_what_is_required_and_not_there_is_told(tmp_path):
    cluster, agent = small_cluster()
    cluster.remove(next(pod for pod in cluster.pods("nvsentinel")))
    agent.unreachable["gpu-1"] = "connection refused"
    assert refused(tmp_path, DRILL, (cluster, agent)) == [
        "requires agent, and a fault agent does not answer: gpu-1: connection refused",
        "requires sentinel, and the cluster has no namespace nvsentinel",
    ]


def test_a_step_that_is_skipped_hits_nobody(tmp_path):
    text = DRILL.replace("      timeout: 10s\n", "      when: false\n").replace(
        "allow: [cordon, drain, reboot]", "allow: []"
    )
    made = plan(tmp_path, text)
    assert (made.changes, made.consequences, made.undo_budget) == ((), (), 60.0)


def test_what_lint_calls_an_error_has_no_plan(tmp_path):
    with pytest.raises(InvalidScenario) as caught:
        plan(tmp_path, "steps:\n- pause: 5s\n")
    assert [problem.text for problem in caught.value.problems] == [
        "no step injects a fault, so this can not pass: add one, or write control: true"
    ]
