"""A Kubernetes API over plain HTTP: no client library smooths anything over."""

import base64
import json
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import yaml

Json = dict[str, Any]
T = TypeVar("T")

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"

_PATIENCE = 60.0  # seconds; only a broken server needs them
_PREFIXES: Mapping[str, str] = {
    "api/v1": "ConfigMap Endpoints Event Namespace Node Pod Secret Service ServiceAccount",
    "apis/apps/v1": "DaemonSet Deployment ReplicaSet StatefulSet",
    "apis/batch/v1": "Job",
    "apis/coordination.k8s.io/v1": "Lease",
    "apis/discovery.k8s.io/v1": "EndpointSlice",
    "apis/policy/v1": "PodDisruptionBudget",
    "apis/apiextensions.k8s.io/v1": "CustomResourceDefinition",
}
_CLUSTER_WIDE = {"Node", "Namespace", "CustomResourceDefinition"}
_PREFIX_OF = {kind: prefix for prefix, kinds in _PREFIXES.items() for kind in kinds.split()}


def api_version(kind: str) -> str:
    return _PREFIX_OF[kind].partition("/")[2]


def path_of(kind: str, namespace: str, name: str = "", sub: str = "") -> str:
    """The path of a collection, an object or a subresource of a built-in kind."""
    plural = "endpoints" if kind == "Endpoints" else f"{kind.lower()}s"
    within = "" if kind in _CLUSTER_WIDE else f"/namespaces/{namespace}"
    return f"/{_PREFIX_OF[kind]}{within}/{plural}" + (f"/{name}" if name else "") + (f"/{sub}" if sub else "")


@dataclass(frozen=True)
class Answer:
    """What came back; `body` is `{}` where it is no JSON, then `text` has it."""

    status: int
    body: Json
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def said(self) -> tuple[int, str]:
        """The two things that clients branch on: code and reason (`""` for a success)."""
        return self.status, self.body.get("reason", "") if self.body.get("kind") == "Status" else ""

    @property
    def version(self) -> str:
        return str(self.body["metadata"]["resourceVersion"])

    @property
    def labels(self) -> dict[str, str]:
        return self.body["metadata"].get("labels") or {}

    @property
    def names(self) -> list[str]:
        return [item["metadata"]["name"] for item in self.body["items"]]


class Server:
    """One API server; `name` is how the table of checks calls it."""

    def __init__(self, name: str, kubeconfig: Path) -> None:
        self.name, self.kubeconfig = name, kubeconfig
        access = _Access.of(kubeconfig)
        self._client = httpx.Client(
            base_url=access.url, headers=access.headers, verify=access.tls, trust_env=False, timeout=20
        )

    def close(self) -> None:
        self._client.close()

    def call(self, method: str, path: str, body: Any = None, media: str = "application/json", **query: Any) -> Answer:
        """One request; the parameters of the query are written as they are called (`labelSelector="a=b"`)."""
        data = None if body is None else json.dumps(body)
        accept = query.pop("accept", "application/json")
        headers = {"Content-Type": media, "Accept": accept}
        response = self._client.request(method, path, content=data, headers=headers, params=query)
        try:
            found = response.json()
        except ValueError:
            found = {}
        return Answer(response.status_code, found, response.text, response.headers)

    @contextmanager
    def watching(self, path: str, **query: Any) -> Iterator[Iterator[Json]]:
        """Events of an open watch, which ends after `timeoutSeconds` (10)."""
        wanted = {"watch": "1", "timeoutSeconds": 10} | query
        with self._client.stream("GET", path, params=wanted) as response:
            yield (json.loads(line) for line in response.iter_lines() if line)


