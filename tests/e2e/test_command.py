"""What people can do to a cluster that they keep: `python -m tests.e2e.cluster`."""

import pytest

from tests.e2e import command
from tests.e2e.cluster import Cluster
from tests.e2e.running import wait_for


def test_status_lists_processes_memory_and_nodes(cluster: Cluster, capsys: pytest.CaptureFixture[str]):
    assert command.main(["status", "--name", cluster.name]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == f"KUBECONFIG={cluster.kubeconfig}"
    programs = {(line.split()[0], line.split()[-1]) for line in lines if line.split()[2:4][-1:] == ["MB"]}
    assert {("control-plane", "kube-apiserver"), ("control-plane", "etcd")} < programs
    assert {(node, "kubelet") for node in cluster.nodes} < programs
    assert any(line.endswith(" MB in all") and int(line.split()[0]) > 300 for line in lines)
    assert [line.split()[:2] for line in lines[-3:]] == [[node, "Ready"] for node in cluster.nodes]


def test_logs_lists_them_or_shows_their_ends(cluster: Cluster, capsys: pytest.CaptureFixture[str]):
    assert command.main(["logs", "--name", cluster.name]) == 0
    names = {line.rpartition("/")[2] for line in capsys.readouterr().out.splitlines()}
    assert {"kube-apiserver.log", "gpu-1-kubelet.log"} < names
    assert command.main(["logs", "gpu-1-kubelet", "--lines=2", "--name", cluster.name]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.startswith("==> ")
    assert head.endswith("/gpu-1-kubelet.log <==")
    assert len(lines) == 2
    assert command.main(["logs", "nothing", "--name", cluster.name]) == 1
    assert capsys.readouterr().err.startswith("There is no log of nothing, only of ")


def test_off_cuts_the_power_of_a_node_and_on_boots_it(cluster: Cluster, capsys: pytest.CaptureFixture[str]):
    assert command.main(["off", "gpu-1", "--name", cluster.name]) == 0
    assert not cluster.is_on("gpu-1")
    assert command.main(["on", "gpu-1", "--name", cluster.name]) == 0
    assert cluster.is_on("gpu-1")
    assert command.main(["on", "gpu-1", "--name", cluster.name]) == 1
    assert capsys.readouterr().err == "Node gpu-1 is on already.\n"
    cluster.wait_until_ready("gpu-1")


def test_cut_takes_a_node_off_the_network_and_join_puts_it_back(cluster: Cluster):
    def answers() -> bool:
        return (
            cluster.try_kubectl("get", "--raw=/api/v1/nodes/gpu-1/proxy/healthz", "--request-timeout=2s").stdout == "ok"
        )

    assert answers()
    assert command.main(["cut", "gpu-1", "--name", cluster.name]) == 0
    assert not answers()
    assert command.main(["join", "gpu-1", "--name", cluster.name]) == 0
    wait_for("the node answers", 30, answers)
    cluster.wait_until_ready("gpu-1")


@pytest.mark.parametrize("words", [["status"], ["logs"], ["load"], ["off", "gpu-1"], ["cut", "gpu-1"]], ids=" ".join)
def test_a_cluster_that_is_not_there_is_told(words: list[str], capsys: pytest.CaptureFixture[str]):
    assert command.main([*words, "--name", "nobodys"]) == 1
    assert capsys.readouterr().err == "There is no cluster named nobodys.\n"
