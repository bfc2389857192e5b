"""The role `gateway`: one API in front of all nodes, which only routes by the node's name."""

import http.client
import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, urlsplit

from pydantic import TypeAdapter, ValidationError

from fault_agent import __version__, messages
from fault_agent.clock import monotonic
from fault_agent.refusal import CannotStart, Refusal
from fault_agent.service import Answer

READ_SECONDS = 5.0
CHANGE_SECONDS = 15.0


class Roster:
    """Node name -> URL of its agent, from a file that is read again when it changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._urls: dict[str, str] = {}
        try:
            self.urls()
        except Refusal as error:
            raise CannotStart(error.message) from error

    def urls(self) -> dict[str, str]:
        """Raises Refusal 500 if the file is not a valid roster."""
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            if seen != self._seen:
                self._urls = TypeAdapter(dict[str, str]).validate_json(self._path.read_bytes())
                self._seen = seen
        except OSError as error:
            message = f"The roster {self._path} can not be read: {error.strerror}."
            raise Refusal(500, "roster_unreadable", message) from error
        except ValidationError as error:
            message = f"The roster {self._path} is not a JSON map of node names to URLs."
            raise Refusal(500, "roster_unreadable", message) from error
        return self._urls


@dataclass(frozen=True)
class Call:
    """One request to a node; `timeout` in seconds."""

    method: str
    path: str
    timeout: float
    body: messages.Request | None = None
    key: str | None = None


@dataclass(frozen=True)
class NodeClient:
    """Asks the agents of nodes, with the gateway's own token."""

    token: str | None = None
    tls: ssl.SSLContext | None = None

    def ask(self, node: str, url: str, call: Call) -> Answer:
        """The node's answer, whatever its status; raises Refusal 502 if there is none."""
        try:
            status, content = self._exchange(url, call)
            return Answer(status, json.loads(content) if content else None)
        except TimeoutError as error:
            raise _unreachable(node, f"it did not answer within {call.timeout:g} s") from error
        except OSError as error:
            raise _unreachable(node, error.strerror or str(error)) from error
        except (http.client.HTTPException, ValueError) as error:
            raise _unreachable(node, str(error) or type(error).__name__) from error

    def _exchange(self, url: str, call: Call) -> tuple[int, bytes]:
        parts = urlsplit(url)
        if parts.hostname is None:
            raise ValueError(f"{url!r} is not a URL")
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=call.timeout, context=self.tls)
        else:
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=call.timeout)
        try:
            connection.request(call.method, call.path, _body(call), self._headers(call))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

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


def _unreachable(node: str, why: str) -> Refusal:
    return Refusal(502, "node_unreachable", f"The agent of node {node} is unreachable: {why}.", node)