@dataclass(frozen=True)
class Space:
    """One namespace of a server, where a check may do as it likes."""

    server: Server
    namespace: str

    def path(self, kind: str, name: str = "", sub: str = "") -> str:
        return path_of(kind, self.namespace, name, sub)

    def create(self, obj: Json, **query: Any) -> Answer:
        obj = {"apiVersion": api_version(obj["kind"])} | obj
        return self.server.call("POST", self.path(obj["kind"]), obj, **query)

    def made(self, obj: Json) -> Json:
        """Create an object that nothing speaks against; returns it."""
        answer = self.create(obj)
        assert answer.status == 201, answer.text
        return answer.body

    def read(self, kind: str, name: str, sub: str = "", **query: Any) -> Answer:
        return self.server.call("GET", self.path(kind, name, sub), **query)

    def replace(self, obj: Json, sub: str = "", **query: Any) -> Answer:
        return self.server.call("PUT", self.path(obj["kind"], obj["metadata"]["name"], sub), obj, **query)

    def merge(self, kind: str, name: str, patch: Any, sub: str = "", **query: Any) -> Answer:
        return self.server.call("PATCH", self.path(kind, name, sub), patch, MERGE, **query)

    def strategic(self, kind: str, name: str, patch: Any, sub: str = "", **query: Any) -> Answer:
        return self.server.call("PATCH", self.path(kind, name, sub), patch, STRATEGIC, **query)

    def json_patch(self, kind: str, name: str, *operations: Json, **query: Any) -> Answer:
        return self.server.call("PATCH", self.path(kind, name), list(operations), JSON_PATCH, **query)

    def delete(self, kind: str, name: str, options: Json | None = None, **query: Any) -> Answer:
        return self.server.call("DELETE", self.path(kind, name), options, **query)

    def listed(self, kind: str, **query: Any) -> Answer:
        return self.server.call("GET", self.path(kind), **query)

    def exists(self, kind: str, name: str) -> bool:
        return self.read(kind, name).status == 200

    def watched(self, kind: str, since: str, count: int, **query: Any) -> list[tuple[str, Json]]:
        """The first `count` (type, object) pairs after a version; fewer where the watch ends before."""
        found: list[tuple[str, Json]] = []
        with self.server.watching(self.path(kind), resourceVersion=since, **query) as events:
            for event in events:
                found.append((event["type"], event["object"]))
                if len(found) == count:
                    break
        return found


def eventually(look: Callable[[], T | None], what: str, patience: float = _PATIENCE) -> T:
    """What `look` returns as soon as it is neither None nor False."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        found = look()
        if found is not None and found is not False:
            return found
        time.sleep(0.05)
    raise AssertionError(f"never happened: {what}")


@dataclass(frozen=True)
class _Access:
    """How a kubeconfig says that its current cluster is reached."""

    url: str
    headers: Mapping[str, str]
    tls: ssl.SSLContext

    @classmethod
    def of(cls, kubeconfig: Path) -> "_Access":
        content = yaml.safe_load(kubeconfig.read_text())
        context = _named(content["contexts"], content["current-context"])["context"]
        cluster = _named(content["clusters"], context["cluster"])["cluster"]
        user = _named(content["users"], context["user"])["user"] or {}
        headers = {"Authorization": f"Bearer {user['token']}"} if user.get("token") else {}
        with tempfile.TemporaryDirectory() as folder:
            here = _Files(Path(folder), kubeconfig.parent)
            tls = ssl.create_default_context(cafile=here.get(cluster, "certificate-authority"))
            if certificate := here.get(user, "client-certificate"):
                tls.load_cert_chain(certificate, here.get(user, "client-key"))
        return cls(cluster["server"], headers, tls)


def _named(rows: list[Json], name: str) -> Json:
    return next(row for row in rows if row["name"] == name)


@dataclass(frozen=True)
class _Files:
    """Files that a kubeconfig names, or carries in itself."""

    folder: Path
    beside: Path

    def get(self, section: Json, name: str) -> Path | None:
        if section.get(name):
            return self.beside / section[name]
        if not section.get(f"{name}-data"):
            return None
        path = self.folder / name
        path.write_bytes(base64.b64decode(section[f"{name}-data"]))
        return path
