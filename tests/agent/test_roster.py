"""The gateway finds its nodes by watching the agents' pods, as it does inside a cluster."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fault_agent.pod_roster import GONE_SECONDS, KnownPods
from fault_agent.roster import Agents, Missing
from tests.agent.certificates import Authority
from tests.agent.cluster import LABEL, Cluster
from tests.agent.world import ForkServer, NodeProgram, Program

SELECTOR = f"{LABEL}=agent"


@pytest.fixture
def gateway(server: ForkServer, cluster: Cluster, tmp_path: Path) -> Iterator[Program]:
    """In a pod of the cluster, not started."""
    argv = ["gateway", "--listen", "127.0.0.1:0", "--roster-from-pods", SELECTOR]
    argv += ["--service-account-dir", str(cluster.account)]
    program = Program(server, argv, tmp_path / "output", environment=cluster.environment)
    yield program
    program.leave_nothing()


def until_nodes(gateway: Program, expected: dict[str, Any]) -> None:
    """Poll `/readyz` until it shows these nodes; the test's own time limit ends a wait in vain."""
    while True:
        shown = {name: state.get("reason", "answers") for name, state in gateway.get("/readyz").json()["nodes"].items()}
        if shown == expected:
            return
        time.sleep(0.02)


def port_of(url: str) -> str:
    return url.rpartition(":")[2]


def listens_at(node: NodeProgram, address: str) -> None:
    node.argv[node.argv.index("--listen") + 1] = address


def test_agents_are_found_by_their_pods_and_each_change_is_followed(
    gateway: Program, cluster: Cluster, node: NodeProgram, node_at: Callable[..., NodeProgram]
) -> None:
    port = port_of(node.start())
    other = node_at("gpu-2", "4002")
    listens_at(other, f"127.0.0.2:{port}")
    other.start()
    cluster.add_agent("agent-a", "gpu-1", "127.0.0.1")
    cluster.add_agent("stranger", "gpu-9", "127.0.0.1", app="something-else")
    gateway.start("--node-port", port)
    until_nodes(gateway, {"gpu-1": "answers"})
    cluster.add_agent("agent-b", "gpu-2", None)
    pending = "The agent of node gpu-2 is unreachable: its agent's pod agent-b is Pending."
    until_nodes(gateway, {"gpu-1": "answers", "gpu-2": pending})
    cluster.report("agent-b", {"phase": "Running", "podIP": "127.0.0.2"})
    until_nodes(gateway, {"gpu-1": "answers", "gpu-2": "answers"})
    body = {"node_name": "gpu-2"}
    assert gateway.post("/api/v1/faults/gpu/inject/xid-79", json=body).json()["target"]["pci"] == "4002:17:00"
    assert (len(node.kernel_lines()), len(other.kernel_lines())) == (0, 1)
    ready = gateway.get("/readyz").json()
    assert (ready["ready"], ready["roster"]) == (True, {"source": "pods", "reason": None})


def test_a_node_whose_agent_left_is_unreachable_not_unknown(
    gateway: Program, cluster: Cluster, node: NodeProgram
) -> None:
    port = port_of(node.start())
    cluster.add_agent("agent-a", "gpu-1", "127.0.0.1")
    gateway.start("--node-port", port)
    until_nodes(gateway, {"gpu-1": "answers"})
    cluster.remove_agent("agent-a")
    while gateway.get("/api/v1/faults").json()["unreachable"] == []:
        time.sleep(0.02)
    refused = gateway.get("/api/v1/faults/gpu-1~a")
    assert (refused.status_code, refused.json()["error"]["code"]) == (502, "node_unreachable")
    cluster.add_agent("agent-b", "gpu-1", "127.0.0.1")
    until_nodes(gateway, {"gpu-1": "answers"})


def test_a_connection_that_breaks_is_made_again_and_what_was_known_stays(
    gateway: Program, cluster: Cluster, node: NodeProgram
) -> None:
    port = port_of(node.start())
    cluster.add_agent("agent-a", "gpu-1", "127.0.0.1")
    gateway.start("--node-port", port)
    until_nodes(gateway, {"gpu-1": "answers"})
    cluster.door.cut()
    assert "gpu-1" in gateway.get("/readyz").json()["nodes"]
    cluster.add_agent("agent-b", "gpu-2", None)
    pending = "The agent of node gpu-2 is unreachable: its agent's pod agent-b is Pending."
    until_nodes(gateway, {"gpu-1": "answers", "gpu-2": pending})