class Gateway:
    """The service of the gateway; implements `Service`.

    `roster` gives node name -> URL of its agent as of now, `allowed` None = every node of the roster.
    """

    def __init__(
        self,
        roster: Callable[[], dict[str, str]],
        client: NodeClient,
        allowed: frozenset[str] | None = None,
    ) -> None:
        self._roster = roster
        self._client = client
        self._allowed = allowed

    def health(self) -> messages.HealthReply:
        return messages.HealthReply(role="gateway", node=None, version=__version__)

    def ready(self) -> messages.GatewayReady:
        answers = self._ask_all(Call("GET", "/readyz", READ_SECONDS))
        nodes = {node: _node_state(node, answer) for node, answer in answers.items()}
        everyone = all(isinstance(state, messages.NodeReady) and state.ready for state in nodes.values())
        return messages.GatewayReady(ready=everyone, nodes=nodes)

    def metrics(self) -> str:
        answers = self._ask_all(Call("GET", "/readyz", READ_SECONDS))
        up = [
            f'fault_agent_node_up{{node="{node}"}} {int(isinstance(answer, Answer))}'
            for node, answer in answers.items()
        ]
        return "\n".join(["# TYPE fault_agent_node_up gauge", *up]) + "\n"

    def gpus(self, node: str | None) -> Answer:
        if node is None:
            raise Refusal(422, "invalid_request", "query.node_name: a gateway has to be told the node.")
        return self._ask(node, Call("GET", f"/api/v1/gpus?node_name={quote(node)}", READ_SECONDS))

    def inject(self, xid: int, request: messages.InjectRequest, key: str | None) -> Answer:
        node = request.node_name
        if self._allowed is not None and node not in self._allowed:
            listed = ", ".join(sorted(self._allowed))
            raise Refusal(403, "node_not_allowed", f"Faults on {node} are not allowed; allowed: {listed}.")
        path = f"/api/v1/faults/gpu/inject/xid-{xid}"
        return self._ask(node, Call("POST", path, CHANGE_SECONDS, request, key))

    def recover(self, fault_id: str, key: str | None) -> Answer:
        return self._ask_about(fault_id, lambda path: Call("POST", f"{path}/recover", CHANGE_SECONDS, key=key))

    def renew(self, fault_id: str, request: messages.RenewRequest) -> Answer:
        return self._ask_about(fault_id, lambda path: Call("POST", f"{path}/renew", READ_SECONDS, request))

    def fault(self, fault_id: str) -> Answer:
        return self._ask_about(fault_id, lambda path: Call("GET", path, READ_SECONDS))

    def faults(self, *, active_only: bool) -> messages.FaultsReply:
        path = f"/api/v1/faults?active_only={str(active_only).lower()}"
        faults: list[messages.FaultReply] = []
        unreachable: list[messages.UnreachableNode] = []
        for node, answer in self._ask_all(Call("GET", path, READ_SECONDS)).items():
            try:
                faults += _listed(node, answer)
            except Refusal as error:
                unreachable.append(messages.UnreachableNode(node=node, reason=error.message))
        return messages.FaultsReply(faults=faults, unreachable=unreachable)

    def _ask_about(self, fault_id: str, call: Callable[[str], Call]) -> Answer:
        node, mark, name = fault_id.partition("~")
        if not (node and mark and name):
            raise Refusal(404, "fault_not_found", f"There is no fault {fault_id}: an id is <node>~<name>.")
        return self._ask(node, call(f"/api/v1/faults/{quote(fault_id, safe='~')}"))

    def _ask(self, node: str, call: Call) -> Answer:
        urls = self._roster()
        if node not in urls:
            known = ", ".join(sorted(urls)) or "none"
            raise Refusal(404, "node_not_found", f"No agent is known for node {node}; known nodes: {known}.", node)
        return _with_name(node, self._client.ask(node, urls[node], call))

    def _ask_all(self, call: Call) -> dict[str, Answer | Refusal]:
        """Every node's answer within the call's timeout; a slow or silent one counts as unreachable.

        One daemon thread per node: a node that hangs delays neither the others nor the end of the process.
        """
        answers: dict[str, Answer | Refusal] = {}
        urls = self._roster()
        threads = [
            threading.Thread(target=self._collect, args=(answers, node, url, call), daemon=True)
            for node, url in urls.items()
        ]
        for thread in threads:
            thread.start()
        deadline = monotonic() + call.timeout
        for thread in threads:
            thread.join(max(0.0, deadline - monotonic()))
        late = f"it did not answer within {call.timeout:g} s"
        return {node: answers.get(node) or _unreachable(node, late) for node in sorted(urls)}

    def _collect(self, answers: dict[str, Answer | Refusal], node: str, url: str, call: Call) -> None:
        try:
            answers[node] = self._client.ask(node, url, call)
        except Refusal as error:
            answers[node] = error


def _with_name(node: str, answer: Answer) -> Answer:
    """An error always says which node it came from."""
    match answer.body:
        case {"error": {"node": None, **problem}}:
            return Answer(answer.status, {"error": {**problem, "node": node}})
    return answer


def _listed(node: str, answer: Answer | Refusal) -> list[messages.FaultReply]:
    if isinstance(answer, Refusal):
        raise answer
    if answer.status != HTTPStatus.OK:
        raise _unreachable(node, f"it answered {answer.status}: {json.dumps(answer.body)[:300]}")
    try:
        return messages.FaultsReply.model_validate(answer.body).faults
    except ValidationError as error:
        raise _unreachable(node, "its answer is not a list of faults") from error


def _node_state(node: str, answer: Answer | Refusal) -> messages.NodeReady | messages.UnreachableNode:
    if isinstance(answer, Refusal):
        return messages.UnreachableNode(node=node, reason=answer.message)
    try:
        return messages.NodeReady.model_validate(answer.body)
    except ValidationError:
        return messages.UnreachableNode(node=node, reason=f"it answered {answer.status} to /readyz")
