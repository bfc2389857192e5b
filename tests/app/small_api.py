"""A small API server for tests of the app: objects by their path, permissions, and what stands behind its proxy."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.contract.servers import Request

Json = Any
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
UID = "11111111-2222-3333-4444-555555555555"


def status(code: int, reason: str, message: str) -> Json:
    return {"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason, "message": message}


@dataclass
class SmallApi:
    """`serving(api)` serves it. What is not among `objects` is not found; `forbidden` are reviews that are denied."""

    objects: dict[str, Json] = field(default_factory=dict)
    forbidden: Callable[[Json], bool] = lambda review: False
    behind: Callable[[Request], None] | None = None  # answers what goes through the proxy
    asked: list[str] = field(default_factory=list)
    reviews: list[Json] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.objects.setdefault("/api/v1/namespaces/kube-system", {"metadata": {"name": "kube-system", "uid": UID}})

    def __call__(self, request: Request) -> None:
        path = urlsplit(request.path).path
        self.asked.append(f"{request.command} {request.path}")
        if "/proxy/" in path and self.behind is not None:
            self.behind(request)
        elif path == REVIEWS:
            review = json.loads(request.body)["spec"]["resourceAttributes"]
            self.reviews.append(review)
            request.reply(201, {"status": {"allowed": not self.forbidden(review)}})
        elif path in self.objects:
            found = self.objects[path]
            if found.get("kind") == "Status":
                request.reply(found["code"], found)
            else:
                request.reply(200, found)
        else:
            request.reply(404, status(404, "NotFound", f"{path} not found"))


def service(name: str, namespace: str, port: int, *, labels: dict[str, str] | None = None, **spec: Any) -> Json:
    ports = [{"port": port, "name": "http", **spec.pop("first_port", {})}]
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}", "labels": labels or {}},
        "spec": {"clusterIP": "10.96.0.9", "ports": ports, "type": "ClusterIP", **spec},
    }
