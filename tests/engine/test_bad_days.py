"""Bad days of a run: suspended, without a victim, with a clock that jumps, before an agent that can not write."""

import json
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from scenario_runner.adapters.http_agent import HttpAgent
from scenario_runner.core.ports import Injection
from scenario_runner.errors import Refused, TargetRefused
from scenario_runner.format.loader import load
from scenario_runner.format.plan import make_plan
from scenario_runner.format.variables import VariableSources
from scenario_runner.steps import STEPS
from tests.agent.world import ForkServer, node_program
from tests.engine.kinds import Claim, Inject, Pause, WaitFor
from tests.fakes import plan_of
from tests.format.cluster import PODS, pod, small_cluster

DRILL = """version: 1
name: drill
namespace: dynamo
targets:
  worker: {workload: deployment/w}
  victim: {gpu_of: worker}
  front: {service: front}
steps:
- inject_xid: {target: victim, xid: 94}
- send_requests: {target: front, rate: 5/s, for: 10s}
  id: traffic
- assert_success: {load: traffic, ratio: at least 0.7}
"""


@pytest.fixture
def node(tmp_path):
    """A real agent of gpu-1, not started yet."""
    server = ForkServer()
    program = node_program(server, tmp_path / "agent")
    yield program
    program.leave_nothing()
    server.close()


def refusal(folder, cluster, agent):
    file = folder / "drill.yaml"
    file.write_text(DRILL)
    with pytest.raises(Refused) as caught:
        make_plan(load(file, VariableSources(), STEPS), cluster, agent, seed=1)
    return str(caught.value)


def test_a_drill_without_any_pod_of_the_workload_has_no_victim(tmp_path):
    cluster, agent = small_cluster()
    for name, on in PODS.items():
        cluster.put(pod(name, on, deleting=True))
    assert refusal(tmp_path, cluster, agent) == "target victim: no pod of worker runs on a node"


def test_a_drill_whose_workload_holds_no_gpu_has_no_victim(tmp_path):
    cluster, agent = small_cluster()
    agent.nodes = {name: tuple(replace(seat, held_by=()) for seat in seats) for name, seats in agent.nodes.items()}
    assert refusal(tmp_path, cluster, agent) == (
        "target victim: the fault agents know no pod of worker that holds a GPU; "
        "there is w-a on gpu-2, w-b on gpu-1, w-c on gpu-3"
    )


def test_a_runner_that_was_stopped_beyond_the_time_to_live_does_not_pass(node, tmp_path):
    """The agent, which nobody stopped, let the fault expire; the runner believes it and not its own memory."""
    url = node.start()
    command = [sys.executable, "-m", "tests.engine.suspended_run", str(tmp_path), url]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as runner:
        while not node.get("/api/v1/faults").json()["faults"]:
            assert runner.poll() is None, runner.communicate()
        (fault,) = node.get("/api/v1/faults").json()["faults"]
        runner.send_signal(signal.SIGSTOP)
        node.until_fault(fault["fault_id"], "expired")
        runner.send_signal(signal.SIGCONT)
        out, err = runner.communicate(timeout=50)
    assert err == ""
    told = json.loads(out)
    assert (runner.returncode, told["exit"], told["undo"]) == (3, 3, "XID 94 on gpu-1 had expired by itself")
    assert re.fullmatch(
        r"XID 94 on gpu-1 expired by itself \d+\.\ds after its injection, which the scenario did not ask for",
        told["reason"],
    )


@pytest.mark.parametrize("jump", [-86400.0, 86400.0], ids=["back a day", "on a day"])
def test_a_wall_clock_that_jumps_moves_no_window_and_renews_as_ever(world, jump):
    world.time.at(2.5, lambda: setattr(world.time, "wall_offset", jump))
    report = world.run(plan_of(Inject(), WaitFor(), Pause(seconds=100), Claim()))
    assert report.verdict.exit_code == 0
    assert [round(one.seconds, 1) for one in report.outcomes[:4]] == [0.0, 2.0, 100.0, 0.0]
    assert (report.faults[0].start, report.faults[0].end) == (0.0, 10.0)


def test_an_agent_that_can_not_write_the_kernel_log_breaks_the_injection_with_its_sentence(node, tmp_path):
    node.argv[-1] = f"file:{tmp_path}"
    agent = HttpAgent(node.start())
    with pytest.raises(TargetRefused) as caught:
        agent.inject(Injection("run.step", "gpu-1", 79, agent.gpus("gpu-1")[0].uuid, "run"))
    agent.close()
    assert (caught.value.code, str(caught.value)) == (
        "kernel_log_not_writable",
        "cannot inject XID 79 on gpu-1: the fault agent of gpu-1 refuses: "
        f"{tmp_path} can not be written: Is a directory.",
    )


def test_a_refusal_of_the_kernel_log_is_the_verdict_of_the_run(world):
    why = "the fault agent of gpu-1 refuses: /dev/kmsg can not be written: Permission denied."
    refused = TargetRefused(why, code="kernel_log_not_writable")
    world.agent.refusals["gpu-1~20260101-000000-drill-abcd-inject"] = refused
    report = world.run(plan_of(Inject(), Claim()))
    assert (report.verdict.exit_code, report.verdict.reason) == (3, f"step 01 inject is broken: {why}")
    assert [one.outcome for one in report.undo] == ["withdrawn"]
