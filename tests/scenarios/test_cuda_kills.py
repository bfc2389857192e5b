"""CUDA drills whose runner is killed: without requests, so that they need no machine for themselves."""

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

ARMED = """version: 1
name: killed
namespace: dynamo
requires: [agent, sentinel]
targets:
  worker: {workload: deployment/vllm-decode}
  victim: {gpu_of: worker, pick: first}
guards: {max_nodes: 1, allow: [cordon, drain, reboot], min_ready: {worker: 2}}
steps:
- patch_cuda: {target: worker, armed: true, victim: victim, profile: mmu-fault, pin: true}
  id: library
- assert_cuda_hits: {of: library, processes: at least 1, target: worker}
- pause: 200s
"""


@pytest.mark.parametrize(
    ("file", "text"),
    [
        pytest.param("undo.jsonl", "delete_created", id="between promise and ConfigMap"),
        pytest.param("undo.jsonl", "revert_edits", id="between promise and patch"),
        pytest.param("events.ndjson", '"fact": "ready", "value": "true", "was": "false"', id="in the rollout"),
        pytest.param("undo.jsonl", "disarm_cuda", id="between promise and arming"),
        pytest.param("events.ndjson", '"fact": "evidence", "value": "hit"', id="while armed"),
    ],
)
def test_after_kill_9_of_a_cuda_drill_recover_leaves_nothing(bench, tmp_path, file, text):
    scenario = tmp_path / "killed.yaml"
    scenario.write_text(ARMED)
    bench.kill_and_recover(scenario, file, text)
