"""Who may ask what: addresses, tokens, TLS, allow-lists, sizes; and a kernel log that can not be used."""

import asyncio
import os
import socket
import subprocess
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from fault_agent.audit import MAX_BYTES, Audit
from fault_agent.guard import MAX_AT_ONCE, MAX_BODY_BYTES, Guard
from tests.agent.machine import FakeClock
from tests.agent.world import NodeProgram

LOOPBACK_ONLY = "fault-agent: {} is not a loopback address: --token-file, --tls-cert and --tls-key are needed.\n"


@pytest.fixture
def token(node: NodeProgram) -> list[str]:
    """Options that demand the token `secret`."""
    (node.folder / "token").write_text("secret\n")
    return ["--token-file", str(node.folder / "token")]


@pytest.fixture
def tls(node: NodeProgram) -> list[str]:
    cert, key = node.folder / "cert.pem", node.folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    return ["--tls-cert", str(cert), "--tls-key", str(key)]


def listen(node: NodeProgram, address: str) -> None:
    node.argv[node.argv.index("127.0.0.1:0")] = address


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "10.1.2.3:0", "gpu-1.example:0"])
def test_an_address_that_others_can_reach_is_refused_without_token_and_tls(
    node: NodeProgram, token: list[str], address: str
) -> None:
    listen(node, address)
    host = address.rpartition(":")[0].strip("[]")
    assert node.refuses_to_start() == LOOPBACK_ONLY.format(host)
    assert node.refuses_to_start(*token) == LOOPBACK_ONLY.format(host)


def test_an_address_that_others_can_reach_is_served_with_token_and_tls(
    node: NodeProgram, token: list[str], tls: list[str]
) -> None:
    listen(node, "0.0.0.0:0")
    url = node.start(*token, *tls)
    assert url.startswith("https://0.0.0.0:")
    with httpx.Client(verify=False) as client:
        base = url.replace("0.0.0.0", "127.0.0.1")
        assert client.get(f"{base}/health").status_code == 200
        assert client.get(f"{base}/readyz").status_code == 401


def test_another_loopback_address_needs_nothing(node: NodeProgram) -> None:
    listen(node, "127.77.0.9:0")
    assert node.start().startswith("http://127.77.0.9:")


def test_without_the_right_token_only_health_answers(node: NodeProgram, token: list[str]) -> None:
    node.start(*token)
    assert node.get("/health").json() == {"status": "ok", "role": "node", "node": "gpu-1", "version": "0.1.0"}
    expected = {"error": {"code": "unauthorized", "message": "A valid bearer token is needed.", "node": "gpu-1"}}
    for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "secret"}):
        for path in ("/readyz", "/metrics", "/api/v1/faults", "/api/v1/gpus", "/openapi.json", "/nothing"):
            answer = node.get(path, headers=given)
            assert (answer.status_code, answer.json()) == (401, expected)
    refused = node.post("/api/v1/faults/gpu/inject/xid-79", json={"node_name": "gpu-1"})
    assert refused.status_code == 401
    assert node.kernel_lines() == []
    node.headers = {"Authorization": "Bearer secret"}
    assert node.get("/readyz", headers=node.headers).status_code == 200


def test_a_page_in_a_browser_can_not_reach_an_agent_without_a_token_by_a_name(node: NodeProgram) -> None:
    node.start()
    refused = node.get("/api/v1/faults", headers={"Host": "evil.example:80"})
    assert (refused.status_code, refused.json()["error"]["message"]) == (
        403,
        "Without a token only requests to an address or localhost are served.",
    )
    assert [node.get("/health", headers={"Host": host}).status_code for host in ("localhost:1", "[::1]:1")] == [
        200,
        200,
    ]


