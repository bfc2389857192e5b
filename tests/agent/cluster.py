"""A real Kubernetes API server for the agent's tests, the lab's, reachable over TLS as a cluster's is."""

import os
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from tests.agent.certificates import Authority
from tests.agent.world import ROOT

TOKEN = "cluster-token"
PODS = "/api/v1/namespaces/drills/pods"
LABEL = "app.kubernetes.io/name"


class TlsProxy:
    """Ends TLS on a port of its own and passes bytes on to `upstream`; `close` also cuts what is open."""

    def __init__(self, authority: Authority, upstream: tuple[str, int]) -> None:
        self._upstream = upstream
        pair = authority.pair("IP:127.0.0.1")
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(pair.cert, pair.key)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Break every connection; new ones are still taken."""
        for sock in self._open:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        self._thread.join(10)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                plain, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with (
            plain,
            suppress(OSError),
            self._tls.wrap_socket(plain, server_side=True) as client,
            socket.create_connection(self._upstream) as server,
        ):
            self._open += [client, server]
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            _pump(client, server)
            back.join(10)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(65536):
            sink.sendall(chunk)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)


class Cluster:
    """The API server process, its TLS door, and the folder that a pod's service account would have."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.account = folder / "serviceaccount"
        self.account.mkdir(parents=True)
        (self.account / "token").write_text(TOKEN)
        (self.account / "namespace").write_text("drills")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "scenario_runner.lab.apiserver", "--token-file", str(self.account / "token")],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert self._process.stdout is not None
        url = self._process.stdout.readline().removeprefix("ready ").strip()
        self.http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=20)
        authority = Authority(folder / "cluster")
        (self.account / "ca.crt").write_bytes(authority.cert.read_bytes())
        host, _, port = url.removeprefix("http://").partition(":")
        self.door = TlsProxy(authority, (host, int(port)))
        self.create("/api/v1/namespaces", {"kind": "Namespace", "metadata": {"name": "drills"}})

    @property
    def environment(self) -> dict[str, str]:
        """What a pod's environment says about its cluster."""
        return {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self.door.port)}

    def options(self) -> list[str]:
        """The same as options of the agent."""
        account = self.account
        url = f"https://127.0.0.1:{self.door.port}"
        return ["--kube-api", url, "--kube-token-file", str(account / "token"), "--kube-ca", str(account / "ca.crt")]

    def close(self) -> None:
        self.door.close()
        self.http.close()
        self._process.terminate()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def create(self, path: str, body: dict[str, Any]) -> None:
        self.http.post(path, json={"apiVersion": "v1", **body}).raise_for_status()

    def add_node(self, name: str, **labels: str) -> None:
        self.create("/api/v1/nodes", {"kind": "Node", "metadata": {"name": name, "labels": labels}})

    def add_agent(self, name: str, node: str, address: str | None, app: str = "agent") -> None:
        """A pod of the agents' DaemonSet, as its kubelet reports it; without an address it is still pending."""
        spec = {"nodeName": node, "containers": [{"name": "agent", "image": "agent"}]}
        meta = {"name": name, "labels": {LABEL: app}}
        self.create(PODS, {"kind": "Pod", "metadata": meta, "spec": spec})
        if address is not None:
            self.report(name, {"phase": "Running", "podIP": address})

    def report(self, name: str, status: dict[str, Any]) -> None:
        headers = {"Content-Type": "application/merge-patch+json"}
        answer = self.http.patch(f"{PODS}/{name}/status", json={"status": status}, headers=headers)
        answer.raise_for_status()

    def remove_agent(self, name: str) -> None:
        self.http.request("DELETE", f"{PODS}/{name}", json={"gracePeriodSeconds": 0}).raise_for_status()
