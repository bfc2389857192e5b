"""Reads one HTTP request: which resource it is about, its body, its options."""

import json
import re
from dataclasses import dataclass
from typing import Any

import yaml
from starlette.requests import Request

from scenario_runner.lab.apiserver.api import Options
from scenario_runner.lab.apiserver.deletion import Deletion
from scenario_runner.lab.apiserver.failures import (
    bad_request,
    invalid,
    no_such_path,
    not_in_the_lab,
    unsupported_media,
)
from scenario_runner.lab.apiserver.objects import Json
from scenario_runner.lab.apiserver.resources import Catalog, Target

_PATH = re.compile(
    r"^/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+)/(?P<version>[^/]+))"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/(?!(?:status|finalize)$)))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+)(?:/(?P<sub>.+))?)?$"
)
_LEFT_OUT = {"exec": "exec", "attach": "attach", "portforward": "port-forward", "proxy": "the proxy subresource"}


@dataclass(frozen=True)
class Call:
    """A request with its body read and its path understood."""

    method: str
    at: Target
    query: dict[str, str]
    accept: str
    media_type: str
    body: Any

    @property
    def options(self) -> Options:
        self._require_one_of("dryRun", self.query.get("dryRun"), ("All",))
        is_strict, is_patch = self.query.get("fieldValidation") == "Strict", self.method == "PATCH"
        return Options(self.query.get("dryRun") == "All", is_strict, is_patch)

    @property
    def selects(self) -> bool:
        return bool(self.query.get("labelSelector") or self.query.get("fieldSelector"))

    def _require_one_of(self, option: str, value: str | None, known: tuple[str, ...]) -> None:
        """Raises ApiError (422)."""
        if value and value not in known:
            kind = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions"}.get(self.method)
            allowed = ", ".join(f'"{one}"' for one in known)
            why = f'Unsupported value: "{value}": supported values: {allowed}'
            raise invalid(kind or "DeleteOptions", "meta.k8s.io", "", [(option, "FieldValueNotSupported", why)])

    def number(self, name: str) -> int:
        """A query parameter as a number, 0 where it is absent. Raises ApiError (400)."""
        text = self.query.get(name) or "0"
        if not text.isdecimal():
            raise bad_request(f"invalid value for {name}: {text!r}")
        return int(text)

    def says(self, name: str) -> bool:
        return self.query.get(name) in {"1", "true"}

    def object_body(self) -> Json:
        if not isinstance(self.body, dict):
            raise bad_request("the request must carry one object")
        return self.body

    def deletion(self) -> Deletion:
        """DeleteOptions from the body; only where there is none, from the query."""
        wanted = self._queried_deletion() if self.body is None else self.object_body()
        preconditions, dry_run = wanted.get("preconditions") or {}, wanted.get("dryRun") or []
        policy = wanted.get("propagationPolicy")
        self._require_one_of("propagationPolicy", policy, ("Background", "Foreground", "Orphan"))
        for word in dry_run:
            self._require_one_of("dryRun", word, ("All",))
        if wanted.get("orphanDependents"):
            policy = "Orphan"
        return Deletion(
            wanted.get("gracePeriodSeconds"),
            preconditions.get("uid"),
            preconditions.get("resourceVersion"),
            policy or "Background",
            dry_run="All" in dry_run,
        )

    def _queried_deletion(self) -> Json:
        grace = {"gracePeriodSeconds": self.number("gracePeriodSeconds")} if "gracePeriodSeconds" in self.query else {}
        return grace | {
            "propagationPolicy": self.query.get("propagationPolicy"),
            "orphanDependents": self.says("orphanDependents"),
            "dryRun": [self.query["dryRun"]] if self.query.get("dryRun") else [],
        }


async def read_call(request: Request, catalog: Catalog) -> Call:
    """Raises ApiError: 400 (unreadable body), 404 (no such resource), 415 (protobuf), 501 (left out)."""
    at = _target(request.url.path.rstrip("/"), catalog)
    media_type = request.headers.get("content-type", "").split(";")[0].strip()
    raw = await request.body()
    if "protobuf" in media_type or "cbor" in media_type or raw[:4] == b"k8s\0":
        raise unsupported_media("application/json, application/yaml")
    if media_type.startswith("application/apply-patch"):
        raise not_in_the_lab("server-side apply")
    query = dict(request.query_params)
    accept = request.headers.get("accept", "")
    return Call(request.method, at, query, accept, media_type, _parsed(raw, media_type))


def _target(path: str, catalog: Catalog) -> Target:
    found = _PATH.match(path)
    if not found:
        raise no_such_path()
    group, version = found["group"] or "", found["core"] or found["version"]
    if group == "rbac.authorization.k8s.io":
        raise not_in_the_lab("RBAC: every caller may do everything")
    resource = catalog.find(group, version, found["plural"])
    sub = found["sub"] or ""
    if resource is None:
        raise no_such_path()
    if sub.split("/")[0] in _LEFT_OUT:
        raise not_in_the_lab(_LEFT_OUT[sub.split("/")[0]])
    if sub and not resource.has(sub):
        raise no_such_path()
    return Target(resource, found["namespace"] or "", found["name"] or "", sub)


def _parsed(raw: bytes, media_type: str) -> Any:
    if not raw:
        return None
    try:
        return yaml.safe_load(raw) if media_type.endswith("/yaml") else json.loads(raw)
    except (ValueError, yaml.YAMLError) as error:
        raise bad_request(f"error decoding the body: {error}") from error
