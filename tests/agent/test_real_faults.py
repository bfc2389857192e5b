"""A GPU that is really broken is never declared healthy, and a repair that runs is not disturbed."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.agent.world import NodeProgram

REAL = "NVRM: Xid (PCI:4001:17:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."
LINES = [
    REAL,
    "NVRM: Xid (PCI:4001:17:00 GPU-I:05): 48, pid=7, name=python, channel 0x00000002",
    "NVRM: Xid (4001:17:00): 63, Row Remapper: New row (0x1) marked for remapping, reset gpu to activate.",
    "NVRM: GPU 4001:17:00.0: GPU has fallen off the bus.",
    "kernel: NVRM: Xid (PCI:4001:17:00): 13, somebody-else~fault",
]


@pytest.mark.parametrize("line", LINES)
def test_a_real_fault_of_the_gpu_blocks_the_acknowledgement(node: NodeProgram, line: str) -> None:
    node.start()
    node.inject(94, key="a")
    node.add_kernel_line(line)
    refused = node.recover("gpu-1~a")
    assert refused.status_code == 409
    assert refused.json()["error"] == {
        "code": "real_fault_seen",
        "message": f"gpu-1~a was not acknowledged: a real fault of the GPU is in the kernel log: {line.rstrip('.')}.",
        "node": "gpu-1",
    }
    assert node.fault("gpu-1~a")["status"] == "blocked"
    assert len(node.kernel_lines()) == 2


def test_a_block_stays_across_restarts_and_ends_with_a_reboot(node: NodeProgram) -> None:
    node.start()
    node.inject(94, key="a")
    node.add_kernel_line(REAL)
    node.recover("gpu-1~a")
    node.kill()
    node.start()
    assert node.recover("gpu-1~a").json()["error"]["code"] == "real_fault_seen"
    renewed = node.post("/api/v1/faults/gpu-1~a/renew", json={"ttl": 60}).json()
    assert renewed["state"] == "recovered"
    assert [f["status"] for f in node.get("/api/v1/faults?active_only=true").json()["faults"]] == ["blocked"]
    node.reboot("boot-2")
    assert node.recover("gpu-1~a").json()["status"] == "rebooted"


def test_a_fault_that_expires_is_not_acknowledged_over_a_real_one_either(node: NodeProgram) -> None:
    node.start()
    node.inject(94, key="a", duration=0.3)
    node.add_kernel_line(REAL)
    assert REAL.rstrip(".") in node.until_fault("gpu-1~a", "blocked")["end_reason"]
    assert len(node.kernel_lines()) == 2


def test_a_real_fault_before_the_injection_or_of_another_gpu_does_not_block(node: NodeProgram) -> None:
    node.start()
    node.add_kernel_line(REAL)
    node.inject(94, key="a")
    node.add_kernel_line(REAL.replace("17:00", "18:00"))
    node.add_kernel_line(REAL.replace("4001", "14001"))
    assert node.recover("gpu-1~a").json()["status"] == "recovered"


def test_a_real_fault_counts_from_the_first_fault_of_the_gpu_that_was_not_acknowledged(node: NodeProgram) -> None:
    node.start()
    node.inject(94, key="first")
    node.add_kernel_line(REAL)
    node.inject(94, key="second")
    assert node.recover("gpu-1~first").json()["status"] == "recovered"
    assert node.recover("gpu-1~second").json()["error"]["code"] == "real_fault_seen"


@dataclass
class Cluster:
    """Answers for the Node object with the platform's state label."""

    state: str | None = None
    broken: bool = False
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def answer(self, path: str, token: str | None) -> tuple[int, bytes]:
        self.asked.append((path, token))
        labels = {"dgxc.nvidia.com/nvsentinel-state": self.state} if self.state else {}
        return (500, b"") if self.broken else (200, json.dumps({"metadata": {"labels": labels}}).encode())


@pytest.fixture
def cluster() -> Iterator[tuple[Cluster, str]]:
    state = Cluster()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = state.answer(self.path, self.headers["Authorization"])
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the overridden method
            return

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.05,))
    thread.start()
    yield state, f"http://127.0.0.1:{httpd.server_address[1]}"
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def test_the_acknowledgement_waits_until_the_platform_has_repaired(
    node: NodeProgram, cluster: tuple[Cluster, str]
) -> None:
    state, url = cluster
    (node.folder / "token").write_text("cluster-token\n")
    node.start("--kube-api", url, "--kube-token-file", str(node.folder / "token"))
    node.inject(119, key="a")
    state.state = "remediating"
    waiting = node.recover("gpu-1~a")
    assert (waiting.status_code, waiting.json()["status"]) == (200, "recovering")
    assert waiting.json()["acknowledgement"] is None
    assert len(node.kernel_lines()) == 1
    assert node.post("/api/v1/faults/gpu-1~a/renew", json={"ttl": 9}).json()["state"] == "recovered"
    state.state = "remediation-succeeded"
    assert node.until_fault("gpu-1~a", "recovered")["acknowledgement"]["sequence"] == 1
    assert state.asked[0] == ("/api/v1/nodes/gpu-1", "Bearer cluster-token")


def test_a_cluster_that_does_not_answer_is_waited_for_too(node: NodeProgram, cluster: tuple[Cluster, str]) -> None:
    state, url = cluster
    node.start("--kube-api", url)
    node.inject(119, key="a")
    state.broken = True
    assert node.recover("gpu-1~a").json()["status"] == "recovering"
    state.broken = False
    node.until_fault("gpu-1~a", "recovered")


def test_a_reboot_during_the_repair_ends_the_wait_without_an_acknowledgement(
    node: NodeProgram, cluster: tuple[Cluster, str]
) -> None:
    state, url = cluster
    node.start("--kube-api", url)
    node.inject(79, key="a")
    state.state = "remediating"
    node.recover("gpu-1~a")
    node.reboot("boot-2")
    node.until_fault("gpu-1~a", "rebooted")
    assert len(node.kernel_lines()) == 1
