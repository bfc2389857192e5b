"""The gateway: routes by the node's name, passes answers through, and never calls a short list complete."""

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent.world import ForkServer, NodeProgram, Program, gateway_program


@pytest.fixture
def gateway(server: ForkServer, tmp_path: Path) -> Iterator[Program]:
    """Not started; its roster is empty."""
    program = gateway_program(server, tmp_path / "gateway", {})
    yield program
    program.leave_nothing()


def know(gateway: Program, **roster: str) -> None:
    """Replace the roster as a controller would: atomically."""
    path = Path(gateway.argv[-1])
    new = path.with_suffix(".new")
    new.write_text(json.dumps({name.replace("_", "-"): url for name, url in roster.items()}))
    new.replace(path)


def inject(gateway: Program, node: str, key: str, **body: Any) -> Any:
    path = "/api/v1/faults/gpu/inject/xid-79"
    return gateway.post(path, json={"node_name": node, **body}, headers={"Idempotency-Key": key})


def test_a_request_goes_to_the_node_it_names(
    gateway: Program, node: NodeProgram, node_at: Callable[..., NodeProgram]
) -> None:
    other = node_at("gpu-2", "4002")
    gateway.start()
    know(gateway, gpu_1=node.start(), gpu_2=other.start())
    created = inject(gateway, "gpu-2", "run.a", gpu_id=1, ttl=60)
    assert (created.status_code, created.json()) == (201, other.fault("gpu-2~run.a"))
    assert inject(gateway, "gpu-2", "run.a", gpu_id=1, ttl=60).status_code == 200
    assert (len(node.kernel_lines()), len(other.kernel_lines())) == (0, 1)
    assert gateway.get("/api/v1/faults/gpu-2~run.a").json() == created.json()
    assert gateway.get("/api/v1/gpus?node_name=gpu-2").json() == other.get("/api/v1/gpus").json()
    renewed = gateway.post("/api/v1/faults/gpu-2~run.a/renew", json={"ttl": 60}).json()
    assert renewed == {"fault_id": "gpu-2~run.a", "state": "active", "ended_at": None}
    assert gateway.post("/api/v1/faults/gpu-2~run.a/recover").json()["status"] == "recovered"
    inject(gateway, "gpu-1", "run.b")
    listed = gateway.get("/api/v1/faults").json()
    assert [fault["fault_id"] for fault in listed["faults"]] == ["gpu-1~run.b", "gpu-2~run.a"]
    assert listed["unreachable"] == []
    active = gateway.get("/api/v1/faults?active_only=true").json()
    assert [fault["fault_id"] for fault in active["faults"]] == ["gpu-1~run.b"]


def test_a_tombstone_is_left_through_the_gateway(gateway: Program, node: NodeProgram) -> None:
    gateway.start()
    know(gateway, gpu_1=node.start())
    path = "/api/v1/faults/gpu-1~late/recover"
    assert gateway.post(path).json()["error"]["code"] == "fault_not_found"
    assert gateway.post(path, headers={"Idempotency-Key": "late"}).json()["status"] == "tombstone"
    assert inject(gateway, "gpu-1", "late").status_code == 410


def test_a_nodes_refusal_is_passed_through_with_its_name(gateway: Program, node: NodeProgram) -> None:
    gateway.start()
    know(gateway, gpu_1=node.start())
    refused = inject(gateway, "gpu-1", "a", gpu_id=9)
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "gpu_not_found")
    assert refused.json()["error"]["node"] == "gpu-1"
    no_text = gateway.post("/api/v1/faults/gpu/inject/xid-31", json={"node_name": "gpu-1"})
    assert (no_text.status_code, no_text.json()["error"]) == (
        422,
        {
            "code": "message_needed",
            "message": "XID 31 has no built-in message; send one in `message`.",
            "node": "gpu-1",
        },
    )


