"""Drills in which CUDA calls really fail: through the command line, in a lab whose engines use the stand-in driver."""

import json
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from scenario_runner.reporters.tables import seconds
from tests.scenarios.drill import ROOT

pytestmark = [pytest.mark.drill, pytest.mark.lab, pytest.mark.timeout(300)]

SCENARIOS = ROOT / "scenarios"
HEAD = """version: 1
name: cuda
namespace: dynamo
requires: [agent, sentinel]
targets:
  worker: {workload: deployment/vllm-decode}
  victim: {gpu_of: worker, pick: first}
  frontend: {service: frontend, port: 8000, chat: {model: auto, prompt: hello, max_tokens: 4}}
guards: {max_nodes: 1, allow: [cordon, drain, reboot], min_ready: {worker: 2}}
steps:
- patch_cuda: worker
- send_requests: {target: frontend, rate: 10/s}
  id: traffic
  background: true
"""
LOST = """
- inject_xid: {target: victim, xid: 79}
- arm_cuda: {target: victim, xid: 79}
  id: lost
- assert_cuda_hits: {of: lost, processes: at least 1, target: worker}
- wait_for_pods: {target: worker, crashed: 1}
- wait_for_pods: {target: worker, ready: all, away_from: victim}
- wait_for_sentinel: {target: victim, reached: healed}
- join: traffic
- assert_success: {load: traffic, during: fault, ratio: at least 0.7}
"""
CRASHING = """
- arm_cuda: {target: victim, xid: 79}
  id: lost
- assert_cuda_hits: {of: lost, processes: at least 3, target: worker}
- wait_for_pods: {target: worker, crashed: 1}
- disarm_cuda: lost
- wait_for_pods: {target: worker, ready: all}
- join: traffic

"""
MOVED = """
- arm_cuda: {target: victim, profile: mmu-fault}
  id: lost
- assert_cuda_hits: {of: lost, processes: at least 1, target: worker}
- disarm_cuda: lost
- wait_for_pods: {target: worker, ready: all}
- join: traffic
"""

ARMED = """
- patch_cuda: {target: worker, armed: true, victim: victim, profile: mmu-fault, pin: true}
  id: library
- assert_cuda_hits: {of: library, processes: at least 1, target: worker}
"""


def test_a_lost_gpu_crashes_the_engine_that_holds_it_and_everything_is_taken_back(bench, tmp_path):
    scenario = tmp_path / "lost.yaml"
    scenario.write_text(HEAD + LOST)
    nodes, deployment = bench.nodes(), template(bench)
    result = bench.drill(scenario)
    assert result.code == 0, result.out + result.err
    lost = one_fault(bench.newest(), "gpu-lost")
    first, *again = lost["hits"]
    assert (first["process"], first["container"], first["code"]) == ("python3", "worker", 719)
    assert {(hit["function"], hit["code"]) for hit in again} <= {("cuInit", 100)}  # started again on the same GPU
    assert {f"{hit['node']} {hit['gpu']}" for hit in lost["hits"]} == {f"{lost['node']} {lost['gpu'].split()[1]}"}
    assert all(hit["pod"].startswith("dynamo/vllm-decode-") for hit in lost["hits"])
    assert 0 < after_arming(lost, first) < min(after_arming(lost, hit) for hit in again or [{"first": "9999-12-31"}])
    assert f"| {first['first']} | {seconds(after_arming(lost, first))} |" in told(bench.newest())
    assert (bench.nodes(), template(bench)) == (nodes, deployment)
    assert left(bench) == []
    assert bench.call("recover").out == "no run has left anything to take back\n"


def test_only_the_engine_on_the_gpu_that_fails_goes_into_a_crash_loop_and_it_comes_back(bench, tmp_path):
    scenario = tmp_path / "crashing.yaml"
    scenario.write_text(HEAD + CRASHING)
    deployment = template(bench)
    drill = bench.begin(scenario)
    folder = drill.until("events.ndjson", '"CrashLoopBackOff"')
    restarts = {one["metadata"]["name"]: restarted(one) for one in pods(bench)}
    crashed = [name for name, count in restarts.items() if count]
    assert drill.process.wait(120) == 0, (folder / "summary.md").read_text()
    assert {hit["pod"] for hit in one_fault(folder, "gpu-lost")["hits"]} == {f"dynamo/{name}" for name in crashed}
    assert len(crashed) == 1
    assert template(bench) == deployment


