"""Reads from the Kubernetes API: where it is, who we are there, one object or a stream of changes."""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from fault_agent.refusal import CannotStart
from fault_agent.tls import trusting

IN_CLUSTER = "in-cluster"
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class ClusterRefused(OSError):
    """The API server answered with an HTTP error; the message is the server's own where it sent one."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class ClusterApi:
    """One API server; `token_file` is read for each request, as clusters rotate tokens. `timeout` in seconds."""

    url: str
    token_file: Path | None = None
    ca_file: Path | None = None
    timeout: float = 2.0

    def get(self, path: str) -> Any:
        """The decoded answer; raises OSError (ClusterRefused where the server says no) or ValueError."""
        with self._opened(path, self.timeout) as answer:
            return json.load(answer)

    def stream(self, path: str, silence: float) -> Iterator[dict[str, Any]]:
        """JSON objects, one a line, until the server ends the answer; raises as `get`, or after `silence` seconds."""
        with self._opened(path, silence) as answer:
            for line in answer:
                yield json.loads(line)

    @contextmanager
    def _opened(self, path: str, timeout: float) -> Iterator[Any]:
        request = urllib.request.Request(f"{self.url.rstrip('/')}{path}")  # noqa: S310 - an operator's option, never a request's value
        if self.token_file is not None:
            request.add_header("Authorization", f"Bearer {self.token_file.read_text(encoding='ascii').strip()}")
        context = trusting(self.ca_file) if self.url.startswith("https") else None
        try:
            with urllib.request.urlopen(request, timeout=timeout, context=context) as answer:  # noqa: S310 - as above
                yield answer
        except urllib.error.HTTPError as error:
            with error:
                raise ClusterRefused(error.code, f"{error.code} {_told(error)}") from error
        except HTTPException as error:
            raise OSError(str(error) or type(error).__name__) from error


def _told(error: urllib.error.HTTPError) -> str:
    """What the server says in its Status object, else the name of the HTTP status."""
    try:
        message = json.loads(error.read(65536))["message"]
    except (OSError, ValueError, KeyError, TypeError, HTTPException):
        return error.reason
    return str(message)[:300]


@dataclass(frozen=True)
class ServiceAccount:
    """What a pod is given to speak to its own cluster."""

    folder: Path = SERVICE_ACCOUNT

    def api(self) -> ClusterApi:
        """The cluster this process runs in; raises CannotStart outside of one."""
        host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        if not host or not (self.folder / "token").is_file():
            raise CannotStart("This is not a pod with a service account: --kube-api URL is needed.")
        shown = f"[{host}]" if ":" in host else host
        return ClusterApi(f"https://{shown}:{port}", self.folder / "token", self.folder / "ca.crt")

    def namespace(self) -> str:
        """The namespace this process runs in; raises CannotStart outside of a cluster."""
        try:
            return (self.folder / "namespace").read_text(encoding="ascii").strip()
        except OSError as error:
            raise CannotStart("This is not a pod with a service account: --namespace is needed.") from error


def chosen_api(url: str | None, token_file: Path | None, ca_file: Path | None, account: ServiceAccount) -> ClusterApi:
    """The API that the options name: a URL, or `in-cluster` (also None) for the pod's own."""
    if url is None or url == IN_CLUSTER:
        return account.api()
    return ClusterApi(url, token_file, ca_file)
