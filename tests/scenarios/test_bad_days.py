"""Bad days as a person at the command line meets them: a cluster that does not answer, a full disk, a broken GPU."""

import re
import signal
import subprocess
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scenario_runner.lab import control
from tests.lab_fixture import LabClient
from tests.scenarios.bare import junit_cases
from tests.scenarios.drill import NOTHING_LEFT, PATIENCE, ROOT

pytestmark = [pytest.mark.drill, pytest.mark.lab, pytest.mark.timeout(300)]

HEAD = """version: 1
name: bad-day
namespace: dynamo
undo_budget: 2s
settle_timeout: 1s
targets:
  worker: {workload: deployment/vllm-decode}
  victim: {gpu_of: worker}
  frontend: {service: frontend, port: 8000, chat: {model: auto, prompt: hello, max_tokens: 4}}
"""
IDLE = "control: true\nsteps:\n- wait_for_node: {target: victim, now: ready}\n- pause: 60s\n"
FAULT = """steps:
- inject_xid: {target: victim, xid: 94}
- wait_for_node: {target: victim, reached: noticed}
- send_requests: {target: frontend, count: 40, every: 50ms}
  id: traffic
- assert_success: {load: traffic, ratio: at least 0.5}
"""
CONTROL = ROOT / "scenarios" / "control-no-fault.yaml"
PAUSING = '"name": "pause for 1m"'
NOTICED = '"step_id": "traffic", "name": "requests to frontend"'
# The prefix makes a line of a program pass for one of the kernel where the log is the real one.
REAL = (
    "kernel: ;NVRM: Xid (PCI:{pci}): 74, pid='<unknown>', name=<unknown>, "
    "NVLink: fatal error detected on link 3(0x10000, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0)"
)


@pytest.fixture
def lab(bench):
    return bench.info


@pytest.fixture
def tell(lab):
    """Gives the keeper of the lab an order."""
    return lambda words: control.ask(Path(lab.control), words)


@pytest.fixture
def scenario(tmp_path):
    def write(steps):
        (tmp_path / "bad-day.yaml").write_text(HEAD + steps)
        return tmp_path / "bad-day.yaml"

    return write


@contextmanager
def without(tell, *orders):
    """Give orders, and the contrary ones afterwards."""
    contrary = {"stop": "start", "STOP": "CONT"}
    for order in orders:
        tell(order)
    try:
        yield
    finally:
        for order in orders:
            tell(" ".join(contrary.get(word, word) for word in order.split()))


def until(look, what):
    deadline = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < deadline, f"there never was {what}"
        time.sleep(0.05)


def until_up(bench, component):
    said = re.compile(rf"^ *{component} .* up$", re.MULTILINE)
    until(lambda: said.search(bench.call("lab", "status", "--lab-name", bench.lab).out), f"{component} again")


def nameless(text):
    """Any node may hold the first pod."""
    return re.sub(r"gpu-\d", "NODE", text)


def test_an_agents_gateway_that_is_down_is_said_before_anything_is_changed(bench, lab, tell, scenario):
    with without(tell, "stop gateway"):
        result = bench.drill(scenario(FAULT))
    until_up(bench, "gateway")
    assert (result.code, nameless(result.out)) == (
        3,
        f"bad-day: cannot list the GPUs of NODE: the fault agents' gateway at {lab.gateway_url} is not reachable "
        "(Connection refused); is it running?\n",
    )


def test_an_agent_that_is_down_is_said_with_its_node(bench, tell, scenario):
    with without(tell, "stop agent-gpu-1", "stop agent-gpu-2", "stop agent-gpu-3"):
        result = bench.drill(scenario(FAULT))
    for number in (1, 2, 3):
        until_up(bench, f"agent-gpu-{number}")
    assert (result.code, nameless(result.out)) == (
        3,
        "bad-day: cannot list the GPUs of NODE: The agent of node NODE is unreachable: Connection refused.\n",
    )


