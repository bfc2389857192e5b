"""Runs from several machines: each has a state folder of its own, and they meet only in the cluster."""

import json
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from scenario_runner.lab.options import read_info
from tests.scenarios.drill import ROOT, Bench, Result

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]  # no drill of these comes to its requests

CONTROL = ROOT / "scenarios" / "control-no-fault.yaml"
LONG = """version: 1
name: long
namespace: dynamo
undo_budget: 20s
settle_timeout: 1s
targets:
  worker: {workload: deployment/vllm-decode}
  victim: {gpu_of: worker}
  frontend: {service: frontend, port: 8000, chat: {model: auto, prompt: hello, max_tokens: 4}}
steps:
- inject_xid: {target: victim, xid: 94}
- wait_for_node: {target: victim, reached: noticed}
- pause: 300s
- send_requests: {target: frontend, count: 40, every: 50ms}
  id: traffic
- assert_success: {load: traffic, ratio: at least 0.5}
"""
IDLE = """version: 1
name: idle
namespace: dynamo
control: true
vars: {pause: 300s}
targets:
  worker: {workload: deployment/vllm-decode}
  victim: {gpu_of: worker}
steps:
- pause: "{{ pause }}"
- wait_for_node: {target: victim, never: cordoned, for: 1s}
"""
PAUSING = '"name": "pause for 5m"'
NOTHING_LEFT = "no run has left anything to take back\n"


