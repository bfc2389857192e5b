"""The role `gateway`: one API in front of all nodes, which only routes by the node's name."""

import json
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import quote, urlencode

from pydantic import ValidationError

from fault_agent import __version__, messages
from fault_agent.clock import monotonic
from fault_agent.cuda_messages import ArmRequest, DisarmRequest, HitsReply, NodeHits, ProfileReply, profile_reply
from fault_agent.cuda_profiles import cuda_profiles
from fault_agent.node_client import Call, NodeClient, no_answer
from fault_agent.refusal import Refusal
from fault_agent.roster import Missing, Roster
from fault_agent.service import Answer
from fault_agent.shapes import Message, UnreachableNode

Reply = TypeVar("Reply", bound=Message)

READ_SECONDS = 5.0
CHANGE_SECONDS = 15.0


class Gateway:
    """The service of the gateway; implements `Service`.

    `allowed` None = every node of the roster.
    """

    def __init__(
        self,
        roster: Roster,
        client: NodeClient,
        allowed: frozenset[str] | None = None,
    ) -> None:
        self._roster = roster
        self._client = client
        self._allowed = allowed

    def health(self) -> messages.HealthReply:
        return messages.HealthReply(role="gateway", node=None, version=__version__)

    def ready(self) -> messages.GatewayReady:
        why_stale = self._roster.why_stale()
        try:
            answers = self._ask_all(Call("GET", "/readyz", READ_SECONDS))
        except Refusal as error:  # the nodes are not known
            answers, why_stale = {}, error.message
        nodes = {node: _node_state(node, answer) for node, answer in answers.items()}
        everyone = all(isinstance(state, messages.NodeReady) and state.ready for state in nodes.values())
        roster = messages.RosterState(source=self._roster.source, reason=why_stale)
        return messages.GatewayReady(ready=everyone and why_stale is None, roster=roster, nodes=nodes)

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
        node = self._allowed_node(request.node_name)
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
        unreachable: list[UnreachableNode] = []
        for node, answer in self._ask_all(Call("GET", path, READ_SECONDS)).items():
            try:
                faults += _understood(node, answer, messages.FaultsReply).faults
            except Refusal as error:
                unreachable.append(UnreachableNode(node=node, reason=error.message))
        return messages.FaultsReply(faults=faults, unreachable=unreachable)

    def arm(self, request: ArmRequest, key: str | None) -> Answer:
        node = self._allowed_node(request.node_name)
        return self._ask(node, Call("POST", "/api/v1/cuda/arm", CHANGE_SECONDS, request, key))

    def disarm(self, request: DisarmRequest, key: str | None) -> Answer:
        call = Call("POST", "/api/v1/cuda/disarm", CHANGE_SECONDS, request, key)
        return self._ask_about(request.fault_id, lambda _: call)

    def hits(self, node: str | None, fault_id: str | None) -> Answer:
        if fault_id is not None:
            query = urlencode({"fault_id": fault_id} | ({"node_name": node} if node else {}))
            return self._ask_about(fault_id, lambda _: Call("GET", f"/api/v1/cuda/hits?{query}", READ_SECONDS))
        call = Call("GET", "/api/v1/cuda/hits", READ_SECONDS)
        if node is not None:
            return self._ask(node, call)
        nodes: list[NodeHits] = []
        unreachable: list[UnreachableNode] = []
        for name, answer in self._ask_all(call).items():
            try:
                nodes += _understood(name, answer, HitsReply).nodes
            except Refusal as error:
                unreachable.append(UnreachableNode(node=name, reason=error.message))
        return Answer(200, HitsReply(nodes=nodes, unreachable=unreachable))

    def profiles(self) -> list[ProfileReply]:
        return [profile_reply(row) for row in cuda_profiles().rows]

    def _allowed_node(self, node: str) -> str:
        if self._allowed is not None and node not in self._allowed:
            listed = ", ".join(sorted(self._allowed))
            raise Refusal(403, "node_not_allowed", f"Faults on {node} are not allowed; allowed: {listed}.")
        return node

    def _ask_about(self, fault_id: str, call: Callable[[str], Call]) -> Answer:
        node, mark, name = fault_id.partition("~")
        if not (node and mark and name):
            raise Refusal(404, "fault_not_found", f"There is no fault {fault_id}: an id is <node>~<name>.")
        return self._ask(node, call(f"/api/v1/faults/{quote(fault_id, safe='~')}"))

    def _ask(self, node: str, call: Call) -> Answer:
        urls = self._roster.agents()
        if node not in urls:
            known = ", ".join(sorted(urls)) or "none"
            raise Refusal(404, "node_not_found", f"No agent is known for node {node}; known nodes: {known}.", node)
        return _with_name(node, self._client.ask(node, urls[node], call))

    def _ask_all(self, call: Call) -> dict[str, Answer | Refusal]:
        """Every node's answer within the call's timeout; a slow or silent one counts as unreachable.

        One daemon thread per node: a node that hangs delays neither the others nor the end of the process.
        """
        answers: dict[str, Answer | Refusal] = {}
        urls = self._roster.agents()
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
        return {node: answers.get(node) or no_answer(node, late) for node in sorted(urls)}

    def _collect(self, answers: dict[str, Answer | Refusal], node: str, url: str | Missing, call: Call) -> None:
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


def _understood(node: str, answer: Answer | Refusal, shape: type[Reply]) -> Reply:
    """The node's answer as what it has to be; raises Refusal 502 otherwise."""
    if isinstance(answer, Refusal):
        raise answer
    if answer.status != HTTPStatus.OK:
        raise no_answer(node, f"it answered {answer.status}: {json.dumps(answer.body)[:300]}")
    try:
        return shape.model_validate(answer.body)
    except ValidationError as error:
        raise no_answer(node, f"its answer is no {shape.__name__}") from error


def _node_state(node: str, answer: Answer | Refusal) -> messages.NodeReady | UnreachableNode:
    if isinstance(answer, Refusal):
        return UnreachableNode(node=node, reason=answer.message)
    try:
        return messages.NodeReady.model_validate(answer.body)
    except ValidationError:
        return UnreachableNode(node=node, reason=f"it answered {answer.status} to /readyz")
