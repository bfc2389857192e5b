"""A real server process per test session, a namespace of its own per test, and a world in virtual time."""

import itertools
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.lab.apiserver.calls import Calls
from tests.lab.apiserver.world import World

_NUMBERS = itertools.count(1)


@pytest.fixture
def world() -> World:
    """Two nodes with eight GPUs each."""
    world = World()
    world.add_node("gpu-1")
    world.add_node("gpu-2")
    return world


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    command = [sys.executable, "-m", "scenario_runner.lab.apiserver", "--listen", "127.0.0.1:0", "--history", "500"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process.stdout.readline().removeprefix("ready ").strip()
    process.terminate()
    assert process.wait(10) == 0
    process.stdout.close()


@pytest.fixture
def calls(server: str) -> Iterator[Calls]:
    """Calls into a namespace that no other test uses."""
    namespace = f"t{next(_NUMBERS)}"
    with Calls(server, namespace) as calls:
        assert calls.post("/api/v1/namespaces", {"metadata": {"name": namespace}}).status_code == 201
        yield calls
        calls.delete(f"/api/v1/namespaces/{namespace}")


class _Kubelet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if "previous=true" in self.path:
            self._send(400, b"previous terminated container not found")
        else:
            self._send(200, f"log of {self.path}\n".encode())

    def _send(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        pass


@pytest.fixture
def logging_node(calls: Calls) -> Iterator[str]:
    """A node whose kubelet answers with the path it was asked for."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Kubelet) as kubelet:
        thread = threading.Thread(target=kubelet.serve_forever)
        thread.start()
        addresses = [{"type": "InternalIP", "address": "127.0.0.1"}]
        endpoints = {"kubeletEndpoint": {"Port": kubelet.server_port}}
        name = f"node-{calls.namespace}"
        status = {"addresses": addresses, "daemonEndpoints": endpoints}
        calls.post("/api/v1/nodes", {"metadata": {"name": name}, "status": status})
        yield name
        calls.delete(f"/api/v1/nodes/{name}")
        kubelet.shutdown()
        thread.join()
