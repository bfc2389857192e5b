"""`plan` for people, and as JSON for a gate in a pipeline."""

import hashlib
import json

import pytest
from click.testing import CliRunner

from scenario_runner.cli import main
from tests.contract.clusters import RealStand
from tests.contract.conftest import api_server
from tests.scenarios.bare import CONTROL

__all__ = ["api_server"]


@pytest.fixture
def planned(api_server, tmp_path):
    """What `plan` prints with more options, for a control scenario on a cluster with the node n1."""
    stand = RealStand(api_server)
    stand.add_node("n1")
    file = tmp_path / "calm.yaml"
    file.write_text(CONTROL % ("calm", "vars: {word: uncordoned}\ntags: [smoke]\n"))

    def plan(*options):
        words = ["plan", "--context", "it", "--kubeconfig", str(api_server), "--seed", "7", *options, str(file)]
        result = CliRunner(env={"SCENARIO_RUNNER_STATE": str(tmp_path / "state")}).invoke(main, words)
        assert result.exit_code == 0, result.output
        return result.stdout

    plan.file = file
    yield plan
    stand.leave_nothing()


def test_a_plan_as_json_says_what_its_text_says(planned):
    plan = json.loads(planned("--json"))
    cluster, identity = plan.pop("cluster"), plan.pop("identity")
    assert planned().splitlines()[0] == f"{cluster}, identity {identity}"
    assert plan == {
        "scenario": "calm",
        "description": "",
        "file": str(planned.file),
        "sha256": hashlib.sha256(planned.file.read_bytes()).hexdigest(),
        "tags": ["smoke"],
        "namespace": "default",
        "control": True,
        "variables": [{"name": "word", "value": "uncordoned", "source": "file"}],
        "targets": [{"name": "one", "declared": "{node: n1}", "chosen": "n1", "also_matched": []}],
        "steps": [
            {
                "number": "01",
                "id": "01-wait_for_node",
                "kind": "wait_for_node",
                "role": "wait",
                "name": "one is uncordoned",
                "phase": "steps",
                "line": 8,
                "timeout": 600.0,
                "when": True,
                "retry": None,
                "background": False,
                "continue_on_failure": False,
                "groups": [],
            }
        ],
        "guards": {"max_nodes": 1, "max_gpus": 1, "allow": [], "min_ready": {}, "allow_sick": False},
        "changes": [],
        "consequences": [],
        "abort_when": [],
        "times": {
            "worst_case": 600.0,
            "undo_budget": 60.0,
            "settle_timeout": 600.0,
            "deadline": None,
            "platform": {
                "detected": 60.0, "cordoned": 120.0, "drained": 300.0, "remediated": 600.0, "uncordoned": 600.0,
            },
        },
        "seed": 7,
    }  # fmt: skip
