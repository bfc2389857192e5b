"""The few calls of the Kubernetes API that the stand-in needs, in raw JSON."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol
from urllib.parse import urlencode

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


class KubernetesApi:
    """The API server that a kubeconfig names, through the official client's configuration and connection pool."""

    def __init__(self, kubeconfig: str) -> None:
        from kubernetes.config import new_client_from_config

        client = new_client_from_config(kubeconfig)  # type: ignore[no-untyped-call]
        self._pool = client.rest_client.pool_manager
        self._host: str = client.configuration.host
        auth = client.configuration.auth_settings().values()
        self._headers: dict[str, str] = {one["key"]: one["value"] for one in auth if one["in"] == "header"}

    def get(self, path: str) -> Json | None:
        try:
            return self._call("GET", path)
        except ApiTrouble as trouble:
            if trouble.status == 404:  # noqa: PLR2004
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

    def _call(self, method: str, path: str, body: Json | None = None, kind: str = "application/json") -> Json:
        from urllib3.exceptions import HTTPError

        data = None if body is None else json.dumps(body).encode()
        headers = {**self._headers, "content-type": kind, "accept": "application/json"}
        try:
            reply = self._pool.request(
                method, self._host + path, body=data, headers=headers, timeout=_CALL_SECONDS, retries=False
            )
        except HTTPError as error:
            raise ApiTrouble(0, f"{method} {path}: {error}") from error
        if reply.status >= 400:  # noqa: PLR2004
            raise ApiTrouble(reply.status, f"{method} {path}: {reply.status} {_reason(reply.data)}")
        answer: Json = json.loads(reply.data)
        return answer

    def watch_nodes(self, connected: Callable[[], None], changed: Callable[[], None], stop: threading.Event) -> None:
        """Call `changed` for each change of a node until `stop` is set, and `connected` whenever a watch begins."""
        while not stop.is_set():
            try:
                for _ in self._node_changes(connected):
                    changed()
            except (ApiTrouble, OSError, ValueError):
                stop.wait(_RETRY_SECONDS)
            changed()  # something may have happened between two watches

    def _node_changes(self, connected: Callable[[], None]) -> Iterator[bytes]:
        from urllib3.exceptions import HTTPError
        from urllib3.util import Timeout

        version = self._call("GET", "/api/v1/nodes")["metadata"]["resourceVersion"]
        query = urlencode({"watch": "true", "resourceVersion": version, "timeoutSeconds": _WATCH_SECONDS})
        timeout = Timeout(connect=_CALL_SECONDS, read=_WATCH_SECONDS + _CALL_SECONDS)
        try:
            reply = self._pool.request(
                "GET", f"{self._host}/api/v1/nodes?{query}", headers=self._headers, timeout=timeout,
                preload_content=False, retries=False,
            )  # fmt: skip
            connected()
            yield from reply
            reply.release_conn()
        except HTTPError as error:
            raise ApiTrouble(0, f"watch of nodes: {error}") from error


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")
