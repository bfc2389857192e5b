"""Drills when something else happens to nodes and pods: by accident, by an operator, or because a budget forbids it."""

import pytest

from tests.e2e import stage as scenery
from tests.e2e.drill import Stage
from tests.e2e.drills import day
from tests.e2e.running import wait_for

pytestmark = pytest.mark.kmsg

REPLACED = {"wait_for_pods": {"target": "worker", "ready": "all", "away_from": "victim"}}
ALL = {"wait_for_pods": {"target": "worker", "ready": "all"}}


@pytest.mark.parametrize("accident", ["its kubelet is killed", "its network is cut"])
def test_a_drill_sees_its_victim_go_and_come_back_when(calm: Stage, accident: str):
    """The node is not ready, its pods are evicted by the taint, and it comes back as it was."""
    node, away = day.victim(calm), {"wait_for_node": {"target": "victim", "reached": "not_ready"}}
    back = {"wait_for_node": {"target": "victim", "now": "ready"}}
    with calm.running(day.drill(calm, away, REPLACED, back, ALL)) as drill:
        drill.wait_until(day.ACTIVE)
        if accident == "its network is cut":
            calm.cluster.cut(node)
        else:
            calm.cluster.kill(node, "kubelet")
        try:
            wait_for("the pods are replaced", 90, lambda: day.serve_elsewhere(calm, node), every=0.5)
        finally:
            if accident == "its network is cut":
                calm.cluster.join(node)
            else:
                calm.cluster.start(node, "kubelet")
        code, said = drill.ends()
    assert code == 0, said


def test_a_node_that_somebody_else_drains_during_a_drill_stays_cordoned(calm: Stage):
    node, cordoned = day.victim(calm), {"wait_for_node": {"target": "victim", "reached": "cordoned"}}
    with calm.running(day.drill(calm, cordoned, REPLACED, settle_timeout="3s")) as drill:
        drill.wait_until(day.ACTIVE)
        try:
            calm.cluster.kubectl("drain", node, "--pod-selector=app=vllm-decode", "--timeout=60s")
            code, said = drill.ends()
            assert code == 0, said
            assert calm.report()["notes"] == [f"node {node} still has a cordon 3s after the undo"]
            assert _is_cordoned(calm, node)
        finally:
            calm.cluster.kubectl("uncordon", node)


def test_a_drain_that_a_budget_blocks_fails_the_drill_and_is_taken_back(calm: Stage):
    inside = f"--namespace={scenery.SERVICE}"
    drained = {"wait_for_node": {"target": "victim", "reached": "drained"}, "timeout": "6s"}
    calm.cluster.kubectl(
        inside, "create", "poddisruptionbudget", "all", "--selector=app=vllm-decode", "--min-available=3"
    )
    try:
        file = day.drill(calm, drained, xid=119, guards={"allow": ["cordon", "drain", "gpu-reset"]})
        plan = calm.call("plan", *calm.where(), str(file))
        done = calm.run(file)
    finally:
        calm.cluster.kubectl(inside, "delete", "poddisruptionbudget", "all")
    node = day.victim(calm)
    assert f"{node}: disruption budget dynamo/all (minAvailable 3) " in plan.stdout
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"failed: no platform drained {node} within 6s; " in done.stdout


def test_a_worker_that_runs_out_of_memory_is_seen_to_crash_and_an_operators_cordon_is_kept(calm: Stage):
    node = day.victim(calm)
    other = next(name for name in calm.cluster.nodes if name != node)
    pod, before = _first_pod(calm)
    crashed = {"wait_for_pods": {"target": "worker", "crashed": 1}}
    calm.cluster.kubectl("cordon", other)
    try:
        with calm.running(day.drill(calm, crashed, ALL)) as drill:
            drill.wait_until(day.ACTIVE)
            eats = calm.cluster.try_kubectl(f"--namespace={scenery.SERVICE}", "exec", pod, "--", "python3", "-c", EATS)
            assert "137" in eats.stderr, eats
            code, said = drill.ends()
        assert code == 0, said
        assert [name for name in calm.cluster.nodes if _is_cordoned(calm, name)] == [other]
    finally:
        calm.cluster.kubectl("uncordon", other)
    same, after = _first_pod(calm)
    assert (same, after["restartCount"]) == (pod, before["restartCount"] + 1)
    assert after["lastState"]["terminated"]["reason"] == "OOMKilled"


# Many small eaters: so the largest process, which the kernel ends, is the engine.
EATS = """
import os, time
open("/proc/1/oom_score_adj", "w").write("1000")
while os.fork():
    time.sleep(0.05)
food = bytearray(16 << 20)
time.sleep(60)
"""


def _first_pod(stage: Stage) -> tuple[str, day.Json]:
    """Its name, and the status of its container."""
    pod = min(day.workers(stage), key=lambda one: one["metadata"]["name"])
    (status,) = pod["status"]["containerStatuses"]
    return pod["metadata"]["name"], status


def _is_cordoned(stage: Stage, node: str) -> bool:
    return bool(stage.cluster.get("node", node)["spec"].get("unschedulable"))