def test_a_victim_that_our_own_rollout_leaves_is_another_one_that_the_run_claims(bench, tmp_path):
    """Its node takes no new pods, so that the GPU that was planned is nobody's when the fault begins."""
    planned = min(pods(bench), key=lambda one: one["metadata"]["name"])["spec"]["nodeName"]
    scenario = tmp_path / "moved.yaml"
    scenario.write_text(HEAD.replace("min_ready", "allow_sick: true, min_ready") + MOVED)
    bench.kubectl("cordon", planned)
    try:
        result = bench.drill(scenario)
    finally:
        bench.kubectl("uncordon", planned)
    folder = bench.newest()
    assert result.code == 0, (folder / "summary.md").read_text()
    lost = one_fault(folder, "mmu-fault")
    assert {hit["node"] for hit in lost["hits"]} == {lost["node"]}
    assert lost["node"] != planned
    assert f"victim is GPU {lost['gpu'][0]} of {lost['node']}, held by" in (folder / "summary.md").read_text()
    assert json.loads((folder / "run.json").read_text())["targets"] == sorted([planned, lost["node"]])


def test_a_workload_that_is_armed_and_pinned_in_one_step_stays_on_its_nodes_and_fails_there(bench, tmp_path):
    scenario = tmp_path / "armed.yaml"
    scenario.write_text(HEAD.partition("- patch_cuda")[0] + ARMED)
    nodes, deployment = {one["spec"]["nodeName"] for one in pods(bench)}, template(bench)
    result = bench.drill(scenario)
    folder = bench.newest()
    assert result.code == 0, (folder / "summary.md").read_text()
    armed = one_fault(folder, "mmu-fault")
    assert (armed["step_id"], armed["evidence"]) == ("library", "hit")
    assert {hit["node"] for hit in armed["hits"]} == {armed["node"]}
    assert armed["node"] in nodes
    assert template(bench) == deployment


def test_where_every_gpu_is_held_a_rollout_that_waits_for_one_is_told_and_taken_back(bench, tmp_path):
    scenario = tmp_path / "stuck.yaml"
    scenario.write_text(
        HEAD.partition("- patch_cuda")[0] + ARMED.replace(", pin: true", "").replace("}", "}\n  timeout: 8s", 1)
    )
    with crowded(bench):
        deployment = template(bench)
        result = bench.drill(scenario)
        folder = bench.newest()
        assert result.code == 3, (folder / "summary.md").read_text()
        told = "is there a free GPU for the pod that comes before an old one goes? in_place: true needs none"
        assert told in (folder / "summary.md").read_text()
        assert (template(bench), left(bench)) == (deployment, [])
        assert [one["metadata"]["name"] for one in pods(bench) if "scenario-runner" in json.dumps(one["spec"])] == []
        assert bench.call("recover").out == "no run has left anything to take back\n"


def test_where_every_gpu_is_held_new_pods_take_the_place_of_old_ones_there_and_back(bench, tmp_path):
    scenario = tmp_path / "full.yaml"
    scenario.write_text(HEAD.partition("- patch_cuda")[0] + ARMED.replace("pin: true", "in_place: true"))
    with crowded(bench):
        deployment = template(bench)
        result = bench.drill(scenario)
        folder = bench.newest()
        assert result.code == 0, (folder / "summary.md").read_text()
        assert "each in the place of an old one (maxSurge 0, maxUnavailable 1)" in result.out
        assert template(bench) == deployment


def test_an_engine_that_answers_500_for_ever_fails_the_drill_in_which_it_must_exit(bench):
    with engines(bench, "ON_CUDA_ERROR=answer-500"):
        result = bench.drill(SCENARIOS / "cuda-engine-must-exit.yaml", "--var", "exits=5s")
    assert result.code == 1, result.out + result.err
    assert failed_steps(bench.newest()) == {"05": "pods of worker crashed (1)"}


