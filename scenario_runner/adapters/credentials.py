"""Who we say we are: the ways of a kubeconfig's user to log in, and when what proves it has expired."""

import base64
import json
import os
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from scenario_runner.adapters.kubeconfig import Selection
from scenario_runner.core.clock import Clock
from scenario_runner.errors import Refused, TargetUnreachable

Json = Any
_PLUGIN_SECONDS = 60.0  # a plugin may ask another service
_ACTING = frozenset({"as", "as-uid", "as-groups", "as-user-extra"})  # ignored, they would give more rights than meant
_EARLY = timedelta(seconds=10)  # before its end a token is asked for anew


class Login(Protocol):
    """One way to log in."""

    def headers(self) -> Mapping[str, str]:
        """What goes with a request now. Raise TargetUnreachable when it cannot be had at the moment."""
        ...

    def forget(self) -> bool:
        """The server did not accept it: drop what is kept; whether asking again may give something else."""
        ...


@dataclass(frozen=True)
class Fixed:
    """Headers that stay: a token, a password, or none for a client certificate."""

    given: Mapping[str, str]

    def headers(self) -> Mapping[str, str]:
        return self.given

    def forget(self) -> bool:
        return False


@dataclass(frozen=True)
class TokenFile:
    """A token that somebody renews in a file, as a kubelet does it for service accounts; read each time."""

    file: Path

    def headers(self) -> Mapping[str, str]:
        try:
            return {"Authorization": f"Bearer {self.file.read_text(encoding='utf-8').strip()}"}
        except OSError as exc:
            raise TargetUnreachable(f"the token in {self.file} cannot be read: {exc.strerror}") from exc

    def forget(self) -> bool:
        return True


class Plugin:
    """A command that prints a token or a client certificate (`exec` of a kubeconfig); kept until it expires."""

    def __init__(self, selection: Selection, clock: Clock, *, seconds: float = _PLUGIN_SECONDS) -> None:
        """It may take so many seconds. Raise Refused for a plugin that cannot be started as it is described."""
        self._spec: Mapping[str, Json] = selection.user["exec"]
        self._cluster = selection.cluster
        self._clock = clock
        self._seconds = seconds
        self._lock = threading.Lock()
        self._status: Mapping[str, Json] | None = None
        command = str(self._spec.get("command") or "")
        self._words = f"the command {command!r}, which logs context {selection.context} in,"
        self._command = str(selection.folder / command) if os.sep in command else command
        if not command or not self._spec.get("apiVersion"):
            raise Refused(f"user {selection.user_name} in {selection.source} has an exec without command or apiVersion")

    def headers(self) -> Mapping[str, str]:
        token = self.status().get("token")
        return {"Authorization": f"Bearer {token}"} if token else {}

    def forget(self) -> bool:
        self._status = None
        return True

    def status(self) -> Mapping[str, Json]:
        """What the plugin said last, asked anew when that has expired: a token, or a certificate and its key."""
        with self._lock:
            if self._status is None or self._expired(self._status):
                self._status = self._run()
            return self._status

    def _expired(self, status: Mapping[str, Json]) -> bool:
        end = status.get("expirationTimestamp")
        return end is not None and self._clock.now() >= datetime.fromisoformat(str(end)) - _EARLY

    def _run(self) -> Mapping[str, Json]:
        try:
            done = subprocess.run(  # noqa: S603 - the user's own kubeconfig names the command, no shell is in between
                [self._command, *map(str, self._spec.get("args") or ())],
                stdin=subprocess.DEVNULL, capture_output=True, timeout=self._seconds, env=self._environment(),
                check=False,
            )  # fmt: skip
        except FileNotFoundError as exc:
            hint = f"; {self._spec['installHint']}" if self._spec.get("installHint") else ""
            raise TargetUnreachable(f"{self._words} is not installed{hint}") from exc
        except subprocess.TimeoutExpired as exc:
            raise TargetUnreachable(f"{self._words} did not end within {self._seconds:g}s") from exc
        except OSError as exc:
            raise TargetUnreachable(f"{self._words} cannot be started: {exc.strerror}") from exc
        if done.returncode:
            last = (done.stderr.decode(errors="replace").strip().splitlines() or ["it says nothing"])[-1]
            raise TargetUnreachable(f"{self._words} ended with {done.returncode}: {last}")
        return self._understood(done.stdout)

    def _understood(self, output: bytes) -> Mapping[str, Json]:
        try:
            answer = json.loads(output)
            status: Mapping[str, Json] = answer["status"]
            usable = bool(status.get("token") or (status.get("clientCertificateData") and status.get("clientKeyData")))
        except (ValueError, KeyError, TypeError, AttributeError):
            usable, answer = False, {}
        if not usable:
            raise TargetUnreachable(f"{self._words} printed neither a token nor a certificate with its key")
        if answer.get("apiVersion") != self._spec["apiVersion"]:
            raise TargetUnreachable(
                f"{self._words} speaks {answer.get('apiVersion')}, and the kubeconfig asks for "
                f"{self._spec['apiVersion']}"
            )
        return status

    def _environment(self) -> dict[str, str]:
        spec: dict[str, Json] = {"interactive": False}
        if self._spec.get("provideClusterInfo"):
            spec["cluster"] = _cluster_info(self._cluster)
        info = {"apiVersion": self._spec["apiVersion"], "kind": "ExecCredential", "spec": spec}
        own = {str(one["name"]): str(one["value"]) for one in self._spec.get("env") or ()}
        return {**os.environ, **own, "KUBERNETES_EXEC_INFO": json.dumps(info)}


