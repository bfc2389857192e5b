"""The volumes of a pod: where they are on this machine, and how a container's paths lead there."""

import re
from collections.abc import Mapping
from pathlib import Path

from scenario_runner.lab.kube import Json
from scenario_runner.lab.kubelet.environment import ConfigError, Objects

_KINDS = ("configMap", "secret", "emptyDir", "hostPath")


def fill_volumes(spec: Json, objects: Objects, folder: Path, host: Path) -> dict[str, Path]:
    """
    Make the pod's volumes below `folder`; volume name -> path. Raises ConfigError.

    `host` is the folder that is the node's own file system: no hostPath leads out of it.
    """
    return {one["name"]: _fill(one, objects, folder / one["name"], host) for one in spec.get("volumes") or []}


def _fill(volume: Json, objects: Objects, place: Path, host: Path) -> Path:
    kind = next((one for one in _KINDS if one in volume), None)
    if kind is None:
        raise ConfigError(f"volume {volume['name']} is of a kind that the lab does not have ({', '.join(_KINDS)})")
    source = volume[kind] or {}
    if kind == "hostPath":
        return _of_host(source["path"], source.get("type") or "", host)
    place.mkdir(parents=True, exist_ok=True)
    if kind == "emptyDir":
        return place
    name = source["name"] if kind == "configMap" else source["secretName"]
    data = objects.data(kind.lower(), name, optional=bool(source.get("optional")))
    wanted = {one["key"]: one["path"] for one in source.get("items") or []} or {key: key for key in data}
    for key, path in wanted.items():
        target = place / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if key not in data:
            raise ConfigError(f"{kind} {name} has no key {key}")
        target.write_bytes(data[key])
    return place


def _of_host(path: str, kind: str, host: Path) -> Path:
    """Made if it is missing and may be; checked as the kubelet does."""
    place = host / path.lstrip("/")
    if ".." in place.parts:
        raise ConfigError(f"hostPath {path} must not contain '..'")
    if kind in {"", "DirectoryOrCreate"} and not place.exists():
        place.mkdir(parents=True)
    elif kind == "FileOrCreate" and place.parent.is_dir():
        place.touch()
    if kind.startswith("Directory") and not place.is_dir():
        raise ConfigError(f"hostPath type check failed: {path} is not a directory")
    if kind.startswith("File") and not place.is_file():
        raise ConfigError(f"hostPath type check failed: {path} is not a file")
    if kind in {"Socket", "CharDevice", "BlockDevice"} and not place.exists():
        raise ConfigError(f"hostPath type check failed: {path} does not exist")
    return place


def mounts(container: Json, volumes: Mapping[str, Path]) -> dict[str, Path]:
    """Mount path -> path on this machine; a subPath that is missing is made. Raises ConfigError."""
    found = {}
    for one in container.get("volumeMounts") or []:
        if one["name"] not in volumes:
            raise ConfigError(f"container {container['name']} mounts volume {one['name']}, which the pod does not have")
        place = volumes[one["name"]] / one.get("subPath", "")
        if not place.exists():
            place.mkdir(parents=True)
        found[one["mountPath"].rstrip("/")] = place
    return found


def here(text: str, mounted: Mapping[str, Path]) -> str:
    """Replace mount paths in a text by where they are on this machine, the longest first."""
    if not mounted:
        return text
    choices = "|".join(re.escape(path) for path in sorted(mounted, key=len, reverse=True))
    return re.sub(rf"(?<![\w.-])(?:{choices})(?![\w.-])", lambda match: str(mounted[match[0]]), text)