def test_only_allowed_xids_are_injected(node: NodeProgram) -> None:
    node.start("--allow-xids", "79,94")
    refused = node.inject(48)
    assert refused.status_code == 403
    assert refused.json()["error"] == {
        "code": "xid_not_allowed",
        "message": "XID 48 is not allowed on node gpu-1; allowed: 79, 94.",
        "node": "gpu-1",
    }
    assert node.inject(94).status_code == 201


def test_the_number_of_faults_in_force_is_limited(node: NodeProgram) -> None:
    node.start("--max-active", "1")
    node.inject(94, key="a")
    refused = node.inject(94, key="b")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_active")
    assert node.inject(94, key="a").status_code == 200
    assert len(node.kernel_lines()) == 1


def test_a_body_that_is_too_large_or_of_unknown_length_is_not_read(node: NodeProgram) -> None:
    node.start()
    path = "/api/v1/faults/gpu/inject/xid-79"
    assert node.post(path, content=b"x" * (MAX_BODY_BYTES + 1)).status_code == 413
    assert node.post(path, content=iter([b"{}"])).status_code == 411


def test_a_request_that_is_no_json_or_has_no_route_gets_an_error_of_the_usual_shape(node: NodeProgram) -> None:
    node.start()
    answers = [
        node.post("/api/v1/faults/gpu/inject/xid-79", content=b"{", headers={"Content-Type": "application/json"}),
        node.post("/api/v1/faults/gpu/inject/xid-79", content=b"\xff", headers={"Content-Type": "application/json"}),
        node.get("/nothing"),
        node.get("/api/v1/faults/gpu-1~a/recover"),
    ]
    assert answers[-1].headers["Allow"] == "POST"
    assert [(answer.status_code, answer.json()["error"]["code"]) for answer in answers] == [
        (422, "invalid_request"),
        (400, "bad_request"),
        (404, "no_such_route"),
        (405, "method_not_allowed"),
    ]


UNUSABLE = [
    ("real:{tmp}/absent", "{tmp}/absent can not be written: No such file or directory"),
    ("real:{tmp}/inventory.json", "{tmp}/inventory.json is not a device, so no kernel log stands behind it"),
    ("file:{tmp}/absent/log", "{tmp}/absent/log can not be written: No such file or directory"),
    ("file:{tmp}", "{tmp} can not be written: Is a directory"),
]


@pytest.mark.parametrize(("kernel_log", "reason"), UNUSABLE)
def test_a_kernel_log_that_can_not_be_used_is_said_at_start_and_refuses_injections(
    node: NodeProgram, kernel_log: str, reason: str
) -> None:
    reason = reason.format(tmp=node.folder)
    node.argv[-1] = kernel_log.format(tmp=node.folder)
    node.start()
    assert node.printed().splitlines()[0] == f"kernel log not usable: {reason}; injections will be refused"
    kind, _, path = node.argv[-1].partition(":")
    state = node.get("/readyz")
    assert (state.status_code, state.json()) == (
        503,
        {
            "ready": False,
            "kernel_log": {"kind": kind, "path": path, "writable": False, "reason": reason},
            "damaged": [],
            "cuda": {"path": str(node.folder / "cuda"), "usable": True, "reason": None},
        },
    )
    refused = node.inject(79, key="a")
    assert (refused.status_code, refused.json()["error"]) == (
        503,
        {"code": "kernel_log_not_writable", "message": f"{reason}.", "node": "gpu-1"},
    )
    assert node.fault("gpu-1~a")["error"]["code"] == "fault_not_found"
    assert not (node.folder / "absent").exists()


def test_what_can_not_be_started_says_why_in_one_sentence(node: NodeProgram) -> None:
    folder = node.folder
    (folder / "empty").write_text("\n")
    cases = {
        ("--token-file", f"{folder}/empty"): f"The token file {folder}/empty is empty.",
        ("--tls-cert", f"{folder}/empty"): "--tls-cert and --tls-key go together.",
        ("--inventory", f"{folder}/no"): f"The inventory {folder}/no can not be read: No such file or directory.",
        ("--boot-id-file", f"{folder}/no"): f"The boot id file {folder}/no can not be read: No such file or directory.",
        ("--kernel-log", "syslog"): "--kernel-log takes `real` or `file:PATH`, not 'syslog'.",
        ("--node", "Gpu_1"): "--node takes a name as Kubernetes gives to nodes, not 'Gpu_1'.",
        ("--listen", "8091"): "--listen takes HOST:PORT, not '8091'.",
    }
    for extra, sentence in cases.items():
        assert node.refuses_to_start(*extra) == f"fault-agent: {sentence}\n"


