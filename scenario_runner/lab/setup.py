"""Applies a lab's manifests, and waits until what they describe is there."""

import argparse
import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import yaml

from scenario_runner.lab.kube import Json, Kube, KubeError, read_kubeconfig
from scenario_runner.lab.saying import say, say_ready

_RETRY = 0.05  # seconds
_PATHS = {
    "Namespace": "/api/v1/namespaces",
    "Node": "/api/v1/nodes",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "Service": "/api/v1/namespaces/{}/services",
    "Pod": "/api/v1/namespaces/{}/pods",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
}


@dataclass(frozen=True)
class NotThere(Exception):
    """What was waited for did not come."""

    text: str

    def __str__(self) -> str:
        return self.text


def read_manifests(text: str) -> list[Json]:
    """Raises ValueError for a kind that a lab can not be given this way."""
    found = [one for one in yaml.safe_load_all(text) if one]
    for one in found:
        if one.get("kind") not in _PATHS:
            raise ValueError(f"manifests of kind {one.get('kind')} can not be applied here, only {', '.join(_PATHS)}")
    return found


async def apply(kube: Kube, manifests: Sequence[Json]) -> None:
    """Create everything that does not exist yet, in the order of the file."""
    for one in manifests:
        path = _PATHS[one["kind"]].format(one["metadata"].get("namespace", "default"))
        while not await _is_created(kube, path, one):
            await asyncio.sleep(_RETRY)


async def _is_created(kube: Kube, path: str, obj: Json) -> bool:
    """False as long as there is no API server."""
    try:
        await kube.create(path, obj)
    except KubeError as error:
        if error.status not in {0, HTTPStatus.CONFLICT}:
            raise
        return error.status == HTTPStatus.CONFLICT  # it exists already
    return True


async def wait_for_nodes(kube: Kube, count: int) -> None:
    """Until so many nodes are ready; pods that come before would all end up on the first one."""
    ready: set[str] = set()
    async with aclosing(kube.follow("/api/v1/nodes")) as changes:
        async for change in changes:
            for one in _objects(change.kind, change.obj):
                conditions = (one.get("status") or {}).get("conditions") or []
                if any(row["type"] == "Ready" and row["status"] == "True" for row in conditions):
                    ready.add(one["metadata"]["name"])
            if len(ready) >= count:
                return


async def wait_for_deployments(kube: Kube, manifests: Sequence[Json], seconds: float) -> None:
    """Until all their replicas are available. Raises NotThere with what is missing."""
    wanted = {(one["metadata"]["namespace"], one["metadata"]["name"]) for one in manifests if _is_deployment(one)}
    seen: dict[tuple[str, str], Json] = {}
    if not wanted:
        return
    try:
        async with asyncio.timeout(seconds):
            async with aclosing(kube.follow("/apis/apps/v1/deployments")) as changes:
                async for change in changes:
                    for one in _objects(change.kind, change.obj):
                        seen[(one["metadata"]["namespace"], one["metadata"]["name"])] = one
                    if all(key in seen and _is_available(seen[key]) for key in wanted):
                        return
    except TimeoutError as error:
        late = [f"{name} ({_ready(seen.get((space, name)))})" for space, name in sorted(wanted)]
        raise NotThere(f"not available within {seconds:g}s: {', '.join(late)}") from error


def _is_deployment(manifest: Json) -> bool:
    return bool(manifest["kind"] == "Deployment")


def _objects(kind: str, obj: Json) -> Iterator[Json]:
    if kind == "SYNC":
        yield from obj["items"]
    elif kind != "DELETED":
        yield obj


def _is_available(deployment: Json) -> bool:
    wanted, status = int(deployment["spec"].get("replicas", 1)), deployment.get("status") or {}
    return int(status.get("availableReplicas") or 0) >= wanted


def _ready(deployment: Json | None) -> str:
    if deployment is None:
        return "does not exist"
    return f"{(deployment.get('status') or {}).get('readyReplicas') or 0} of {deployment['spec'].get('replicas')} ready"


async def _run(chosen: argparse.Namespace) -> None:
    kube = Kube(read_kubeconfig(chosen.kubeconfig))
    manifests = read_manifests(chosen.manifests.read_text())
    await asyncio.wait_for(wait_for_nodes(kube, chosen.nodes), chosen.seconds)
    await asyncio.wait_for(apply(kube, manifests), chosen.seconds)
    say("manifests are applied")
    await wait_for_deployments(kube, manifests, chosen.seconds)
    await kube.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 when everything is available, 1 with one sentence on stderr otherwise."""
    options = argparse.ArgumentParser(prog="setup", description="Applies the manifests of a lab.")
    options.add_argument("--kubeconfig", required=True, type=Path, metavar="FILE")
    options.add_argument("--manifests", required=True, type=Path, metavar="FILE")
    options.add_argument("--nodes", type=int, default=0, metavar="N", help="nodes to wait for before")
    options.add_argument("--seconds", type=float, default=60.0, help="how long to wait")
    chosen = options.parse_args(argv)
    try:
        asyncio.run(_run(chosen))
    except (KubeError, NotThere, TimeoutError, ValueError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - read by the keeper
        return 1
    say_ready()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
