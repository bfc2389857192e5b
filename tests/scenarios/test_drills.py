"""Whole drills through the command line: every shipped scenario, and every way in which a run can end."""

import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from lxml import etree

from tests.reporters.test_junit import HERE as REPORTER_TESTS
from tests.scenarios.drill import ROOT

pytestmark = [pytest.mark.drill, pytest.mark.lab, pytest.mark.timeout(300)]

SCENARIOS = sorted((ROOT / "scenarios").glob("*.yaml"), key=lambda path: path.name)
XID79 = ROOT / "scenarios" / "xid79-gpu-fell-off-bus.yaml"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.stem)
def test_every_shipped_scenario_passes_in_the_lab_and_leaves_nothing(bench, tmp_path, scenario):
    before = bench.nodes()
    result = bench.drill(scenario, "--junit", str(tmp_path / "junit.xml"))
    assert result.code == 0, result.out + result.err
    schema = etree.XMLSchema(etree.parse(REPORTER_TESTS / "junit-strict.xsd"))
    schema.assertValid(etree.parse(tmp_path / "junit.xml"))
    assert bench.nodes() == before
    assert bench.call("recover").out == "no run has left anything to take back\n"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        pytest.param("undo.jsonl", '"kind":"promise"', id="once the fault is promised"),
        pytest.param("events.ndjson", '"fact": "schedulable", "value": "false"', id="once the node is cordoned"),
        pytest.param("events.ndjson", '"value": "draining"', id="while the node is drained"),
        pytest.param("events.ndjson", '"value": "remediating"', id="while the node is rebooted"),
    ],
)
def test_after_kill_9_a_new_run_is_refused_until_recover_has_taken_everything_back(bench, file, text):
    before = bench.nodes()
    drill = bench.begin(XID79)
    run_id = drill.until(file, text).name
    assert drill.end(signal.SIGKILL) == -signal.SIGKILL

    refused = bench.drill(XID79)
    assert (refused.code, f"type `scenario-runner recover {run_id}` first" in refused.out) == (4, True), refused

    recovered = bench.call("recover", run_id, "--yes")
    assert recovered.code == 0, recovered
    assert _settled(bench, before) == before
    assert bench.call("recover").out == "no run has left anything to take back\n"


def test_ctrl_c_in_the_middle_takes_everything_back_and_exits_130(bench):
    before = bench.nodes()
    drill = bench.begin(XID79)
    folder = drill.until("events.ndjson", '"value": "quarantined"')
    assert drill.end(signal.SIGINT) == 130
    assert "interrupted" in (folder / "summary.md").read_text()
    assert "interrupted" in (folder / "report.html").read_text()
    assert _settled(bench, before) == before
    assert bench.call("recover").out == "no run has left anything to take back\n"


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
    assert "0 of 50 requests of traffic (0.0 %) succeeded, asked for at least 0.9" in result.out
    assert f"evidence: {bench.reports}" in result.out


def _settled(bench, before):
    """The nodes once the platform has ended what it had begun, or as they are after a long wait."""
    for _ in range(200):
        now = bench.nodes()
        if now == before:
            break
        threading.Event().wait(0.2)
    return now
