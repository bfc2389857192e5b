"""Writes container images without Docker: a layer is a tar file, an image names its layers by their digests."""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class Layer:
    """A tar file; `sha256` and `size` are enough for an image that leaves it out."""

    file: Path
    sha256: str
    size: int

    @classmethod
    def of(cls, file: Path) -> "Layer":
        with file.open("rb") as content:
            return cls(file, hashlib.file_digest(content, "sha256").hexdigest(), file.stat().st_size)


@dataclass(frozen=True)
class Start:
    """What a container of the image runs unless its pod says otherwise."""

    entrypoint: tuple[str, ...] = ()
    environment: Mapping[str, str] = ()  # type: ignore[assignment]
    folder: str = "/"
    labels: Mapping[str, str] = ()  # type: ignore[assignment]


def pack(file: Path, contents: Mapping[str, Path]) -> Layer:
    """
    A layer of files and folders, `path in the image -> path here`.

    It belongs to root and carries no times, so that the same contents always make the same layer.
    """
    with tarfile.open(file, "w") as archive:
        for inside, source in sorted(contents.items()):
            archive.add(source, arcname=inside.lstrip("/"), filter=_normal)
    return Layer.of(file)


def _normal(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if "__pycache__" in entry.name.split("/"):
        return None
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = "root"
    entry.mode |= 0o555 if entry.isdir() else 0o444  # containers need not be root
    return entry


def write(file: Path, reference: str, start: Start, layers: Sequence[Layer], *, thin: Sequence[Layer] = ()) -> None:
    """An archive of the image `reference`; the layers in `thin` are named and left out: the node has them already."""
    config = _json(
        {
            "architecture": _ARCHITECTURES[platform.machine()],
            "os": "linux",
            "config": {
                "Entrypoint": list(start.entrypoint),
                "Env": [f"{name}={value}" for name, value in dict(start.environment).items()],
                "WorkingDir": start.folder,
                "Labels": dict(start.labels),
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{one.sha256}" for one in layers]},
        }
    )
    rows = [_description(_LAYER, one.sha256, one.size) for one in layers]
    manifest = _json(
        {"schemaVersion": 2, "mediaType": _MANIFEST, "config": _description(_CONFIG, *_digest(config)), "layers": rows}
    )
    names = {"annotations": {"io.containerd.image.name": reference}}
    index = _json({"schemaVersion": 2, "manifests": [_description(_MANIFEST, *_digest(manifest)) | names]})
    with tarfile.open(file, "w") as archive:
        _add(archive, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(archive, "index.json", index)
        for blob in (config, manifest):
            _add(archive, f"blobs/sha256/{_digest(blob)[0]}", blob)
        for layer in layers:
            if layer not in thin:
                archive.add(layer.file, arcname=f"blobs/sha256/{layer.sha256}")


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _digest(blob: bytes) -> tuple[str, int]:
    return hashlib.sha256(blob).hexdigest(), len(blob)


def _description(kind: str, sha256: str, size: int) -> dict[str, object]:
    return {"mediaType": kind, "digest": f"sha256:{sha256}", "size": size}


def _add(archive: tarfile.TarFile, name: str, blob: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(blob)
    archive.addfile(entry, io.BytesIO(blob))