@dataclass(frozen=True)
class Elsewhere:
    """Another machine: it knows the lab as a cluster by its kubeconfig, and nothing of what was run here."""

    bench: Bench
    folder: Path

    def call(self, *arguments: str) -> Result:
        state = {**os.environ, "SCENARIO_RUNNER_STATE": str(self.folder / "state")}
        done = subprocess.run(
            [*self.bench.command(*arguments[:1]), *self.where(), *arguments[1:]], cwd=ROOT, env=state,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        return Result(done.returncode, done.stdout, done.stderr)

    def where(self) -> tuple[str, ...]:
        lab = self.bench.folder / "state" / "labs" / self.bench.lab
        info = read_info((lab / "lab.json").read_text())
        return (
            "--context", f"lab-{info.name}", "--kubeconfig", str(lab / "kubeconfig"), "--agent", info.gateway_url,
            "--agent-token-file", str(info.token_file), "--reach", "direct", "--yes",
        )  # fmt: skip

    def drill(self, scenario: Path) -> Result:
        reports = ("--report-dir", str(self.folder / "reports"))
        return self.call("run", "--vars-file", "scenarios/vars/lab.yaml", *reports, str(scenario))

    def recover(self, *arguments: str) -> Result:
        return self.call("recover", *arguments)


@pytest.fixture
def elsewhere(bench, tmp_path):
    return Elsewhere(bench, tmp_path / "elsewhere")


@pytest.fixture
def long(tmp_path):
    path = tmp_path / "long.yaml"
    path.write_text(LONG)
    return path


@pytest.fixture
def begin(bench):
    """Begins drills, and takes back what is left of them when the test ends otherwise than it should."""
    begun = []

    def begin(scenario):
        begun.append(bench.begin(scenario))
        return begun[-1]

    yield begin
    for drill in begun:
        if drill.process.poll() is None:
            drill.end(signal.SIGKILL)
    bench.call("recover", "--all", "--yes")


def claims(bench):
    """What is in the namespace of the claims, by kind and name."""
    leases = bench.get("/apis/coordination.k8s.io/v1/namespaces/scenario-runner/leases")["items"]
    maps = bench.get("/api/v1/namespaces/scenario-runner/configmaps")["items"]
    found = [
        *(("Lease", item["metadata"]["name"]) for item in leases),
        *(("ConfigMap", item["metadata"]["name"]) for item in maps),
    ]
    return [one for one in found if one != ("ConfigMap", "kube-root-ca.crt")]  # which every namespace has


def test_two_runners_on_one_node_one_refuses(bench, elsewhere, begin, long):
    drill = begin(long)
    run_id = drill.until("events.ndjson", PAUSING).name

    refused = elsewhere.drill(long)

    assert (refused.code, refused.out.splitlines()[-1]) == (3, _belongs(bench, run_id))
    still = elsewhere.recover(run_id, "--takeover")
    assert (still.code, still.out.splitlines()[-1].partition(" lives: ")[0]) == (4, f"{run_id}: run {run_id}")
    assert drill.end(signal.SIGINT) == 130
    assert claims(bench) == []
    assert elsewhere.recover() == Result(0, NOTHING_LEFT, "")


def _belongs(bench, run_id):
    victim = json.loads((bench.reports / run_id / "run.json").read_text())["targets"][0]
    return f"long: node {victim} belongs to run {run_id} on {os.uname().nodename}, which is still running"


def test_a_killed_run_is_recovered_from_another_machine_once_nobody_renews_its_leases(bench, elsewhere, begin, long):
    drill = begin(long)
    run_id = drill.until("events.ndjson", PAUSING).name
    assert drill.end(signal.SIGKILL) == -signal.SIGKILL
    card = json.loads((bench.reports / run_id / "run.json").read_text())
    victim, host = card["targets"][0], os.uname().nodename

    orphaned = elsewhere.drill(CONTROL)
    assert (orphaned.code, orphaned.out) == (
        4,
        f"waiting up to 30s to see whether run {run_id} on {host}, which has {victim}, still lives\n"
        f"control-no-fault: run {run_id} ended before it had taken everything back (XID 94 on {victim}), as the "
        f"cluster remembers: type `scenario-runner recover {run_id} --context lab-{bench.lab}` first\n",
    )
    assert elsewhere.recover() == Result(
        4,
        f"{run_id}: XID 94 on {victim} (known from the cluster)\n"
        "type `scenario-runner recover RUN` or `scenario-runner recover --all`\n",
        "",
    )
    without = elsewhere.recover(run_id)
    assert (without.code, without.out.splitlines()[-1]) == (
        4,
        f"{run_id}: run {run_id} owns its targets in the cluster, as {run_id} on {host}: if that process is dead, "
        "add --takeover; it takes 30s to see that nobody renews them",
    )

    recovered = elsewhere.recover(run_id, "--takeover")

    assert recovered.code == 0, recovered
    assert f"{run_id}: XID 94 on {victim}: kept: " in recovered.out  # recovered, or expired by itself meanwhile
    assert claims(bench) == []
    assert bench.call("recover", run_id, "--yes").code == 0  # here nobody had heard of it: it is safe twice
    assert claims(bench) == []


def test_a_run_that_was_killed_before_it_had_changed_anything_holds_nobody_up_on_its_machine(bench, begin, tmp_path):
    idle = tmp_path / "idle.yaml"
    idle.write_text(IDLE)
    drill = begin(idle)
    run_id = drill.until("events.ndjson", PAUSING).name
    assert drill.end(signal.SIGKILL) == -signal.SIGKILL
    assert claims(bench) == [("Lease", claims(bench)[0][1]), ("ConfigMap", f"run-{run_id}")]

    done = bench.drill(idle, "--var", "pause=1s")

    assert (done.code, "waiting up to" in done.out) == (0, False), done
    assert claims(bench) == []


def test_a_killed_run_is_recovered_on_its_own_machine_at_once(bench, elsewhere, begin, long):
    """The lock on its journal proves that it is dead: no Lease has to be watched."""
    drill = begin(long)
    run_id = drill.until("events.ndjson", PAUSING).name
    assert drill.end(signal.SIGKILL) == -signal.SIGKILL
    assert [kind for kind, _ in claims(bench)] == ["Lease", "ConfigMap"]

    recovered = bench.call("recover", run_id, "--yes")

    assert recovered.code == 0, recovered
    assert claims(bench) == []
    assert elsewhere.recover() == Result(0, NOTHING_LEFT, "")


def test_an_operator_sees_on_the_node_who_did_it_and_how_to_undo_it(bench, begin, long):
    drill = begin(long)
    run_id = drill.until("events.ndjson", PAUSING).name
    victim = json.loads((bench.reports / run_id / "run.json").read_text())["targets"][0]
    told = bench.kubectl("describe", "node", victim)
    assert drill.end(signal.SIGINT) == 130

    begun = f"run {run_id} of scenario long, started on {os.uname().nodename}, changes this: XID 94 on {victim}; "
    assert f"{begun}`scenario-runner recover {run_id}` takes it back if the run is dead" in told
    ended = bench.kubectl("get", "events", "-n", "default", "-o", "jsonpath={.items[*].message}")
    assert f"run {run_id} of scenario long, started on {os.uname().nodename}, has taken this back" in ended


FORGED = {
    "an undo that is not ours": (
        lambda line: line.replace("recover_fault", "run_shell"), "this version knows no undo of kind 'run_shell'"
    ),
    "a node that the plan does not name": (
        lambda line: line.replace('"node":"gpu-', '"node":"x'), "does not name node x"
    ),
    "a line that was changed": (lambda line: line.replace('"xid":94', '"xid":79'), "its checksum does not match"),
}  # fmt: skip


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_copy_is_refused_and_stays_for_a_person_to_look_at(bench, elsewhere, what):
    change, complaint = FORGED[what]
    run_id = "20260101-000000-forged-abcd"
    planted = forged_copy(bench, run_id, change, reseal="checksum" not in complaint)
    bench.kubectl("create", "-f", "-", typed=planted)
    try:
        refused = elsewhere.recover(run_id)
        assert (refused.code, complaint in refused.out) == (4, True), refused
        assert ("ConfigMap", f"run-{run_id}") in claims(bench)
        assert elsewhere.drill(CONTROL).code == 4
    finally:
        bench.kubectl("-n", "scenario-runner", "delete", "configmap", f"run-{run_id}")
    assert elsewhere.recover() == Result(0, NOTHING_LEFT, "")


def forged_copy(bench, run_id, change, *, reseal):
    """A ConfigMap as a run of ours would write it, but for one change; its checksum is right where `reseal`."""
    from scenario_runner.core.undo.recover_fault import RecoverFault
    from scenario_runner.engine.copies import card_line
    from scenario_runner.engine.records import encode
    from scenario_runner.engine.run_card import RunCard, Scope

    identity = bench.kubectl("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}")
    card = RunCard(run_id, "forged", "f.yaml", "0" * 64, identity, "a lab", "", "", "", ("gpu-1",), 5.0, Scope())
    body = {"undo": RecoverFault(fault_id="gpu-1~f", node="gpu-1", xid=94).model_dump(mode="json"), "version": "1"}
    line = encode(run_id, 1, "promise", body).decode()
    if reseal:
        line = encode(run_id, 1, "promise", json.loads(change(json.dumps(body, separators=(",", ":"))))).decode()
    else:
        line = change(line)
    metadata = {
        "name": f"run-{run_id}",
        "namespace": "scenario-runner",
        "labels": {"app.kubernetes.io/managed-by": "scenario-runner"},
        "annotations": {"scenario-runner/holder": run_id},
    }
    data = {"run.jsonl": card_line(card), "undo.jsonl": line}
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
