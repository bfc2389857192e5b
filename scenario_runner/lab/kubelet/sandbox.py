"""Prepares a pod on this machine: its folder, its volumes, and the exact command of each container."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scenario_runner.lab.kube import Json, Kube
from scenario_runner.lab.kubelet.container import log_file
from scenario_runner.lab.kubelet.environment import (
    ConfigError,
    Facts,
    Objects,
    decode,
    expand,
    references,
    variables,
)
from scenario_runner.lab.kubelet.gpus import Driver
from scenario_runner.lab.kubelet.probes import output_of_probes
from scenario_runner.lab.kubelet.process import Command
from scenario_runner.lab.kubelet.settings import Settings
from scenario_runner.lab.kubelet.volumes import fill_volumes, here, mounts
from scenario_runner.lab.processes import LAB_MARK, NODE_MARK


@dataclass(frozen=True)
class PodFiles:
    """A pod that is ready to start; `gpus` by container name."""

    folder: Path
    node: str
    facts: Facts
    objects: Objects
    volumes: Mapping[str, Path]
    gpus: Mapping[str, tuple[str, ...]]
    driver: Driver | None


async def gather(
    kube: Kube, settings: Settings, pod: Json, address: str, gpus: Mapping[str, tuple[str, ...]]
) -> PodFiles:
    """Fetch what the pod needs and lay it out. Raises ConfigError and KubeError."""
    if pod["spec"].get("initContainers"):
        raise ConfigError("the lab runs no init containers")
    namespace = pod["metadata"]["namespace"]
    maps, secrets = references(pod["spec"])
    objects = Objects(
        await _fetch(kube, f"/api/v1/namespaces/{namespace}/configmaps", maps, "ConfigMap"),
        await _fetch(kube, f"/api/v1/namespaces/{namespace}/secrets", secrets, "Secret"),
    )
    folder = settings.files.pods / pod["metadata"]["uid"]
    folder.mkdir(parents=True, exist_ok=True)
    volumes = fill_volumes(pod["spec"], objects, folder / "volumes", settings.files.host)
    facts = _facts(settings, pod, address)
    return PodFiles(folder, settings.node, facts, objects, volumes, gpus, settings.driver)


async def _fetch(kube: Kube, path: str, names: set[str], kind: str) -> dict[str, dict[str, bytes]]:
    found = {name: await kube.find(f"{path}/{name}") for name in sorted(names)}
    return {name: decode({"kind": kind} | obj) for name, obj in found.items() if obj is not None}


def _facts(settings: Settings, pod: Json, address: str) -> Facts:
    meta = pod["metadata"]
    fields = {
        "metadata.name": meta["name"],
        "metadata.namespace": meta["namespace"],
        "metadata.uid": meta["uid"],
        "spec.nodeName": settings.node,
        "spec.serviceAccountName": pod["spec"].get("serviceAccountName", "default"),
        "status.hostIP": settings.address,
        "status.podIP": address,
        "status.podIPs": address,
    }
    for kind in ("labels", "annotations"):
        fields |= {f"metadata.{kind}['{name}']": value for name, value in (meta.get(kind) or {}).items()}
    return Facts(fields)


def make_command(files: PodFiles, container: Json, restart: int, probe: list[str] | None) -> Command:
    """The container's own command, or a probe's with the same surroundings. Raises ConfigError."""
    argv = probe or [*(container.get("command") or []), *(container.get("args") or [])]
    if not argv:
        raise ConfigError(f"container {container['name']} has no command, and its image is only a name here")
    mounted = mounts(container, files.volumes)
    own = {name: here(value, mounted) for name, value in variables(container, files.facts, files.objects).items()}
    environment = _surroundings(files, container["name"]) | _with_driver(files, container["name"], own)
    argv = [here(expand(one, own), mounted) for one in argv]
    folder = files.folder / container["name"]
    folder.mkdir(exist_ok=True)
    log = log_file(files.folder, container["name"], restart)
    if probe:
        return Command(tuple(argv), environment, folder, output_of_probes(log))
    return Command(_found(argv, environment), environment, folder, log, files.folder / f"{container['name']}.pid")


def _found(argv: list[str], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Look the program up in the container's own search path, as a container runtime does."""
    if "/" in argv[0]:
        return tuple(argv)
    for place in environment["PATH"].split(":"):
        candidate = Path(place) / argv[0]
        if os.access(candidate, os.X_OK) and candidate.is_file():
            return (str(candidate), *argv[1:])
    return tuple(argv)


def _with_driver(files: PodFiles, container: str, own: dict[str, str]) -> dict[str, str]:
    """The driver is found last, as one that the container runtime puts among the libraries of an image."""
    held = files.gpus.get(container)
    if files.driver is None or not held:
        return own
    found = files.driver.variables(held)
    places = [own.get("LD_LIBRARY_PATH", ""), found["LD_LIBRARY_PATH"]]
    return found | own | {"LD_LIBRARY_PATH": ":".join(filter(None, places))}


def _surroundings(files: PodFiles, container: str) -> dict[str, str]:
    """What every container of the lab finds; nothing else is inherited from whoever started the lab."""
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '/usr/bin:/bin')}",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "PYTHONUNBUFFERED": "1",
        "HOME": str(files.folder / container),
        "HOSTNAME": files.facts.fields["metadata.name"],
        "POD_IP": files.facts.fields["status.podIP"],
        "NVIDIA_VISIBLE_DEVICES": ",".join(files.gpus.get(container, ())) or "void",
        LAB_MARK: os.environ.get(LAB_MARK, ""),
        NODE_MARK: files.node,
    }
