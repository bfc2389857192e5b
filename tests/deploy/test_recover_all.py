"""Recovering every fault before the agents are removed: nothing is left, and nothing is called done that is not."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fault_agent.recover_all import LEFT, RECOVERED, UNKNOWN, HttpGateway, main, recover_all
from tests.agent.certificates import Authority
from tests.agent.conftest import node, node_at, server
from tests.agent.world import ForkServer, NodeProgram, Program, gateway_program

__all__ = ["node", "node_at", "server"]  # fixtures of the agent's own tests

NO_RETRY = 0.0


@dataclass
class Waiting:
    """Virtual time, in which something may happen at each pause."""

    seconds: float = 0.0
    meanwhile: Callable[[], None] = lambda: None
    said: list[str] = field(default_factory=list)

    def recover(self, gateway: Any, within: float = 60.0) -> int:
        return recover_all(gateway, within, self.said.append, lambda: self.seconds, self._pause)

    def _pause(self, seconds: float) -> None:
        self.seconds += seconds
        self.meanwhile()


@pytest.fixture
def waiting() -> Waiting:
    return Waiting()


@pytest.fixture
def nodes(node_at: Callable[..., NodeProgram]) -> tuple[NodeProgram, NodeProgram]:
    return node_at("gpu-1", "4001"), node_at("gpu-2", "4002")


@pytest.fixture
def gateway(
    server: ForkServer, tmp_path: Path, nodes: tuple[NodeProgram, NodeProgram]
) -> Iterator[tuple[Program, HttpGateway]]:
    """A gateway in front of two nodes, all of them started, and the way that recovering takes to it."""
    program = gateway_program(server, tmp_path / "gateway", {one.name: one.start() for one in nodes})
    yield program, HttpGateway(program.start(), "")
    program.leave_nothing()


def test_faults_of_all_nodes_are_recovered(
    gateway: tuple[Program, HttpGateway], nodes: tuple[NodeProgram, NodeProgram], waiting: Waiting
) -> None:
    first, second = nodes
    first.inject(key="a")
    first.inject(key="b", gpu_id=1)
    second.inject(key="c")
    assert waiting.recover(gateway[1]) == RECOVERED
    assert waiting.said == ["3 faults were in force, none is left."]
    recovered = [first.fault("gpu-1~a"), first.fault("gpu-1~b"), second.fault("gpu-2~c")]
    assert [fault["status"] for fault in recovered] == ["recovered"] * 3
    assert all(fault["acknowledgement"] for fault in recovered)


def test_without_faults_there_is_nothing_to_do(gateway: tuple[Program, HttpGateway], waiting: Waiting) -> None:
    assert (waiting.recover(gateway[1]), waiting.said) == (RECOVERED, ["0 faults were in force, none is left."])


def test_a_node_that_comes_back_in_time_is_waited_for(
    gateway: tuple[Program, HttpGateway], nodes: tuple[NodeProgram, NodeProgram], waiting: Waiting
) -> None:
    second = nodes[1]
    second.inject(key="a")
    address = str(second.http.base_url) if second.http else ""
    second.stop()

    def restart() -> None:
        if second.pid is None:
            port = address.rstrip("/").rpartition(":")[2]
            second.argv[second.argv.index("--listen") + 1] = f"127.0.0.1:{port}"
            second.start()

    waiting.meanwhile = restart
    assert waiting.recover(gateway[1]) == RECOVERED
    assert waiting.said == ["1 fault was in force, none is left."]
    assert second.fault("gpu-2~a")["status"] == "recovered"


def test_a_node_that_stays_away_may_have_faults(
    gateway: tuple[Program, HttpGateway], nodes: tuple[NodeProgram, NodeProgram], waiting: Waiting
) -> None:
    nodes[0].inject(key="a")
    nodes[1].stop()
    assert waiting.recover(gateway[1]) == LEFT
    assert waiting.seconds == 60.0
    assert waiting.said == [
        "The agent of node gpu-2 is unreachable: Connection refused.",
        "Something is left, so the agents stay. (`helm uninstall --no-hooks` removes them all the same.)",
    ]
    assert nodes[0].fault("gpu-1~a")["status"] == "recovered"


def test_a_real_fault_is_left_to_a_person_at_once(
    gateway: tuple[Program, HttpGateway], nodes: tuple[NodeProgram, NodeProgram], waiting: Waiting
) -> None:
    nodes[0].inject(key="a")
    nodes[0].add_kernel_line("NVRM: Xid (PCI:4001:17:00): 48, a real one")
    assert waiting.recover(gateway[1]) == LEFT
    assert waiting.seconds == 1.0
    first, second = waiting.said
    assert first.startswith("gpu-1~a is blocked: ")
    assert second.startswith("Something is left")


def test_no_gateway_means_that_nothing_is_known(waiting: Waiting) -> None:
    assert waiting.recover(HttpGateway("http://127.0.0.1:9", ""), within=3.0) == UNKNOWN
    assert waiting.said == ["The gateway does not list the faults: Connection refused."]
    assert waiting.seconds == 3.0


def test_a_wrong_token_is_not_tried_again(server: ForkServer, tmp_path: Path, waiting: Waiting) -> None:
    (tmp_path / "token").write_text("secret")
    program = gateway_program(server, tmp_path / "gateway", {})
    try:
        url = program.start("--token-file", str(tmp_path / "token"))
        assert waiting.recover(HttpGateway(url, "guess")) == UNKNOWN
        assert (waiting.said, waiting.seconds) == (["The gateway does not accept the token."], 0.0)
        assert waiting.recover(HttpGateway(url, "secret")) == RECOVERED
    finally:
        program.leave_nothing()


def test_something_else_at_the_address_is_no_gateway(waiting: Waiting) -> None:
    class Stranger:
        def ask(self, method: str, path: str) -> tuple[int, Any]:
            return 200, {"hello": f"{method} {path}"}

    assert waiting.recover(Stranger(), within=0.0) == UNKNOWN
    assert waiting.said == ["The gateway does not list the faults: what answers is not a fault agent."]


def test_the_program_trusts_the_authority_it_is_given(
    server: ForkServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    authority = Authority(tmp_path / "ca")
    pair = authority.pair("IP:127.0.0.1")
    (tmp_path / "token").write_text("secret")
    program = gateway_program(server, tmp_path / "gateway", {})
    options = ["--token-file", str(tmp_path / "token")]
    try:
        url = program.start(*options, "--tls-cert", str(pair.cert), "--tls-key", str(pair.key))
        asked = ["--gateway", url, *options, "--within", str(NO_RETRY)]
        assert main([*asked, "--ca", str(authority.cert)]) == RECOVERED
        assert capfd.readouterr().out == "0 faults were in force, none is left.\n"
        assert main(asked) == UNKNOWN
        assert "CERTIFICATE_VERIFY_FAILED" in capfd.readouterr().out
    finally:
        program.leave_nothing()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (["--gateway", "gateway:8443"], "--gateway takes a URL like https://HOST:PORT, not 'gateway:8443'."),
        (["--token-file", "/nowhere"], "[Errno 2] No such file or directory: '/nowhere'"),
        (["--ca", "/nowhere"], "--ca /nowhere can not be used: [Errno 2] No such file or directory."),
    ],
)
def test_what_can_not_start_says_why(
    change: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "token").write_text("secret")
    options = ["--gateway", "https://127.0.0.1:9", "--token-file", str(tmp_path / "token")]
    assert main([*options, *change]) == 2
    assert capsys.readouterr().err == f"recover_all: {sentence}\n"
