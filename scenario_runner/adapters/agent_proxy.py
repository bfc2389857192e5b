"""The fault agents' gateway behind the API server's proxy, as a transport of the HTTP client."""

import json

from scenario_runner.adapters.http_library import httpx
from scenario_runner.adapters.kubernetes_errors import NoAnswer
from scenario_runner.adapters.kubernetes_rest import Call, KubernetesRest
from scenario_runner.adapters.service_ways import proxy_path
from scenario_runner.errors import TargetUnreachable

_NOBODY_THERE = "no endpoints available"


class ApiServerTransport(httpx.BaseTransport):
    """
    Sends each request to one Service through the API server.

    The API server takes `Authorization` for itself, so the agents' token travels in a header of its own. It does not
    verify the certificate of what it passes requests on to; who may put pods behind the Service could read the token.
    """

    def __init__(self, rest: KubernetesRest, service: str, scheme: str, port: int | str) -> None:
        self._rest = rest
        self._root = proxy_path(service, scheme, port)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        own = {"host", "authorization", "connection", "content-length", "accept-encoding", "user-agent"}
        headers = {name: value for name, value in request.headers.items() if name not in own}
        headers |= {"X-Fault-Agent-Token": request.headers.get("authorization", "").removeprefix("Bearer ")}
        path = self._root + request.url.raw_path.decode("ascii")
        call = Call(request.method, path, body=request.read() or None, headers=headers)
        timeout = float((request.extensions.get("timeout") or {}).get("read") or 5.0)
        try:
            status, answered, body = self._rest.raw(call, timeout=timeout)
        except NoAnswer as trouble:
            kind = httpx.ReadError if trouble.sent else httpx.ConnectError
            raise kind(str(trouble), request=request) from trouble
        except TargetUnreachable as trouble:  # we can not log in
            raise httpx.ConnectError(str(trouble), request=request) from trouble
        self._refuse_the_servers_own_answer(request, status, body)
        return httpx.Response(status, headers={"Content-Type": answered.get("Content-Type", "")}, content=body)

    @staticmethod
    def _refuse_the_servers_own_answer(request: httpx.Request, status: int, body: bytes) -> None:
        """A Status object is the API server's own: then it is not the gateway that answered."""
        if status < httpx.codes.BAD_REQUEST:
            return
        try:
            answer = json.loads(body)
            own = answer.get("kind") == "Status" and answer.get("apiVersion") == "v1"
        except (ValueError, AttributeError):
            return
        if not own:
            return
        text = f"the API server says: {answer.get('message')}"
        surely_not_sent = status < httpx.codes.INTERNAL_SERVER_ERROR or _NOBODY_THERE in text
        raise (httpx.ConnectError if surely_not_sent else httpx.ReadError)(text, request=request)
