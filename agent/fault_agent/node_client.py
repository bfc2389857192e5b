"""Asks the agent of one node over HTTP, as the gateway does."""

import http.client
import json
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from fault_agent.refusal import Refusal
from fault_agent.roster import Missing
from fault_agent.service import Answer
from fault_agent.shapes import Request
from fault_agent.tls import trusting


@dataclass(frozen=True)
class Call:
    """One request to a node; `timeout` in seconds."""

    method: str
    path: str
    timeout: float
    body: Request | None = None
    key: str | None = None


class _Named(http.client.HTTPSConnection):
    """Expects `name` in the certificate, whatever address it connects to: a pod's address is in no certificate."""

    def __init__(self, host: str, port: int | None, name: str, timeout: float, tls: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=timeout, context=tls)
        self._name = name
        self._tls = tls

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock: socket.socket = self._tls.wrap_socket(self.sock, server_hostname=self._name)


@dataclass(frozen=True)
class NodeClient:
    """Asks the agents of nodes, with the gateway's own token.

    `tls_name` is the name that every node's certificate carries; None = the host of its URL.
    """

    token: str | None = None
    tls: ssl.SSLContext | None = None
    tls_name: str | None = None

    def ask(self, node: str, url: str | Missing, call: Call) -> Answer:
        """The node's answer, whatever its status; raises Refusal 502 if there is none."""
        if isinstance(url, Missing):
            raise no_answer(node, url.why)
        try:
            status, content = self._exchange(url, call)
            return Answer(status, json.loads(content) if content else None)
        except TimeoutError as error:
            raise no_answer(node, f"it did not answer within {call.timeout:g} s") from error
        except OSError as error:
            raise no_answer(node, _in_words(error)) from error
        except (http.client.HTTPException, ValueError) as error:
            raise no_answer(node, str(error) or type(error).__name__) from error

    def _exchange(self, url: str, call: Call) -> tuple[int, bytes]:
        parts = urlsplit(url)
        if parts.hostname is None:
            raise ValueError(f"{url!r} is not a URL")
        connection = self._connection(parts.scheme, parts.hostname, parts.port, call.timeout)
        try:
            connection.request(call.method, call.path, _body(call), self._headers(call))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def _connection(self, scheme: str, host: str, port: int | None, timeout: float) -> http.client.HTTPConnection:
        if scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=timeout)
        if scheme != "https":
            raise ValueError(f"{scheme!r} is neither http nor https")
        return _Named(host, port, self.tls_name or host, timeout, self.tls or trusting(None))

    def _headers(self, call: Call) -> dict[str, str]:
        headers = {"Connection": "close"}
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        if call.key is not None:
            headers["Idempotency-Key"] = call.key
        return headers


def _body(call: Call) -> bytes | None:
    return None if call.body is None else call.body.model_dump_json(exclude_unset=True).encode()


def _in_words(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted ({error.verify_message.rstrip('.')})"
    return error.strerror or str(error)


def no_answer(node: str, why: str) -> Refusal:
    return Refusal(502, "node_unreachable", f"The agent of node {node} is unreachable: {why}.", node)


def url_of(scheme: str, address: str, port: int) -> str:
    """`http://10.0.0.1:8091`, with brackets around an IPv6 address."""
    return f"{scheme}://[{address}]:{port}" if ":" in address else f"{scheme}://{address}:{port}"