def test_a_wrong_token_is_said_before_anything_is_changed(bench, lab, scenario):
    token = Path(lab.token_file)
    right = token.read_text()
    token.write_text("wrong")
    try:
        result = bench.drill(scenario(FAULT))
    finally:
        token.write_text(right)
    assert (result.code, nameless(result.out)) == (
        3,
        f"bad-day: cannot list the GPUs of NODE: the fault agents' gateway at {lab.gateway_url} does not accept our "
        "token; is it the token of this cluster's agents?\n",
    )


def test_an_api_server_that_does_not_answer_is_said_after_seconds(bench, lab, tell, scenario):
    """The lab forgives the silence: its nodes are ready again."""
    with without(tell, "kill apiserver STOP"):
        result = bench.drill(scenario(FAULT))
    assert (result.code, result.out, result.err) == (
        3, "", f"the API server at {lab.api_url} did not answer within 5s\n"
    )  # fmt: skip
    # Whoever watches the nodes may call one silent until it has heard of it again.
    heard = datetime.now(UTC) + timedelta(seconds=2)
    until(lambda: _has_heard(bench, heard), "a lab with all its nodes and pods ready")


def test_a_report_folder_that_cannot_be_written_is_refused(bench, scenario, tmp_path):
    (tmp_path / "reports").write_text("a file")
    result = bench.drill(scenario(FAULT), "--report-dir", str(tmp_path / "reports"))
    assert result.code == 3
    assert re.fullmatch(
        rf"bad-day: the folder {tmp_path}/reports/[0-9]+-[0-9]+-bad-day-[0-9a-f]+ cannot be made: Not a directory\n",
        result.out,
    )
    assert bench.call("recover").out == NOTHING_LEFT


def test_a_junit_file_that_cannot_be_written_is_refused_before_anything_is_changed(bench, scenario, tmp_path):
    (tmp_path / "file").write_text("a file")
    junit = tmp_path / "file" / "of" / "junit.xml"
    result = bench.drill(scenario(FAULT), "--junit", str(junit))
    assert (result.code, result.out, result.err) == (
        3, "", f"the JUnit file {junit} cannot be written: Not a directory\n"
    )  # fmt: skip