def test_an_engine_that_crashes_for_want_of_memory_fails_the_drill_in_which_it_must_not(bench):
    with engines(bench, "ON_CUDA_ERROR=exit-on-oom"):
        result = bench.drill(SCENARIOS / "cuda-oom-must-not-crash.yaml")
    assert result.code == 1, result.out + result.err
    assert failed_steps(bench.newest()) == {"05": "pods of worker never crash for 10s"}


def test_a_gpu_that_is_slower_than_its_limit_fails_the_drill_and_nothing_else_does(bench, tmp_path):
    scenario = tmp_path / "slow.yaml"
    shipped = (SCENARIOS / "cuda-slow-gpu.yaml").read_text()
    scenario.write_text(shipped.replace("min_ready: {worker: 2}", "min_ready: {worker: 1}"))
    with replicas(bench, 1):  # whose GPU every request needs: kept connections to others would pass it by
        result = bench.drill(scenario, "--var", "delay=100ms")
    assert result.code == 1, result.out + result.err
    assert failed_steps(bench.newest()) == {"10": "latency of traffic: p95 at most 5 x calm during fault"}


@contextmanager
def engines(bench, setting):
    """The model's engines have another setting."""
    set_environment(bench, setting)
    try:
        yield
    finally:
        set_environment(bench, setting.partition("=")[0] + "-")


def set_environment(bench, change):
    bench.kubectl("-n", "dynamo", "set", "env", "deployment/vllm-decode", change)
    bench.kubectl("-n", "dynamo", "rollout", "status", "deployment", "vllm-decode", "--timeout=25s")


def failed_steps(folder):
    steps = json.loads((folder / "report.json").read_text())["outcomes"]
    return {one["number"]: one["name"] for one in steps if one["status"] == "failed"}


def crowded(bench):
    """Every GPU is held, and no pod goes before another one has come: then there is no room for the other one."""
    return replicas(bench, 6, unavailable="0")


@contextmanager
def replicas(bench, number, unavailable='"25%"'):
    scale(bench, number, unavailable=unavailable)
    try:
        yield
    finally:
        scale(bench, 3, unavailable='"25%"')


def scale(bench, replicas, *, unavailable):
    spec = f'{{"replicas": {replicas}, "strategy": {{"rollingUpdate": {{"maxUnavailable": {unavailable}}}}}}}'
    bench.kubectl("-n", "dynamo", "patch", "deployment", "vllm-decode", "-p", f'{{"spec": {spec}}}')
    bench.kubectl("-n", "dynamo", "rollout", "status", "deployment", "vllm-decode", "--timeout=25s")


def template(bench):
    found = json.loads(bench.kubectl("-n", "dynamo", "get", "deployment", "vllm-decode", "-o", "json"))
    annotations = dict(found["metadata"]["annotations"])
    annotations.pop("deployment.kubernetes.io/revision")
    return found["spec"], annotations, found["metadata"]["labels"]


def pods(bench):
    return json.loads(bench.kubectl("-n", "dynamo", "get", "pods", "-o", "json"))["items"]


def restarted(pod):
    return sum(one["restartCount"] for one in pod["status"].get("containerStatuses") or [])


def left(bench):
    """Names of the ConfigMaps in the namespace of the workload, but for what every namespace has."""
    items = json.loads(bench.kubectl("-n", "dynamo", "get", "cm", "-o", "json"))["items"]
    return [name for one in items if (name := one["metadata"]["name"]) != "kube-root-ca.crt"]


def after_arming(fault, hit):
    """Seconds from the order to the first failing call of a process, by the clock of its node."""
    moments = [datetime.fromisoformat(one).replace(tzinfo=UTC) for one in (fault["ordered"], hit["first"])]
    return (moments[1] - moments[0]).total_seconds()


def told(folder):
    return (folder / "summary.md").read_text()


def one_fault(folder, profile):
    report = json.loads((folder / "report.json").read_text())
    (found,) = [one for one in report["faults"] if one["cuda"] == profile]
    return found
