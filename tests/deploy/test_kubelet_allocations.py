"""Who holds which GPU, from the kubelet's record and the cluster's list of pods."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fault_agent.cluster import ServiceAccount, chosen_api
from fault_agent.inventory import Allocations, Holder
from fault_agent.kubelet_allocations import ASK_SECONDS, RECORD, Keeper, main, pods_on
from tests.agent.cluster import Cluster
from tests.agent.world import ROOT

GPU = "nvidia.com/gpu"


def entry(pod_uid: str, *devices: str, container: str = "worker", resource: str = GPU) -> dict[str, Any]:
    """As the kubelet writes it; -1 stands for devices that belong to no NUMA node."""
    return {
        "PodUID": pod_uid,
        "ContainerName": container,
        "ResourceName": resource,
        "DeviceIDs": {"-1": list(devices)},
        "AllocResp": "",
    }


def pod(uid: str, name: str, phase: str = "Running") -> dict[str, Any]:
    return {"metadata": {"uid": uid, "namespace": "dynamo", "name": name}, "status": {"phase": phase}}


@dataclass
class Node:
    """A kubelet's record, the pods that the cluster lists, and the file that is kept."""

    folder: Path
    pods: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0
    seconds: float = 100.0
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.target = self.folder / "allocations.json"
        self.keeper = Keeper(self.folder / RECORD, GPU, self._list, self.target, self.said.append, lambda: self.seconds)

    def record(self, *entries: dict[str, Any]) -> None:
        data = {"PodDeviceEntries": list(entries) or None, "RegisteredDevices": {GPU: ["GPU-0a", "GPU-0b"]}}
        (self.folder / RECORD).write_text(json.dumps({"Data": data, "Checksum": 1}))

    def holders(self) -> dict[str, list[Holder]]:
        """As the agent reads them."""
        self.keeper.turn()
        return Allocations(self.target).holders()

    def _list(self) -> list[dict[str, Any]]:
        self.asked += 1
        return self.pods


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_a_pod_holds_the_gpus_it_was_given(node: Node) -> None:
    node.record(entry("u1", "GPU-0a", "GPU-0b"), entry("u1", "net-1", resource="vendor.example/nic"))
    node.pods = [pod("u1", "decode-1"), pod("u2", "prefill-1")]
    holder = Holder("dynamo", "decode-1", "worker")
    assert node.holders() == {"GPU-0a": [holder], "GPU-0b": [holder]}


def test_a_shared_gpu_has_several_holders(node: Node) -> None:
    node.record(entry("u1", "GPU-0a::0"), entry("u2", "GPU-0a::1", container="other"))
    node.pods = [pod("u1", "one"), pod("u2", "two")]
    assert node.holders() == {"GPU-0a": [Holder("dynamo", "one", "worker"), Holder("dynamo", "two", "other")]}


def test_a_pod_that_is_over_or_gone_holds_nothing(node: Node) -> None:
    node.record(entry("u1", "GPU-0a"), entry("u2", "GPU-0b"))
    node.pods = [pod("u1", "done", phase="Succeeded")]
    assert node.holders() == {}


def test_a_node_on_which_nobody_has_a_gpu_asks_nobody(node: Node) -> None:
    assert (node.holders(), node.asked) == ({}, 0)
    node.record()
    assert (node.holders(), node.asked) == ({}, 0)


def test_the_cluster_is_asked_when_the_record_changes_and_seldom_otherwise(node: Node) -> None:
    node.record(entry("u1", "GPU-0a"))
    node.pods = [pod("u1", "decode-1")]
    node.holders()
    node.holders()
    assert node.asked == 1
    node.record(entry("u1", "GPU-0a"), entry("u2", "GPU-0b"))
    node.pods = [pod("u1", "decode-1"), pod("u2", "decode-2")]
    assert set(node.holders()) == {"GPU-0a", "GPU-0b"}
    node.pods = [pod("u2", "decode-2")]
    assert set(node.holders()) == {"GPU-0a", "GPU-0b"}
    node.seconds += ASK_SECONDS
    assert set(node.holders()) == {"GPU-0b"}


@pytest.mark.parametrize("content", ["[]", '{"Data": {"PodDeviceEntries": [{"PodUID": "u1"}]}}'])
def test_a_record_of_another_form_is_said_once_and_tried_again(node: Node, content: str) -> None:
    (node.folder / RECORD).write_text(content)
    node.keeper.turn()
    node.keeper.turn()
    assert node.said == ["who holds which GPU is not known: the kubelet's record of devices has an unknown form"]
    assert not node.target.exists()
    node.record(entry("u1", "GPU-0a"))
    node.pods = [pod("u1", "decode-1")]
    assert set(node.holders()) == {"GPU-0a"}


def test_what_was_known_stays_while_the_cluster_is_silent(tmp_path: Path) -> None:
    def silent() -> list[dict[str, Any]]:
        raise ConnectionRefusedError("refused")

    node = Node(tmp_path, [pod("u1", "decode-1")])
    node.record(entry("u1", "GPU-0a"))
    before = node.holders()
    said: list[str] = []
    later = Keeper(tmp_path / RECORD, GPU, silent, node.target, said.append)
    later.turn()
    assert said == ["who holds which GPU is not known: refused"]
    assert Allocations(node.target).holders() == before


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A Kubernetes API server behind TLS."""
    started = Cluster(tmp_path / "cluster")
    yield started
    started.close()


def test_only_pods_of_the_node_are_asked_for(cluster: Cluster) -> None:
    cluster.add_agent("here", "gpu-1", "10.0.0.1")
    cluster.add_agent("elsewhere", "gpu-2", "10.0.0.2")
    account = ServiceAccount(cluster.account)
    url = f"https://127.0.0.1:{cluster.door.port}"
    api = chosen_api(url, account.folder / "token", account.folder / "ca.crt", account)
    assert [one["metadata"]["name"] for one in pods_on(api, "gpu-1")()] == ["here"]


def test_the_program_writes_what_it_sees_and_ends_with_its_pod(cluster: Cluster, tmp_path: Path) -> None:
    target = tmp_path / "allocations.json"
    options = ["--node", "gpu-1", "--kubelet", str(tmp_path), "--write", str(target)]
    options += ["--service-account-dir", str(cluster.account)]
    command = [sys.executable, "-m", "fault_agent.kubelet_allocations", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "agent"), **cluster.environment}
    with subprocess.Popen(command, env=environment) as program:
        while not target.exists():
            assert program.poll() is None
            time.sleep(0.02)
        program.terminate()
    assert (program.returncode, target.read_text()) == (0, "{}\n")


def test_outside_of_a_pod_it_can_not_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--kubelet", str(tmp_path), "--write", str(tmp_path / "a.json")]
    assert main([*options, "--service-account-dir", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("kubelet_allocations: This is not a pod with a service account")