def test_a_full_disk_refuses_the_change_and_ends_in_sentences(bench, scenario, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8k", "none", str(disk)]  # a run card and a page of events
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        result = bench.drill(scenario(FAULT), "--report-dir", str(disk))
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert (result.code, result.err) == (3, "")
    assert re.search(
        r"^ +[0-9.]+s ! 01 XID 94 on victim: nothing was changed: the undo journal cannot take the promise: No space "
        r"left on device \([0-9.]+ s\)$",
        result.out,
        re.MULTILINE,
    )
    assert re.search(rf"^the report cannot be written to {disk}/.*: No space left on device$", result.out, re.MULTILINE)
    assert bench.call("recover").out == NOTHING_LEFT


def test_a_second_run_against_the_same_node_is_refused_with_the_name_of_the_first(bench, scenario):
    first = bench.begin(scenario(IDLE))
    try:
        run_id = first.until("events.ndjson", PAUSING).name
        second = bench.drill(scenario(IDLE))
    finally:
        code = first.end(signal.SIGINT)
    assert second.code == 3
    assert re.fullmatch(rf"bad-day: node gpu-\d belongs to run {run_id}, which is still running\n", second.out)
    assert code == 130


def test_ctrl_c_twice_leaves_at_once_and_recover_does_the_rest(bench, tell, scenario, tmp_path):
    """The agents are silent, so the undo would go on for its whole budget."""
    before = bench.state()
    path = scenario(FAULT.replace("count: 40", "count: 2000"))
    path.write_text(path.read_text().replace("undo_budget: 2s", "undo_budget: 5m"))
    drill = bench.begin(path, "--junit", str(tmp_path / "junit.xml"), str(CONTROL))
    run_id = drill.until("events.ndjson", NOTICED).name
    with without(tell, "stop gateway"):
        drill.process.send_signal(signal.SIGINT)
        time.sleep(1.5)  # a second one within a second is not meant
        assert drill.end(signal.SIGINT) == 4
        said = (bench.folder / "output.txt").read_text().splitlines()[-2:]
    until_up(bench, "gateway")
    assert said == [
        "bad-day: left at once: what was changed is not taken back; `scenario-runner recover` does it",
        "not run: control-no-fault: something is left to take back",
    ]
    assert junit_cases(tmp_path / "junit.xml") == {
        "bad-day": [("00 begin", ("error", "left at once: what was changed is not taken back"))],
        "control-no-fault": [("00 begin", ("skipped", "not run: something is left to take back"))],
    }
    assert re.fullmatch(
        rf"{run_id}: XID 94 on gpu-\d\ntype `scenario-runner recover RUN` or `scenario-runner recover --all`\n",
        bench.call("recover").out,
    )
    assert bench.call("recover", "--all", "--yes").code == 0
    bench.nothing_is_left_of(before)


def test_a_real_fault_of_the_gpu_during_the_drill_is_never_declared_healthy(bench, lab, tell, scenario):
    """Its node stays out of service, the run ends with 4, and so does every recovery until the machine was repaired."""
    before = bench.state()
    drill = bench.begin(scenario(FAULT))
    run_id = drill.until("events.ndjson", NOTICED).name
    (fault,) = LabClient(lab).call("GET", f"{lab.gateway_url}/api/v1/faults?active_only=true")["faults"]
    node, real = fault["fault_id"].partition("~")[0], REAL.format(pci=fault["target"]["pci"])
    _log(lab, node, real)
    why = f"a real fault of the GPU is in the kernel log: {real}."
    until(lambda: bench.nodes()[node]["spec"].get("unschedulable"), "a cordon")

    assert drill.process.wait(PATIENCE) == 4
    said = (bench.folder / "output.txt").read_text()
    whole = (
        f"cannot recover fault {fault['fault_id']}: the fault agent of {node} refuses: {fault['fault_id']} was not "
        f"acknowledged: {why}"
    )
    assert f"! broken: still to be taken back: XID 94 on {node} ({whole}) (" in said
    again = bench.call("recover", run_id, "--yes")
    assert (again.code, again.out.splitlines()[-1].rpartition(" (")[0]) == (
        4, f"{run_id}: XID 94 on {node}: left: {whole}"
    )  # fmt: skip
    assert [name for name, one in bench.nodes().items() if one["spec"].get("unschedulable")] == [node]

    tell(f"reboot {node}")
    until(lambda: bench.nodes() == before["nodes"], "a node that is back after its machine was rebooted")
    until_up(bench, f"agent-{node}")
    assert bench.call("recover", run_id, "--yes").code == 0
    bench.nothing_is_left_of(before)


def _log(lab, node, text):
    """Say something in the kernel log of a node as its driver would."""
    if lab.kernel_log == "real":
        with Path("/dev/kmsg").open("w") as ring:
            ring.write(f"<4>{text}\n")
        return
    log = Path(lab.state_dir) / "nodes" / node / "kernel.log"
    count = len(log.read_text().splitlines())
    with log.open("a") as file:
        file.write(f"4,{count},{count},-;{text}\n")


def _has_heard(bench, moment):
    """Every node is ready, and has said so since then."""
    leases = bench.get("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases")["items"]
    said = [datetime.fromisoformat(one["spec"]["renewTime"]) for one in leases]
    return len(said) == 3 and min(said) > moment and _is_whole(bench)


def _is_whole(bench):
    nodes = bench.nodes().values()
    well = all("unschedulable" not in one["spec"] and one["conditions"] == {"Ready": "True"} for one in nodes)
    return well and bench.state()["pods that are ready"] == 3
