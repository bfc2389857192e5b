"""Writes the lab's schema anew from a real server: `python -m tests.contract.kubernetes.dump KUBECONFIG [--check]`."""

import argparse
import gzip
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.contract.kubernetes.server import Json, Server

COMMITTED = Path(__file__).parents[3] / "scenario_runner/lab/apiserver/kubernetes-1.37.json.gz"
# What the lab serves of a real server: resources by API version, and the subresources that it has.
SERVED: Mapping[str, str] = {
    "v1": "configmaps endpoints events namespaces nodes pods secrets serviceaccounts services",
    "apps/v1": "deployments replicasets",
    "events.k8s.io/v1": "events",
    "policy/v1": "poddisruptionbudgets",
    "coordination.k8s.io/v1": "leases",
    "discovery.k8s.io/v1": "endpointslices",
    "apiextensions.k8s.io/v1": "customresourcedefinitions",
    "authorization.k8s.io/v1": "localsubjectaccessreviews selfsubjectaccessreviews subjectaccessreviews",
    "authentication.k8s.io/v1": "selfsubjectreviews",
}
SUBRESOURCES = frozenset(["binding", "eviction", "finalize", "log", "scale", "status"])
_FORMATS = frozenset({"byte", "date-time"})  # the others say what JSON says anyway
_BESIDE = ("DeleteOptions", "Eviction", "Binding", "Scale", "Status")  # sent and answered, but no resources


def gather(server: Server) -> Json:
    """Discovery and definitions of what the lab serves: `{"version", "resources", "definitions"}`."""
    resources = [row for version in SERVED for row in _resources(server, version)]
    known = server.call("GET", "/openapi/v2").body["definitions"]
    kinds = {kind for row in resources for kind in (row["kind"], f"{row['kind']}List")} | set(_BESIDE)
    roots = [name for name, one in known.items() if _is_served(one, kinds)]
    names = _reachable(known, roots)
    definitions = {name: _stripped(known[name]) for name in sorted(names)}
    return {"definitions": definitions, "resources": resources, "version": _version(server)}


def _version(server: Server) -> Json:
    """Without what says when and from what the server at hand was built."""
    found = server.call("GET", "/version").body
    return found | {"buildDate": "1970-01-01T00:00:00Z", "gitCommit": "$Format:%H$"}


def _resources(server: Server, api_version: str) -> Iterator[Json]:
    path = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    rows = server.call("GET", path).body["resources"]
    group, _, version = api_version.rpartition("/")
    for row in rows:
        if row["name"] in SERVED[api_version].split():
            yield {
                "group": group,
                "version": version,
                "name": row["name"],
                "singular": row["singularName"],
                "kind": row["kind"],
                "namespaced": row["namespaced"],
                "shortNames": row.get("shortNames", []),
                "categories": row.get("categories", []),
                "verbs": row["verbs"],
                "subresources": [_subresource(one) for one in rows if _belongs(one["name"], row["name"])],
            }


def _belongs(name: str, plural: str) -> bool:
    of, _, sub = name.partition("/")
    return of == plural and sub in SUBRESOURCES


def _subresource(row: Json) -> Json:
    return {name: row[name] for name in ("name", "kind", "verbs", "group", "version") if name in row}


def _is_served(definition: Json, kinds: set[str]) -> bool:
    versions = {version.rpartition("/") for version in (*SERVED, "autoscaling/v1")}
    places = {(group, version) for group, _, version in versions}
    kept = definition.get("x-kubernetes-group-version-kind", [])
    return any(one["kind"] in kinds and (one["group"], one["version"]) in places for one in kept)


def _reachable(known: Json, roots: list[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += _references(known[name])
    return found


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"].rsplit("/", 1)[1]
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


def _stripped(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _stripped(item) for name, item in value.items() if not _is_dropped(name, item)}
    return [_stripped(item) for item in value] if isinstance(value, list) else value


def _is_dropped(name: str, value: Any) -> bool:
    if name == "format":
        return isinstance(value, str) and value not in _FORMATS
    return name == "description" and isinstance(value, str)  # there is a field of that name, too


def packed(facts: Json) -> bytes:
    """The same facts are the same bytes."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return gzip.compress(text.encode(), mtime=0)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kubeconfig", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if the committed file says otherwise")
    options = parser.parse_args(arguments)
    facts = gather(Server("real", options.kubeconfig))
    if options.check:
        is_same = facts == json.loads(gzip.decompress(COMMITTED.read_bytes()))
        print("the schema is up to date" if is_same else f"{COMMITTED.name} differs from what the server says")
        return 0 if is_same else 1
    COMMITTED.write_bytes(packed(facts))
    print(f"{COMMITTED}: {len(facts['resources'])} resources, {len(facts['definitions'])} definitions")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
