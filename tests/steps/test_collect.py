"""Keeping evidence."""

from dataclasses import replace

from scenario_runner.errors import TargetRefused
from tests.steps.running import carry_out, last


def kept(world):
    folder = world.folder / "evidence"
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_of_a_workload_its_object_and_the_logs_of_its_pods_are_kept(world):
    assert last(carry_out(world, "- collect: {target: worker, what: [objects, logs]}\n  id: mine", control=True)) == (
        "passed", "kept 4 files, such as evidence/mine-deployment-vllm-decode.yaml",
    )  # fmt: skip
    files = kept(world)
    assert sorted(files) == [
        "mine-deployment-vllm-decode.yaml",
        "mine-pod-vllm-decode-1.log",
        "mine-pod-vllm-decode-2.log",
        "mine-pod-vllm-decode-3.log",
    ]
    assert files["mine-pod-vllm-decode-2.log"] == "log of dynamo/vllm-decode-2\n"


def test_of_a_pod_that_restarted_the_log_before_is_kept_as_well(world):
    world.cluster.put(replace(world.cluster.pod_states["dynamo", "vllm-decode-1"], restarts=2))
    carry_out(world, "- collect: {target: worker, what: [logs]}\n  id: mine")
    assert kept(world)["mine-pod-vllm-decode-1-previous.log"] == "log of dynamo/vllm-decode-1 before its restart\n"


def test_of_a_gpu_its_node_the_events_and_the_faults_are_kept(world):
    steps = "- inject_xid: {target: victim, xid: 94}\n- pause: 2s\n- collect: victim\n  id: mine"
    assert last(carry_out(world, steps))[0] == "passed"
    files = kept(world)
    assert sorted(files) == ["mine-events.txt", "mine-faults.json", "mine-node-gpu-1.yaml"]
    assert "Node/gpu-1 SysLogsXIDErrorIsNotHealthy: ErrorCode:94 PCI:4001:10:00" in files["mine-events.txt"]
    assert '"status": "active"' in files["mine-faults.json"]


def test_what_can_not_be_read_says_so_in_its_own_file_and_in_the_finding(world):
    def refuse(*_):
        raise TargetRefused("not allowed", code="Forbidden")

    world.cluster.describe = refuse
    assert last(carry_out(world, "- collect: {target: node, what: [objects, events]}\n  id: mine", control=True)) == (
        "passed", "kept 2 files, such as evidence/mine-node-gpu-1.yaml; cannot be read: node-gpu-1.yaml: not allowed",
    )  # fmt: skip
    assert kept(world)["mine-node-gpu-1.yaml"] == "cannot be read: not allowed\n"


def test_no_evidence_at_all_is_our_trouble(world):
    def refuse(*_):
        raise TargetRefused("not allowed", code="Forbidden")

    world.cluster.describe = refuse
    assert last(carry_out(world, "- collect: {target: node, what: [objects]}")) == (
        "broken", "no evidence could be read: node-gpu-1.yaml: not allowed",
    )  # fmt: skip


def test_pods_that_can_not_be_listed_do_not_cost_the_other_evidence(world):
    def refuse(*_):
        raise TargetRefused("not allowed", code="Forbidden")

    world.cluster.pods = refuse
    assert last(carry_out(world, "- collect: {target: worker, what: [objects, logs]}\n  id: mine", control=True)) == (
        "passed", "kept 2 files, such as evidence/mine-deployment-vllm-decode.yaml; "
        "cannot be read: pods-of-vllm-decode.txt: not allowed",
    )  # fmt: skip
    assert kept(world)["mine-pods-of-vllm-decode.txt"] == "cannot be read: not allowed\n"
