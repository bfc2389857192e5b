"""TLS with real certificates: from the gateway to its nodes, from a node to its cluster; and IPv6."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.agent.certificates import Authority
from tests.agent.cluster import Cluster
from tests.agent.test_gateway import inject
from tests.agent.world import ForkServer, NodeProgram, Program, gateway_program


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "certificates")


@pytest.fixture
def gateways(server: ForkServer, tmp_path: Path) -> Iterator[list[Program]]:
    """Gateways made by the test, ended after it."""
    made: list[Program] = []
    yield made
    for program in made:
        program.leave_nothing()


def in_front_of(url: str, server: ForkServer, folder: Path, gateways: list[Program], *options: str) -> Program:
    gateways.append(gateway_program(server, folder / f"gateway-{len(gateways)}", {"gpu-1": url}))
    gateways[-1].start(*options)
    return gateways[-1]


def reason(gateway: Program) -> str:
    text = gateway.get("/readyz").json()["nodes"]["gpu-1"]["reason"]
    assert isinstance(text, str)
    return text


def test_a_gateway_asks_nodes_over_tls_and_only_those_with_a_trusted_certificate(
    server: ForkServer, node: NodeProgram, authority: Authority, tmp_path: Path, gateways: list[Program]
) -> None:
    url = node.start(*authority.pair("IP:127.0.0.1").options())
    trusting = in_front_of(url, server, tmp_path, gateways, "--node-ca", str(authority.cert))
    created = inject(trusting, "gpu-1", "a")
    assert (created.status_code, created.json()) == (201, node.fault("gpu-1~a"))
    foreign = Authority(tmp_path / "foreign")
    doubting = in_front_of(url, server, tmp_path, gateways, "--node-ca", str(foreign.cert))
    assert reason(doubting) == (
        "The agent of node gpu-1 is unreachable: "
        "its certificate is not accepted (unable to get local issuer certificate)."
    )


def test_one_name_in_the_certificate_serves_nodes_at_any_address(
    server: ForkServer, node: NodeProgram, authority: Authority, tmp_path: Path, gateways: list[Program]
) -> None:
    url = node.start(*authority.pair("DNS:fault-agent-node").options())
    ca = ["--node-ca", str(authority.cert)]
    named = in_front_of(url, server, tmp_path, gateways, *ca, "--node-tls-name", "fault-agent-node")
    assert named.get("/readyz").json()["ready"]
    by_address = in_front_of(url, server, tmp_path, gateways, *ca)
    assert reason(by_address) == (
        "The agent of node gpu-1 is unreachable: its certificate is not accepted "
        "(IP address mismatch, certificate is not valid for '127.0.0.1')."
    )


def test_a_url_of_another_kind_is_said_to_be_unreachable(
    server: ForkServer, tmp_path: Path, gateways: list[Program]
) -> None:
    gateway = in_front_of("ftp://127.0.0.1:1", server, tmp_path, gateways)
    assert reason(gateway) == "The agent of node gpu-1 is unreachable: 'ftp' is neither http nor https."


def test_an_authority_that_can_not_be_read_is_refused_at_start(
    server: ForkServer, tmp_path: Path, gateways: list[Program]
) -> None:
    gateways.append(gateway_program(server, tmp_path / "gateway", {}))
    (tmp_path / "ca").write_text("nothing")
    said = gateways[0].refuses_to_start("--node-ca", str(tmp_path / "ca"))
    assert said.startswith(f"fault-agent: --node-ca {tmp_path / 'ca'} can not be used: ")
    assert said.count("\n") == 1


def test_both_roles_serve_and_route_over_ipv6(
    server: ForkServer, node: NodeProgram, tmp_path: Path, gateways: list[Program]
) -> None:
    node.argv[node.argv.index("127.0.0.1:0")] = "[::1]:0"
    url = node.start()
    assert url.startswith("http://[::1]:")
    gateways.append(gateway_program(server, tmp_path / "gateway", {"gpu-1": url}))
    gateways[0].argv[2] = "[::1]:0"
    assert gateways[0].start().startswith("http://[::1]:")
    created = inject(gateways[0], "gpu-1", "a")
    assert (created.status_code, created.json()) == (201, node.fault("gpu-1~a"))


def test_a_node_asks_its_cluster_over_tls_whether_it_is_being_repaired(node: NodeProgram, cluster: Cluster) -> None:
    cluster.add_node("gpu-1", **{"dgxc.nvidia.com/nvsentinel-state": "remediating"})
    node.start(*cluster.options())
    node.inject(94, key="a")
    assert node.recover("gpu-1~a").json()["status"] == "recovering"
    label(cluster, "gpu-1", None)
    assert node.until_fault("gpu-1~a", "recovered")["acknowledgement"] is not None


def test_a_node_in_a_pod_finds_its_cluster_by_itself(node: NodeProgram, cluster: Cluster) -> None:
    cluster.add_node("gpu-1", **{"dgxc.nvidia.com/nvsentinel-state": "remediating"})
    node.environment = cluster.environment
    node.start("--kube-api", "in-cluster", "--service-account-dir", str(cluster.account))
    node.inject(94, key="a")
    assert node.recover("gpu-1~a").json()["status"] == "recovering"
    label(cluster, "gpu-1", "remediation-succeeded")
    assert node.until_fault("gpu-1~a", "recovered")["acknowledgement"] is not None


def test_a_cluster_that_can_not_be_believed_is_waited_for(
    node: NodeProgram, cluster: Cluster, authority: Authority
) -> None:
    cluster.add_node("gpu-1")
    node.start(*cluster.options(), "--kube-ca", str(authority.cert))
    node.inject(94, key="a")
    assert node.recover("gpu-1~a").json()["status"] == "recovering"


def label(cluster: Cluster, node: str, state: str | None) -> None:
    headers = {"Content-Type": "application/merge-patch+json"}
    patch = {"metadata": {"labels": {"dgxc.nvidia.com/nvsentinel-state": state}}}
    answer: httpx.Response = cluster.http.patch(f"/api/v1/nodes/{node}", json=patch, headers=headers)
    answer.raise_for_status()


def test_the_name_of_the_node_comes_from_its_environment(node: NodeProgram) -> None:
    at = node.argv.index("--node")
    del node.argv[at : at + 2]
    said = node.refuses_to_start()
    assert said == "fault-agent: --node NAME or the environment variable NODE_NAME is needed.\n"
    node.environment = {"NODE_NAME": "gpu-1"}
    node.start()
    assert node.get("/health").json()["node"] == "gpu-1"
