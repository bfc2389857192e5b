"""The fault agents over HTTP, behind their gateway; the only module that knows their routes."""

import ssl
from collections.abc import Callable
from typing import Any, TypeVar

from scenario_runner.adapters.agent_records import cuda_hits, fault_list, fault_record, gpu_seats, renewed
from scenario_runner.adapters.http_library import httpx
from scenario_runner.adapters.system_words import without_number
from scenario_runner.core.cuda import CudaHits
from scenario_runner.core.faults import FaultList, FaultRecord, GpuSeat
from scenario_runner.core.ports import Arming, Injection
from scenario_runner.errors import TargetRefused, TargetUnreachable

T = TypeVar("T")

_LONGEST = 5.0  # seconds that any request may take
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.InvalidURL,
)
# What httpx raises; StreamError and CookieConflict never happen here, but a promise is a promise.
_HTTPX_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, httpx.CookieConflict)
_NODE_DID_NOT_ANSWER = frozenset({502, 504})


class HttpAgent:
    """
    Implements `core.ports.Agent`.

    Every request is safe to send twice (an injection by its Idempotency-Key), so one whose connection breaks is sent
    once more. One that times out is not: the caller knows better how long it wants to wait.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        *,
        timeout: float = _LONGEST,
        transport: httpx.BaseTransport | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`tls` says whom to trust for https; the authorities of this machine if left out."""
        self._url = url.rstrip("/")
        self._timeout = min(timeout, _LONGEST)
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=self._timeout,
            trust_env=False,  # a proxy of the environment has no business between us and the agents
            transport=transport,
            verify=True if tls is None else tls,
        )

    def close(self) -> None:
        self._http.close()

    def gpus(self, node: str) -> tuple[GpuSeat, ...]:
        request = self._http.build_request("GET", f"{self._url}/api/v1/gpus", params={"node_name": node})
        return self._ask(f"list the GPUs of {node}", request, gpu_seats)

    def faults(self) -> FaultList:
        return self._ask("list the faults", self._http.build_request("GET", f"{self._url}/api/v1/faults"), fault_list)

    def fault(self, fault_id: str) -> FaultRecord | None:
        request = self._http.build_request("GET", f"{self._url}/api/v1/faults/{fault_id}")
        try:
            return self._ask(f"show fault {fault_id}", request, fault_record)
        except TargetRefused as refusal:
            if refusal.code == "fault_not_found":
                return None
            raise

    def inject(self, injection: Injection) -> FaultRecord:
        body = {
            "node_name": injection.node,
            "gpu_id": injection.gpu,
            "duration": injection.duration,
            "message": injection.message,
            "ttl": injection.ttl,
            "max_lifetime": injection.max_lifetime,
            "run": injection.run,
        }
        route = f"{self._url}/api/v1/faults/gpu/inject/xid-{injection.xid}"
        request = self._http.build_request("POST", route, json=body, headers={"Idempotency-Key": injection.name})
        return self._ask(f"inject XID {injection.xid} on {injection.node}", request, fault_record)

    def arm(self, arming: Arming) -> FaultRecord:
        body = {
            "node_name": arming.node,
            "gpu_id": arming.gpu,
            **_wanted(arming),
            "override": dict(arming.override) or None,
            "duration": arming.duration,
            "ttl": arming.ttl,
            "max_lifetime": arming.max_lifetime,
            "run": arming.run,
        }
        route = f"{self._url}/api/v1/cuda/arm"
        request = self._http.build_request("POST", route, json=body, headers={"Idempotency-Key": arming.name})
        return self._ask(f"arm CUDA faults on {arming.node}", request, fault_record)

    def cuda_hits(self, fault_id: str) -> CudaHits:
        route = f"{self._url}/api/v1/cuda/hits"
        request = self._http.build_request("GET", route, params={"fault_id": fault_id})
        return self._ask(f"ask what {fault_id} has hit", request, lambda answer: cuda_hits(answer, fault_id))

    def recover(self, fault_id: str) -> FaultRecord:
        name = fault_id.partition("~")[2]
        route = f"{self._url}/api/v1/faults/{fault_id}/recover"
        request = self._http.build_request("POST", route, headers={"Idempotency-Key": name})
        return self._ask(f"recover fault {fault_id}", request, fault_record)

    def renew(self, fault_id: str, ttl: float) -> FaultRecord:
        request = self._http.build_request("POST", f"{self._url}/api/v1/faults/{fault_id}/renew", json={"ttl": ttl})
        return self._ask(f"renew fault {fault_id}", request, renewed)

    def _ask(self, what: str, request: httpx.Request, parse: Callable[[Any], T]) -> T:
        """Send, judge the status and parse the body; `what` says in a few words what is asked ("list the faults")."""
        response = self._send(what, request)
        if not response.is_success:
            raise self._refusal(what, response)
        try:
            return parse(response.json())
        except (ValueError, KeyError, TypeError, AttributeError) as odd:
            raise TargetUnreachable(
                f"what answers at {self._url} is not a fault agent: {response.text[:100]!r}", sent=True
            ) from odd

    def _send(self, what: str, request: httpx.Request) -> httpx.Response:
        try:
            try:
                return self._http.send(request)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                return self._http.send(request)
        except _HTTPX_ERRORS as error:
            raise self._unreachable(what, error) from error

    def _unreachable(self, what: str, error: Exception) -> TargetUnreachable:
        gateway, why = f"the fault agents' gateway at {self._url}", without_number(str(error))
        if isinstance(error, _NEVER_SENT):
            return TargetUnreachable(f"cannot {what}: {gateway} is not reachable ({why}); is it running?")
        if isinstance(error, httpx.TimeoutException):
            return TargetUnreachable(f"cannot {what}: {gateway} did not answer within {self._timeout:g}s", sent=True)
        return TargetUnreachable(f"cannot {what}: the connection to {gateway} broke off ({why})", sent=True)

    def _refusal(self, what: str, response: httpx.Response) -> TargetRefused | TargetUnreachable:
        if response.status_code == httpx.codes.UNAUTHORIZED:
            return TargetRefused(
                f"cannot {what}: the fault agents' gateway at {self._url} does not accept our token;"
                " is it the token of this cluster's agents?",
                code="unauthorized",
            )
        try:
            error = response.json()["error"]
            code, message, node = str(error["code"]), str(error["message"]), error.get("node")
        except (ValueError, KeyError, TypeError, AttributeError):
            return self._unreadable(what, response)
        who = f"the fault agent of {node}" if node else f"the fault agents' gateway at {self._url}"
        if response.status_code in _NODE_DID_NOT_ANSWER:
            return TargetUnreachable(f"cannot {what}: {message}", sent=True)
        return TargetRefused(f"cannot {what}: {who} refuses: {message}", code=code)

    def _unreadable(self, what: str, response: httpx.Response) -> TargetRefused | TargetUnreachable:
        text = f"cannot {what}: {self._url} answered {response.status_code}: {response.text[:100]!r}"
        if response.is_server_error:
            return TargetUnreachable(text, sent=True)  # it may have done it before it stumbled
        return TargetRefused(text, code=f"http_{response.status_code}")


def _wanted(arming: Arming) -> dict[str, Any]:
    """The one way in which an order says what shall fail."""
    if arming.rules:
        return {"rules": [dict(rule) for rule in arming.rules]}
    return {"profile": arming.profile} if arming.profile else {"xid": arming.xid}