def test_a_cluster_that_does_not_answer_is_said_and_asked_again(
    gateway: Program, cluster: Cluster, node: NodeProgram
) -> None:
    port = port_of(node.start())
    cluster.add_agent("agent-a", "gpu-1", "127.0.0.1")
    (cluster.account / "token").write_text("wrong")
    gateway.start("--node-port", port)
    while "401" not in (gateway.get("/readyz").json()["roster"]["reason"] or ""):
        time.sleep(0.02)
    reason = "The nodes are not known yet: the cluster does not list the agents' pods (401 Unauthorized)."
    state = gateway.get("/readyz")
    assert (state.status_code, state.json()) == (
        503,
        {"ready": False, "roster": {"source": "pods", "reason": reason}, "nodes": {}},
    )
    refused = gateway.get("/api/v1/faults")
    assert (refused.status_code, refused.json()["error"]) == (
        503,
        {"code": "roster_unknown", "message": reason, "node": None},
    )
    (cluster.account / "token").write_text("cluster-token")
    until_nodes(gateway, {"gpu-1": "answers"})


def test_a_cluster_with_another_authority_is_not_believed(gateway: Program, cluster: Cluster) -> None:
    foreign = cluster.folder / "foreign"
    (cluster.account / "ca.crt").write_bytes(Authority(foreign).cert.read_bytes())
    gateway.start()
    while "CERTIFICATE_VERIFY_FAILED" not in (gateway.get("/readyz").json()["roster"]["reason"] or ""):
        time.sleep(0.02)


def test_outside_of_a_cluster_the_options_that_are_missing_are_named(gateway: Program, cluster: Cluster) -> None:
    gateway.environment = {"KUBERNETES_SERVICE_HOST": ""}
    said = gateway.refuses_to_start()
    assert said == "fault-agent: This is not a pod with a service account: --kube-api URL is needed.\n"
    (cluster.account / "namespace").unlink()
    said = gateway.refuses_to_start(*cluster.options())
    assert said == "fault-agent: This is not a pod with a service account: --namespace is needed.\n"
    gateway.start(*cluster.options(), "--namespace", "drills")
    until_nodes(gateway, {})


def pod(uid: str, node: str | None, ip: str | None = "10.0.0.1", phase: str = "Running", **meta: str) -> dict[str, Any]:
    status = {"phase": phase, **({"podIP": ip} if ip else {})}
    spec = {"nodeName": node} if node else {}
    return {"metadata": {"uid": uid, "name": uid, **meta}, "spec": spec, "status": status}


def agents(known: KnownPods, now: float = 0.0) -> Agents:
    return known.agents(lambda address: f"http://{address}", now)


def test_of_several_pods_of_a_node_the_one_that_answers_stays_and_is_youngest_is_asked() -> None:
    known = KnownPods()
    known.apply("ADDED", pod("failed", "n", "10.0.0.9", "Failed", creationTimestamp="2026-01-04"), 0)
    known.apply("ADDED", pod("leaving", "n", "10.0.0.1", deletionTimestamp="x", creationTimestamp="2026-01-03"), 0)
    assert agents(known) == {"n": "http://10.0.0.1"}
    known.apply("ADDED", pod("old", "n", "10.0.0.2", creationTimestamp="2026-01-01"), 0)
    known.apply("ADDED", pod("new", "n", "10.0.0.3", creationTimestamp="2026-01-02"), 0)
    assert agents(known) == {"n": "http://10.0.0.3"}
    known.apply("DELETED", pod("new", "n"), 0)
    assert agents(known) == {"n": "http://10.0.0.2"}


def test_a_pod_without_a_node_names_none() -> None:
    known = KnownPods()
    known.apply("ADDED", pod("a", None, None, "Pending"), 0)
    assert agents(known) == {}


def test_a_node_without_a_pod_is_forgotten_after_a_while_only() -> None:
    known = KnownPods()
    known.replace([pod("a", "n"), pod("b", "m")], 0)
    known.replace([pod("b", "m")], 5)
    assert agents(known, 12) == {"n": Missing("its agent's pod is gone since 7 s"), "m": "http://10.0.0.1"}
    assert agents(known, 4 + GONE_SECONDS).keys() == {"n", "m"}
    assert agents(known, 5 + GONE_SECONDS).keys() == {"m"}
    known.apply("ADDED", pod("c", "n"), 700)
    assert agents(known, 700)["n"] == "http://10.0.0.1"
