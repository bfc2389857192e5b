"""HTTP calls to a Kubernetes API server, as short as tests want them."""

import json
from collections.abc import Callable
from types import TracebackType
from typing import Any

import httpx

Json = dict[str, Any]
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"


class Calls:
    """Calls to one server; `core` and `apps` are the paths of its namespace."""

    def __init__(self, url: str, namespace: str, token: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.Client(base_url=url, timeout=20, trust_env=False, headers=headers)
        self.url, self.namespace = url, namespace
        self.core = f"/api/v1/namespaces/{namespace}"
        self.apps = f"/apis/apps/v1/namespaces/{namespace}"

    def __enter__(self) -> "Calls":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self._client.get(path, headers=headers)

    def json(self, path: str) -> Json:
        response = self.get(path)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def post(self, path: str, body: Json) -> httpx.Response:
        return self._client.post(path, json=body)

    def put(self, path: str, body: Json) -> httpx.Response:
        return self._client.put(path, json=body)

    def patch(self, path: str, body: Any, media_type: str = MERGE) -> httpx.Response:
        return self._client.patch(path, content=json.dumps(body), headers={"Content-Type": media_type})

    def delete(self, path: str, body: Json | None = None) -> httpx.Response:
        return self._client.request("DELETE", path, json=body)

    def send(self, path: str, content: bytes, media_type: str) -> httpx.Response:
        return self._client.post(path, content=content, headers={"Content-Type": media_type})

    def watch(self, path: str, act: Callable[[], object], count: int) -> list[Json]:
        """Open a watch, act, and return the first `count` events."""
        found: list[Json] = []
        separator = "&" if "?" in path else "?"
        with self._client.stream("GET", f"{path}{separator}watch=1&timeoutSeconds=15") as response:
            assert response.status_code == 200, response.read()
            act()
            for line in response.iter_lines():
                found.append(json.loads(line))
                if len(found) == count:
                    return found
        return found

    def watch_to_end(self, path: str) -> list[Json]:
        """All events until the server ends the watch."""
        with self._client.stream("GET", path) as response:
            return [json.loads(line) for line in response.iter_lines()]


def config(name: str, data: Json | None = None, **meta: Any) -> Json:
    return {"metadata": {"name": name, **meta}, "data": data or {"a": "1"}}


def pod(name: str, **meta: Any) -> Json:
    variables = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    container = {"name": "c", "image": "x", "env": variables}
    return {"metadata": {"name": name, **meta}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 3}}


def deployment(name: str = "d1") -> Json:
    labels = {"app": name}
    containers = [
        {"name": "main", "image": "x", "env": [{"name": "A", "value": "1"}]},
        {"name": "side", "image": "y"},
    ]
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    return {"metadata": {"name": name}, "spec": spec}
