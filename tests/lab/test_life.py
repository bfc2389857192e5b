"""A lab comes up whole, and whatever ends it leaves nothing."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from scenario_runner.app.backend import choose_kernel_log
from scenario_runner.errors import Refused, TargetRefused, TargetUnreachable
from scenario_runner.lab import control
from scenario_runner.lab import lab as labs
from scenario_runner.lab.lab import LabInfo, LabOptions, down, down_named, find, status, up
from scenario_runner.lab.layout import Layout
from scenario_runner.lab.options import Order, read_info
from tests.lab.traces import traces
from tests.lab_fixture import LabClient, eventually

pytestmark = pytest.mark.lab


@pytest.fixture
def bare(tmp_path: Path) -> LabOptions:
    """Two nodes and no service: what a lab needs to come up fast."""
    manifests = tmp_path / "bare.yaml"
    manifests.write_text("{apiVersion: v1, kind: Namespace, metadata: {name: dynamo}}\n")
    return LabOptions(name="bare", nodes=("gpu-1", "gpu-2"), manifests=str(manifests))


def is_gone(info: LabInfo) -> bool:
    return traces(info) == []


def test_a_lab_runs_all_its_parts_and_leaves_nothing(bare: LabOptions, tmp_path: Path) -> None:
    with up(bare, owned=True, folder=tmp_path) as lab:
        parts = {one.name: one.state for one in status(lab.info).components}
        assert find("bare", tmp_path) == lab.info
    assert parts == {
        "apiserver": "up",
        "kubelet-gpu-1": "up",
        "kubelet-gpu-2": "up",
        "setup": "done",
        "agent-gpu-1": "up",
        "agent-gpu-2": "up",
        "gateway": "up",
        "platform": "up",
        "proxy": "up",
    }
    assert traces(lab.info) == []
    assert find("bare", tmp_path) is None


def test_a_kept_lab_whose_folder_was_removed_ends_by_itself(bare: LabOptions, tmp_path: Path) -> None:
    info = up(bare, owned=False, folder=tmp_path).info
    shutil.rmtree(info.state_dir)
    eventually(lambda: is_gone(info), "everything of the lab is gone")


def test_a_lab_dies_with_its_owner(bare: LabOptions, tmp_path: Path) -> None:
    owner = start_elsewhere(bare, tmp_path, is_owned=True)
    info = told(owner)
    owner.kill()
    owner.wait()
    eventually(lambda: is_gone(info), "everything of the lab is gone")


def test_a_kept_lab_outlives_whoever_started_it(bare: LabOptions, tmp_path: Path) -> None:
    starter = start_elsewhere(bare, tmp_path, is_owned=False)
    info = told(starter)
    starter.kill()
    starter.wait()
    assert find("bare", tmp_path) == info
    assert {one.name for one in status(info).components if one.state == "down"} == set()
    down(info)
    assert traces(info) == []
    down(info)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_lab_dies_with_its_keeper(bare: LabOptions, tmp_path: Path, number: signal.Signals) -> None:
    with up(bare, owned=True, folder=tmp_path) as lab:
        os.kill(lab.info.keeper_pid, number)
        eventually(lambda: is_gone(lab.info), "everything of the lab is gone")


def test_a_lab_ends_when_its_api_server_dies(bare: LabOptions, tmp_path: Path) -> None:
    with up(bare, owned=True, folder=tmp_path) as lab:
        control.ask(Path(lab.info.control), "kill apiserver KILL")
        eventually(lambda: is_gone(lab.info), "everything of the lab is gone")


def test_two_labs_do_not_meet(bare: LabOptions, tmp_path: Path) -> None:
    """With the real kernel log, where that does no harm, both read the same ring."""
    options = replace(bare, kernel_log=choose_kernel_log("auto"))
    with up(options, owned=True, folder=tmp_path / "a") as one:
        with up(options, owned=True, folder=tmp_path / "b") as other:
            seats = [gpus(lab.info) for lab in (one, other)]
            assert len(set(seats[0] + seats[1])) == 8
            assert len({lab.info.api_url.rpartition(":")[0] for lab in (one, other)}) == 2
            a_fault_is_heard_in_one_alone(LabClient(one.info), LabClient(other.info))
        assert traces(other.info) == []
        assert gpus(one.info) == seats[0]
    assert traces(one.info) == []


def a_fault_is_heard_in_one_alone(one: LabClient, silent: LabClient) -> None:
    before = told_of_nodes(silent)
    inject = f"{one.info.gateway_url}/api/v1/faults/gpu/inject/xid-79"
    one.call("POST", inject, {"node_name": "gpu-1", "gpu_id": 0})
    eventually(lambda: told_of_nodes(one)["gpu-1"]["cordoned"], "the platform of the faulty lab cordons")
    assert told_of_nodes(silent) == before
    assert silent.call("GET", f"{silent.info.gateway_url}/api/v1/faults")["faults"] == []


def told_of_nodes(client: LabClient) -> dict[str, dict[str, object]]:
    """What a platform changes of nodes."""
    return {
        node["metadata"]["name"]: {
            "cordoned": node["spec"].get("unschedulable", False),
            "labels": node["metadata"]["labels"],
            "conditions": sorted(one["type"] for one in node["status"].get("conditions", ())),
        }
        for node in client.call("GET", "/api/v1/nodes")["items"]
    }


def test_nodes_and_workers_carry_the_labels_of_real_clusters(client: LabClient) -> None:
    nodes = client.call("GET", "/api/v1/nodes?labelSelector=accelerator%3Dnvidia%2Cnvidia.com%2Fgpu.present%3Dtrue")
    assert [one["metadata"]["name"] for one in nodes["items"]] == ["gpu-1", "gpu-2", "gpu-3"]
    workers = "labelSelector=nvidia.com%2Fdynamo-component-type%3Dworker"
    pods = client.call("GET", f"/api/v1/namespaces/dynamo/pods?{workers}")["items"]
    assert {one["metadata"]["ownerReferences"][0]["kind"] for one in pods} == {"ReplicaSet"}
    assert len(pods) == 3


def test_a_second_lab_of_the_same_name_is_refused(bare: LabOptions, tmp_path: Path) -> None:
    with (
        up(bare, owned=True, folder=tmp_path),
        pytest.raises(
            Refused,
            match=r"^Lab bare runs already: use it, or end it with `scenario-runner lab down --lab-name bare`\.$",
        ),
    ):
        up(bare, owned=True, folder=tmp_path)


def test_a_kept_lab_whose_description_can_not_be_read_is_no_missing_lab(
    bare: LabOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCENARIO_RUNNER_STATE", str(tmp_path))
    info = up(bare, owned=False).info
    layout = Layout(Path(info.state_dir))
    whole = layout.info.read_text()
    sentence = (
        f"Lab bare runs, and {layout.info} can not be read: it is damaged, or of another version of this program. "
        "Repair it, or end the lab with `scenario-runner lab down --lab-name bare`."
    )
    for damaged in (whole[:100], '{"name": "bare"}'):
        layout.info.write_text(damaged)
        assert refused_to_find("bare") == sentence
    layout.info.unlink()
    assert refused_to_find("bare") == "Lab bare is being started or ended by somebody else right now."
    layout.info.write_text(whole)
    layout.options.write_text("{}")
    assert find("bare") == info
    Path(info.kubeconfig).unlink()
    assert not labs.is_gone(Path(info.kubeconfig))
    assert down_named("bare")
    assert labs.is_gone(Path(info.kubeconfig))
    assert traces(info) == []


def refused_to_find(name: str) -> str:
    with pytest.raises(Refused) as caught:
        find(name)
    return str(caught.value)


def test_a_lab_is_gone_when_its_processes_are_whatever_it_left_lying_about(bare: LabOptions, tmp_path: Path) -> None:
    folder = Layout(tmp_path / "bare")
    folder.root.mkdir()
    folder.kubeconfig.touch()
    assert not labs.is_gone(folder.kubeconfig)  # it may belong to anything
    Order(bare, "nobody", "x").write(folder)
    assert labs.is_gone(folder.kubeconfig)


def test_a_lab_that_can_not_start_says_why_and_leaves_nothing(bare: LabOptions, tmp_path: Path) -> None:
    Path(bare.manifests).write_text("{apiVersion: batch/v1, kind: Job, metadata: {name: x}}\n")
    with pytest.raises(TargetUnreachable) as caught:
        up(bare, owned=True, folder=tmp_path)
    assert str(caught.value) == (
        "The lab's setup ended with code 1. The end of its log:\n"
        "manifests of kind Job can not be applied here, only Namespace, Node, ConfigMap, Secret, Service, Pod, "
        "Deployment, PodDisruptionBudget"
    )
    assert [one.name for one in tmp_path.iterdir()] == ["bare.yaml"]


def test_a_port_that_a_program_of_the_machine_has_taken_is_named(bare: LabOptions, tmp_path: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        spec = f"{{clusterIP: '${{FRONTEND_ADDRESS}}', ports: [{{port: {port}}}]}}"
        text = f"{{apiVersion: v1, kind: Service, metadata: {{name: web, namespace: default}}, spec: {spec}}}\n"
        Path(bare.manifests).write_text(text)
        with pytest.raises(TargetUnreachable) as caught:
            up(bare, owned=True, folder=tmp_path)
    assert str(caught.value) == (
        f"Service web can not have port {port}: a program of this machine listens there on all addresses."
    )
    assert [one.name for one in tmp_path.iterdir()] == ["bare.yaml"]


def test_a_name_that_is_no_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        up(LabOptions(name="../x"), owned=True, folder=tmp_path)
    assert str(caught.value) == ("'../x' is no name for a lab: use up to 32 lower case letters, digits and dashes.")


def test_a_part_that_crashes_is_started_again_and_a_stopped_one_is_not(bare: LabOptions, tmp_path: Path) -> None:
    with up(bare, owned=True, folder=tmp_path) as lab:
        keeper = Path(lab.info.control)
        control.ask(keeper, "kill agent-gpu-1 KILL")
        eventually(lambda: state_of(lab.info, "agent-gpu-1") == ("up", 1) or None, "the agent is back")
        control.ask(keeper, "stop agent-gpu-2")
        assert state_of(lab.info, "agent-gpu-2") == ("down", 0)
        control.ask(keeper, "start agent-gpu-2")
        eventually(lambda: state_of(lab.info, "agent-gpu-2") == ("up", 0) or None, "the agent runs")


def test_the_keeper_refuses_what_it_does_not_know(bare: LabOptions, tmp_path: Path) -> None:
    with up(bare, owned=True, folder=tmp_path) as lab:
        answers = [refusal(lab.info, words) for words in ("reboot gpu-9", "kill x TERM", "kill proxy SIGX", "dance")]
    assert answers == [
        "There is no gpu-9 in this lab.",
        "There is no x in this lab.",
        "SIGX is no signal.",
        "'dance' is no order that a keeper knows.",
    ]


def refusal(info: LabInfo, words: str) -> str:
    with pytest.raises(TargetRefused) as caught:
        control.ask(Path(info.control), words)
    return str(caught.value)


def state_of(info: LabInfo, name: str) -> tuple[str, int]:
    return next((one.state, one.restarts) for one in status(info).components if one.name == name)


def gpus(info: LabInfo) -> list[str]:
    client = LabClient(info)
    found = [client.call("GET", f"{info.gateway_url}/api/v1/gpus?node_name={node}")["gpus"] for node in info.nodes]
    return [f"{gpu['uuid']} {gpu['pci']}" for gpus_of_node in found for gpu in gpus_of_node]


_STARTER = """
import sys, time
from pathlib import Path
from scenario_runner.lab.lab import LabOptions, up
lab = up(LabOptions(name="bare", nodes=("gpu-1", "gpu-2"), manifests=sys.argv[1]), owned=sys.argv[3] == "True",
         folder=Path(sys.argv[2]))
print(" ".join(lab.info.text().split()), flush=True)
time.sleep(600)
"""


def start_elsewhere(options: LabOptions, folder: Path, *, is_owned: bool) -> "subprocess.Popen[str]":
    root = str(Path(__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, "-c", _STARTER, options.manifests, str(folder), str(is_owned)],
        env=os.environ | {"PYTHONPATH": root},
        stdout=subprocess.PIPE,
        text=True,
    )


def told(starter: "subprocess.Popen[str]") -> LabInfo:
    assert starter.stdout is not None
    with starter.stdout as output:
        return read_info(output.readline())
