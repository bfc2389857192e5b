"""Which API server is meant: kubeconfig files merged as kubectl merges them, or the pod that this process runs in."""

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from scenario_runner.errors import Refused

Json = Any
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
IN_CLUSTER = "in-cluster"
_LISTS = ("clusters", "contexts", "users")
_FILES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
_LOOPBACK = ("localhost", "127.", "::1")


@dataclass(frozen=True)
class Selection:
    """One context and the entries that it names; every path in them is absolute."""

    context: str
    source: str  # the files that it was found in, for messages
    user_name: str
    cluster: Mapping[str, Json]
    user: Mapping[str, Json]
    folder: Path  # of the file that describes the user: where its plugin is looked for

    @property
    def server(self) -> str:
        return str(self.cluster["server"]).rstrip("/")

    @property
    def address(self) -> str:
        """Scheme, host and port, for people: the path of an address may be a secret, the user part is one."""
        parts = urlsplit(self.server)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    @property
    def is_local(self) -> bool:
        return (urlsplit(self.server).hostname or "").startswith(_LOOPBACK)


def kubeconfig_files(option: Path | None, environment: Mapping[str, str]) -> tuple[Path, ...]:
    """`--kubeconfig` alone (one or a list), else those of KUBECONFIG that exist, else ~/.kube/config; or Refused."""
    if option is not None:
        given = tuple(map(Path, str(option).split(os.pathsep)))
        for file in given:
            if not file.is_file():
                raise Refused(f"there is no kubeconfig {file}")
        return given
    listed = [Path(name).expanduser() for name in environment.get("KUBECONFIG", "").split(os.pathsep) if name]
    files = tuple(file for file in listed if file.is_file())
    if listed and not files:
        raise Refused(f"KUBECONFIG names no file that exists: {os.pathsep.join(map(str, listed))}")
    usual = Path(environment.get("HOME", "~")).expanduser() / ".kube" / "config"
    if not files and not usual.is_file():
        raise Refused(
            f"there is no kubeconfig: neither --kubeconfig nor KUBECONFIG is given, and {usual} does not exist"
        )
    return files or (usual,)


def in_cluster(environment: Mapping[str, str], folder: Path = SERVICE_ACCOUNT) -> Selection | None:
    """The cluster whose pod this process runs in, with the pod's service account; None outside."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT")
    if not host or not port or not (folder / "token").is_file():
        return None
    named = f"[{host}]" if ":" in host else host
    cluster = {"server": f"https://{named}:{port}", "certificate-authority": str(folder / "ca.crt")}
    user = {"tokenFile": str(folder / "token")}
    return Selection(IN_CLUSTER, f"the service account in {folder}", "service account", cluster, user, folder)


def select(files: Iterable[Path], context: str | None) -> Selection:
    """The context of that name, or the current one for None. Raise Refused with a sentence for whatever is wrong."""
    merged = _merged(tuple(files))
    wanted = context if context is not None else merged.current
    entry = merged.of("contexts", wanted)
    if entry is None:
        raise Refused(_no_context(wanted, merged))
    cluster_name, user_name = str(entry.value.get("cluster", "")), str(entry.value.get("user", ""))
    cluster, user = merged.of("clusters", cluster_name), merged.of("users", user_name)
    if cluster is None:
        raise Refused(f"context {wanted} in {merged.words} names the cluster {cluster_name!r}, which is not there")
    if user is None and user_name:
        raise Refused(f"context {wanted} in {merged.words} names the user {user_name!r}, which is not there")
    folder = (user or cluster).file.absolute().parent
    chosen = Selection(wanted, merged.words, user_name, _absolute(cluster), _absolute(user) if user else {}, folder)
    _refuse_what_is_unsafe(chosen)
    return chosen


def context_names(files: Iterable[Path]) -> tuple[str, ...]:
    """The contexts that the files name. Raise Refused for files that are none."""
    return tuple(sorted(_merged(tuple(files)).entries["contexts"]))


@dataclass(frozen=True)
class _Entry:
    """The inner part of one item of a list, and its file."""

    value: Mapping[str, Json]
    file: Path


@dataclass(frozen=True)
class _Merged:
    """Several files as one: the first that names a thing wins."""

    words: str
    current: str
    entries: Mapping[str, Mapping[str, _Entry]]

    def of(self, kind: str, name: str) -> _Entry | None:
        return self.entries[kind].get(name)


def _merged(files: tuple[Path, ...]) -> _Merged:
    current = ""
    entries: dict[str, dict[str, _Entry]] = {kind: {} for kind in _LISTS}
    for file in files:
        content = _read(file)
        current = current or str(content.get("current-context") or "")
        for kind in _LISTS:
            for item in content.get(kind) or ():
                inner = item.get(kind[:-1]) or {}
                entries[kind].setdefault(str(item["name"]), _Entry(inner, file))
    return _Merged(os.pathsep.join(map(str, files)), current, entries)


def _read(file: Path) -> Mapping[str, Json]:
    import yaml

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as exc:
        raise Refused(f"kubeconfig {file} cannot be used: {exc.strerror}") from exc
    except (ValueError, yaml.YAMLError) as exc:
        raise Refused(f"kubeconfig {file} cannot be used: {exc}") from exc
    if not _looks_right(content):
        raise Refused(f"kubeconfig {file} cannot be used: it does not list contexts, clusters and users")
    return dict(content)


def _looks_right(content: Json) -> bool:
    if not isinstance(content, dict):
        return False
    lists = [content.get(kind) or [] for kind in _LISTS]
    return all(
        isinstance(one, list) and all(isinstance(item, dict) and "name" in item for item in one) for one in lists
    )


def _no_context(wanted: str, merged: _Merged) -> str:
    names = sorted(merged.entries["contexts"])
    if not names:
        return f"kubeconfig {merged.words} cannot be used: it has no contexts"
    there = f"the contexts are {', '.join(names)}"
    if not wanted:
        return f"kubeconfig {merged.words} has no current context; {there}"
    close = difflib.get_close_matches(wanted, names, n=1)
    meant = f"did you mean {close[0]}? " if close else ""
    return f"there is no context {wanted} in {merged.words}: {meant}{there}"


def _absolute(entry: _Entry) -> Mapping[str, Json]:
    value = dict(entry.value)
    for key in _FILES:
        if value.get(key):
            value[key] = str(entry.file.absolute().parent / str(value[key]))
    return value


def _refuse_what_is_unsafe(one: Selection) -> None:
    where = f"context {one.context} in {one.source}"
    if "server" not in one.cluster:
        raise Refused(f"{where} names a cluster without a server")
    if urlsplit(one.server).scheme not in {"http", "https"}:
        raise Refused(f"{where} names the server {one.address}, which is no http or https address")
    if one.cluster.get("insecure-skip-tls-verify"):
        raise Refused(
            f"{where} asks not to verify the API server (insecure-skip-tls-verify): a drill must be sure which cluster "
            "it acts on; give its certificate-authority instead"
        )
    if one.server.startswith("http://") and not one.is_local:
        raise Refused(f"{where} names {one.address} without TLS: anybody on the way could be the API server")