def test_an_inventory_that_is_not_valid_says_where(node: NodeProgram) -> None:
    path = node.folder / "inventory.json"
    path.write_text('{"gpus": [{"index": 0, "minor": 0, "uuid": "GPU-1", "pci": "17:00"}]}')
    assert node.refuses_to_start() == (
        f"fault-agent: The inventory {path} is not valid: '17:00' is not a PCI address like 0000:17:00.\n"
    )
    path.write_text('{"gpus": [{"index": 0, "minor": 0, "uuid": "GPU-1"}]}')
    assert node.refuses_to_start() == f"fault-agent: The inventory {path} is not valid: gpus.0.pci: Field required.\n"


def test_a_port_in_use_is_refused(node: NodeProgram) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = node.refuses_to_start("--listen", f"127.0.0.1:{port}")
    assert said.startswith(f"fault-agent: 127.0.0.1:{port} can not be listened on: [Errno 98] Address already in use")


def test_metrics_count_faults_by_status(node: NodeProgram) -> None:
    node.start()
    node.inject(79, key="a")
    node.inject(79, key="b", gpu_id=1)
    node.recover("gpu-1~a")
    assert node.get("/metrics").text == (
        "# TYPE fault_agent_faults gauge\n"
        'fault_agent_faults{status="active"} 1\n'
        'fault_agent_faults{status="recovered"} 1\n'
        "# TYPE fault_agent_kernel_log_writable gauge\n"
        "fault_agent_kernel_log_writable 1\n"
        "# TYPE fault_agent_audit_lines_lost_total counter\n"
        "fault_agent_audit_lines_lost_total 0\n"
    )


def test_output_that_nobody_reads_does_not_hang_the_agent(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading), os.fdopen(writing, "w") as stream:
        audit = Audit(FakeClock(), tmp_path, stream)
        for _ in range(3000):
            audit.note("inject xid 79", "gpu-1~a", "active")
        assert 0 < audit.lost < 3000
    kept = sum(path.read_text().count("\n") for path in tmp_path.glob("audit*.ndjson"))
    assert kept == 3000


def test_an_audit_file_never_grows_beyond_its_bound(tmp_path: Path) -> None:
    with (tmp_path / "stdout").open("w") as stream:
        audit = Audit(FakeClock(), tmp_path, stream)
        for _ in range(5000):
            audit.note("recover", "gpu-1~a", "x" * 1000)
    sizes = [path.stat().st_size for path in tmp_path.glob("audit*.ndjson")]
    assert len(sizes) == 2
    assert max(sizes) < MAX_BYTES + 1000


def test_more_requests_at_once_than_allowed_are_turned_away() -> None:
    answered: list[int] = []

    async def hangs(_scope: object, _receive: object, _send: object) -> None:
        await asyncio.sleep(3600)

    async def send(message: MutableMapping[str, Any]) -> None:
        if "status" in message:
            answered.append(message["status"])

    async def receive() -> MutableMapping[str, Any]:
        return {}

    async def crowd() -> None:
        guard = Guard(hangs, "gpu-1", None)
        scope = {"type": "http", "path": "/health", "headers": [(b"host", b"127.0.0.1")]}
        waiting = [asyncio.create_task(guard(scope, receive, send)) for _ in range(MAX_AT_ONCE)]
        await asyncio.sleep(0)
        await guard(scope, receive, send)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(crowd())
    assert answered == [429]