def _cluster_info(cluster: Mapping[str, Json]) -> dict[str, Json]:
    info = {key: value for key, value in cluster.items() if key not in {"extensions", "certificate-authority"}}
    if cluster.get("certificate-authority"):
        info["certificate-authority-data"] = base64.b64encode(
            Path(cluster["certificate-authority"]).read_bytes()
        ).decode()
    for extension in cluster.get("extensions") or ():
        if extension.get("name") == "client.authentication.k8s.io/exec":
            info["config"] = extension.get("extension")
    return info


def login(selection: Selection, clock: Clock) -> Login:
    """How the user of a context logs in, in kubectl's order: token, password, plugin; a certificate needs no header."""
    user = selection.user
    acting = sorted(key for key in user if key in _ACTING)
    if acting:
        raise Refused(
            f"user {selection.user_name} in {selection.source} acts as somebody else ({', '.join(acting)}), which is "
            "not supported: log in as the one who may do it"
        )
    if user.get("tokenFile"):
        return TokenFile(Path(user["tokenFile"]))
    if user.get("token"):
        return Fixed({"Authorization": f"Bearer {user['token']}"})
    if user.get("username"):
        both = f"{user['username']}:{user.get('password', '')}".encode()
        return Fixed({"Authorization": f"Basic {base64.b64encode(both).decode()}"})
    if user.get("exec"):
        return Plugin(selection, clock)
    return Fixed({})


def certificate_end(user: Mapping[str, Json]) -> datetime | None:
    """When the user's client certificate expires; None when there is none that can be read."""
    try:
        if user.get("client-certificate-data"):
            return not_after(base64.b64decode(user["client-certificate-data"]))
        if user.get("client-certificate"):
            return not_after(Path(user["client-certificate"]).read_bytes())
    except (OSError, ValueError, IndexError):
        return None
    return None


def not_after(pem: bytes) -> datetime:
    """
    The end of a certificate's validity.

    Python's `ssl` tells it only of a peer's certificate, so the few fields before it are walked over here:
    Certificate{ tbs{ [0] version, serial, algorithm, issuer, validity{ from, to }. Raise ValueError or IndexError.
    """
    body = pem.split(b"-----BEGIN CERTIFICATE-----")[1].split(b"-----END")[0]
    fields = _fields(_fields(_fields(base64.b64decode(body))[0][1])[0][1])
    versioned = fields[0][0] == 0xA0  # noqa: PLR2004 - the tag of [0]
    kind, end = _fields(fields[3 + versioned][1])[1]
    text = end.decode("ascii")
    if kind == 0x17:  # noqa: PLR2004 - UTCTime has two digits for the year, and means 1950 to 2049
        text = ("20" if text < "50" else "19") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _fields(data: bytes) -> list[tuple[int, bytes]]:
    """Tags and contents of the DER elements that lie in `data` one after the other."""
    found = []
    while data:
        length, begin = data[1], 2
        if length & 0x80:
            begin += length & 0x7F
            length = int.from_bytes(data[2:begin], "big")
        found.append((data[0], data[begin : begin + length]))
        data = data[begin + length :]
    return found
