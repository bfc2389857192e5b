"""Whole drills through the command line: every shipped scenario, and every way in which a run can end."""

import shutil
import signal
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.scenarios.bare import junit_cases
from tests.scenarios.drill import ROOT

pytestmark = [pytest.mark.drill, pytest.mark.lab, pytest.mark.timeout(300)]

SCENARIOS = sorted((ROOT / "scenarios").glob("*.yaml"), key=lambda path: path.name)
CONTROL = ROOT / "scenarios" / "control-no-fault.yaml"
XID79 = ROOT / "scenarios" / "xid79-gpu-fell-off-bus.yaml"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.stem)
def test_every_shipped_scenario_passes_in_the_lab_and_leaves_nothing(bench, tmp_path, scenario):
    before = bench.state()
    result = bench.drill(scenario, "--junit", str(tmp_path / "junit.xml"))
    assert result.code == 0, result.out + result.err
    assert len(junit_cases(tmp_path / "junit.xml")) == 1
    bench.nothing_is_left_of(before)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        pytest.param("undo.jsonl", '"undo":"recover_fault"', id="once the fault is promised"),
        pytest.param("events.ndjson", '"fact": "schedulable", "value": "false"', id="once the node is cordoned"),
        pytest.param("events.ndjson", '"value": "draining"', id="while the node is drained"),
        pytest.param("events.ndjson", '"value": "remediating"', id="while the node is rebooted"),
    ],
)
def test_after_kill_9_a_new_run_is_refused_until_recover_has_taken_everything_back(bench, file, text):
    bench.kill_and_recover(XID79, file, text)


def test_ctrl_c_in_the_middle_takes_everything_back_and_exits_130(bench, tmp_path):
    before = bench.state()
    with seen_by_kubectl(bench, tmp_path / "nodes.txt"):
        drill = bench.begin(XID79, "--junit", str(tmp_path / "junit.xml"), str(CONTROL))
        folder = drill.until("events.ndjson", '"value": "quarantined"')
        assert drill.end(signal.SIGINT) == 130
    assert_in_the_kernel_log(bench, folder)
    assert "interrupted" in (folder / "summary.md").read_text()
    assert "interrupted" in (folder / "report.html").read_text()
    bench.nothing_is_left_of(before)
    interrupted, skipped = junit_cases(tmp_path / "junit.xml").values()
    errors = {case[0]: case[1][1] for case in interrupted if case[1:] and case[1][0] != "skipped"}
    assert errors.pop("04 requests to frontend") == "interrupted by SIGINT; its last requests were not waited for"
    # The step that went on beside the load is interrupted too, unless the signal met the gap between two.
    assert list(errors.values()) in ([], ["interrupted by SIGINT"])
    assert skipped == [("00 begin", ("skipped", "not run: the run was interrupted"))]


@contextmanager
def seen_by_kubectl(bench, file):
    """An operator who watches the nodes meanwhile has seen a cordon; no operator where there is no kubectl."""
    if shutil.which("kubectl") is None:
        yield
        return
    watch = ["kubectl", "--kubeconfig", bench.info.kubeconfig, "get", "nodes", "-w"]
    with file.open("w") as output, subprocess.Popen(watch, stdout=output) as watching:
        try:
            yield
        finally:
            watching.terminate()
    assert "Ready,SchedulingDisabled" in file.read_text()


def assert_in_the_kernel_log(bench, folder):
    """The line of this run, as dmesg shows it where the lab writes to the real log."""
    if bench.info.kernel_log == "real":
        log = subprocess.run(["dmesg"], capture_output=True, text=True, check=True).stdout
    else:
        log = "".join(file.read_text() for file in Path(bench.info.state_dir).glob("nodes/*/kernel.log"))
    (line,) = [line for line in log.splitlines() if folder.name in line]
    assert ": 79, " in line


class Broken(BaseHTTPRequestHandler):
    """Answers everything with 500."""

    def do_GET(self):
        self.send_error(500)

    def log_message(self, *args):
        pass


def test_a_broken_service_fails_the_run_and_the_report_names_step_ratio_and_evidence(bench, tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Broken)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    scenario = tmp_path / "broken-service.yaml"
    scenario.write_text(f"""version: 1
name: broken-service
control: true
targets:
  service: {{url: "http://127.0.0.1:{server.server_port}/"}}
steps:
- send_requests: {{target: service, rate: 50/s, for: 1s}}
  id: traffic
- assert_success: {{load: traffic, ratio: at least 0.9}}
  id: judged
""")
    try:
        result = bench.drill(scenario)
    finally:
        server.shutdown()
        server.server_close()
    assert result.code == 1, result
    verdict, report, evidence = result.out.splitlines()[-3:]
    found = "0 of 50 requests of traffic (0.0 %) succeeded, asked for at least 0.9; failures: HTTP 500 50"
    assert verdict.startswith(f"✗ failed: step 02 at least 0.9 of traffic succeed failed: {found} (")
    assert report == f"report: {bench.newest() / 'report.html'}"
    assert evidence == f"evidence: {bench.newest() / 'evidence'}"
    assert any(file.stat().st_size for file in (bench.newest() / "evidence").iterdir())
