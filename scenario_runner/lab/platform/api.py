"""The few calls of the Kubernetes API that the stand-in needs, in raw JSON."""

import http.client
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

from scenario_runner.lab.platform.access import read_access

Json = dict[str, Any]

_CALL_SECONDS = 5.0
_WATCH_SECONDS = 240
_RETRY_SECONDS = 0.5


class ApiTrouble(Exception):
    """The API server refused (`status` says why) or could not be reached (`status` 0)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Api(Protocol):
    """Paths are those of the API server, e.g. /api/v1/nodes/gpu-1. Every method raises ApiTrouble."""

    def get(self, path: str) -> Json | None:
        """The object, or None if there is none."""

    def select(self, path: str, query: Mapping[str, str]) -> list[Json]:
        """The items of a list."""

    def create(self, path: str, body: Json) -> Json: ...

    def patch(self, path: str, body: Json, *, strategic: bool = False) -> Json:
        """A merge patch, or a strategic one (which merges conditions by type)."""


class LabApi:
    """
    The API server that a kubeconfig names: a lab's by plain HTTP, a cluster's by TLS, both with a bearer token.

    Not the official client, which would make this small process three times as large. A connection lives for one call:
    on the loopback device that costs nothing, and no call meets a connection that the server has just closed.
    """

    def __init__(self, kubeconfig: Path) -> None:
        """Raises OSError, ValueError or KeyError."""
        self._access = read_access(kubeconfig)

    def get(self, path: str) -> Json | None:
        try:
            return self._call("GET", path)
        except ApiTrouble as trouble:
            if trouble.status == http.HTTPStatus.NOT_FOUND:
                return None
            raise

    def select(self, path: str, query: Mapping[str, str]) -> list[Json]:
        items: list[Json] = self._call("GET", f"{path}?{urlencode(query)}")["items"]
        return items

    def create(self, path: str, body: Json) -> Json:
        return self._call("POST", path, body)

    def patch(self, path: str, body: Json, *, strategic: bool = False) -> Json:
        kind = "strategic-merge-patch" if strategic else "merge-patch"
        return self._call("PATCH", path, body, f"application/{kind}+json")

    def watch_nodes(self, connected: Callable[[], None], changed: Callable[[], None], stop: threading.Event) -> None:
        """Call `changed` for each change of a node until `stop` is set, and `connected` whenever a watch begins."""
        while not stop.is_set():
            try:
                for _ in self._node_changes(connected):
                    changed()
            except ApiTrouble:
                stop.wait(_RETRY_SECONDS)
            changed()  # something may have happened between two watches

    def _node_changes(self, connected: Callable[[], None]) -> Iterator[bytes]:
        version = self._call("GET", "/api/v1/nodes")["metadata"]["resourceVersion"]
        query = urlencode({"watch": "true", "resourceVersion": version, "timeoutSeconds": _WATCH_SECONDS})
        path = f"/api/v1/nodes?{query}"
        with closing(self._access.connection(_WATCH_SECONDS + _CALL_SECONDS)) as connection:
            try:
                connection.request("GET", path, headers=self._access.headers())
                reply = connection.getresponse()
                _raise_if_refused("GET", path, reply)
                connected()
                yield from iter(reply.readline, b"")
            except (OSError, http.client.HTTPException) as error:
                raise _unreachable("GET", path, error) from error

    def _call(self, method: str, path: str, body: Json | None = None, kind: str = "application/json") -> Json:
        data = None if body is None else json.dumps(body).encode()
        with closing(self._access.connection(_CALL_SECONDS)) as connection:
            try:
                connection.request(method, path, data, {**self._access.headers(), "content-type": kind})
                reply = connection.getresponse()
                _raise_if_refused(method, path, reply)
                answer: Json = json.loads(reply.read())
            except (OSError, ValueError, http.client.HTTPException) as error:
                raise _unreachable(method, path, error) from error
        return answer


def _raise_if_refused(method: str, path: str, reply: http.client.HTTPResponse) -> None:
    if reply.status >= http.HTTPStatus.BAD_REQUEST:
        raise ApiTrouble(reply.status, f"{method} {path}: {reply.status} {_reason(reply.read())}")


def _unreachable(method: str, path: str, error: Exception) -> ApiTrouble:
    return ApiTrouble(0, f"{method} {path}: {error or type(error).__name__}")


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")