def test_an_unknown_node_is_refused_with_the_known_ones(gateway: Program) -> None:
    know(gateway, gpu_1="http://127.0.0.1:9", gpu_2="http://127.0.0.1:9")
    gateway.start()
    message = "No agent is known for node gpu-7; known nodes: gpu-1, gpu-2."
    expected = {"error": {"code": "node_not_found", "message": message, "node": "gpu-7"}}
    for answer in (
        inject(gateway, "gpu-7", "a"),
        gateway.get("/api/v1/faults/gpu-7~a"),
        gateway.get("/api/v1/gpus?node_name=gpu-7"),
    ):
        assert (answer.status_code, answer.json()) == (404, expected)
    malformed = gateway.get("/api/v1/faults/nothing")
    assert malformed.json()["error"]["message"] == "There is no fault nothing: an id is <node>~<name>."
    assert gateway.get("/api/v1/gpus").status_code == 422


def test_a_node_that_is_down_or_silent_is_listed_and_refused_by_name(gateway: Program, node: NodeProgram) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        know(gateway, gpu_1=node.start(), gpu_2="http://127.0.0.1:9", gpu_3=f"http://127.0.0.1:{port}")
        gateway.start()
        node.inject(79, key="a")
        listed = gateway.get("/api/v1/faults").json()
    down = "The agent of node gpu-2 is unreachable: Connection refused."
    assert [fault["fault_id"] for fault in listed["faults"]] == ["gpu-1~a"]
    assert listed["unreachable"] == [
        {"node": "gpu-2", "reason": down},
        {"node": "gpu-3", "reason": "The agent of node gpu-3 is unreachable: it did not answer within 5 s."},
    ]
    refused = inject(gateway, "gpu-2", "a")
    assert (refused.status_code, refused.json()["error"]) == (
        502,
        {"code": "node_unreachable", "message": down, "node": "gpu-2"},
    )


def test_readiness_names_each_node(gateway: Program, node: NodeProgram) -> None:
    gateway.start()
    know(gateway, gpu_1=node.start())
    ready = gateway.get("/readyz")
    roster = {"source": "file", "reason": None}
    nodes = {"gpu-1": node.get("/readyz").json()}
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "roster": roster, "nodes": nodes})
    know(gateway, gpu_1="http://127.0.0.1:9")
    unready = gateway.get("/readyz")
    reason = "The agent of node gpu-1 is unreachable: Connection refused."
    assert (unready.status_code, unready.json()) == (
        503,
        {"ready": False, "roster": roster, "nodes": {"gpu-1": {"node": "gpu-1", "reason": reason}}},
    )
    assert gateway.get("/metrics").text == '# TYPE fault_agent_node_up gauge\nfault_agent_node_up{node="gpu-1"} 0\n'


def test_the_token_is_passed_on(gateway: Program, node: NodeProgram) -> None:
    token = node.folder / "token"
    token.write_text("secret")
    know(gateway, gpu_1=node.start("--token-file", str(token)))
    gateway.start()
    listed = gateway.get("/api/v1/faults").json()["unreachable"]
    assert listed[0]["reason"].startswith("The agent of node gpu-1 is unreachable: it answered 401: ")
    gateway.stop()
    gateway.start("--token-file", str(token))
    assert gateway.get("/api/v1/faults").status_code == 401
    listed = gateway.get("/api/v1/faults", headers={"Authorization": "Bearer secret"}).json()
    assert listed == {"faults": [], "unreachable": []}


def test_only_allowed_nodes_get_faults(gateway: Program, node: NodeProgram) -> None:
    know(gateway, gpu_1=node.start(), gpu_2="http://127.0.0.1:9")
    gateway.start("--allow-nodes", "gpu-2")
    refused = inject(gateway, "gpu-1", "a")
    assert (refused.status_code, refused.json()["error"]) == (
        403,
        {"code": "node_not_allowed", "message": "Faults on gpu-1 are not allowed; allowed: gpu-2.", "node": None},
    )


def test_a_roster_that_is_not_valid_is_refused_at_start_and_named_later(gateway: Program) -> None:
    roster = Path(gateway.argv[-1])
    gateway.start()
    roster.write_text("[]")
    message = f"The roster {roster} is not a JSON map of node names to URLs."
    answer = gateway.get("/api/v1/faults")
    assert (answer.status_code, answer.json()["error"]["message"]) == (500, message)
    gateway.stop()
    assert gateway.refuses_to_start() == f"fault-agent: {message}\n"


def test_sigterm_ends_a_gateway_cleanly(gateway: Program) -> None:
    gateway.start()
    assert gateway.stop() == 0
