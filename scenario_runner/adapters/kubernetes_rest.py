"""JSON requests to a Kubernetes API server over the official client's connections and credentials."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from scenario_runner.errors import Refused, TargetRefused, TargetUnreachable

Json = Any
_LONGEST = 5.0  # seconds that a request may take


class Silent(TargetUnreachable):
    """A stream from which nothing was heard for too long."""


class KubernetesRest:
    """
    Speaks JSON with one API server. The official client brings kubeconfig, certificates, exec credentials and proxies.

    `kubernetes` takes a quarter of a second to import, so it is imported when the first instance is made.
    """

    def __init__(self, kubeconfig: Path, *, context: str | None = None, timeout: float = _LONGEST) -> None:
        import yaml
        from kubernetes import client, config

        self._configuration: Any = client.Configuration()
        try:
            config.load_kube_config(  # type: ignore[no-untyped-call]
                str(kubeconfig), context=context, client_configuration=self._configuration, persist_config=False
            )
        except (config.ConfigException, yaml.YAMLError, OSError, ValueError, TypeError) as exc:
            raise Refused(f"kubeconfig {kubeconfig} cannot be used: {exc}") from exc
        self._pool = client.ApiClient(self._configuration).rest_client.pool_manager
        self._kubeconfig = kubeconfig
        self._timeout = min(timeout, _LONGEST)
        self.url: str = self._configuration.host

    def close(self) -> None:
        """Close idle connections; the others end with their responses."""
        self._pool.clear()

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Json | None:
        """An object or a list; None when the server answers 404."""
        try:
            return self._parsed(path, self._request("GET", path, query))
        except TargetRefused as refusal:
            if refusal.code == "NotFound":
                return None
            raise

    def text(self, path: str, query: Mapping[str, str]) -> str:
        """A body that is no JSON: a log."""
        return self._request("GET", path, query).decode(errors="replace")

    def json_patch(self, path: str, operations: list[dict[str, Json]]) -> Json:
        """The patched object."""
        body = json.dumps(operations).encode()
        return self._parsed(path, self._request("PATCH", path, body=body, content_type="application/json-patch+json"))

    def _parsed(self, path: str, body: bytes) -> Json:
        try:
            return json.loads(body)
        except ValueError as odd:
            raise TargetRefused(
                f"what answers at {self.url}{path} is not an API server: {body[:100]!r}", code="NotKubernetes"
            ) from odd

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "",
    ) -> bytes:
        response = self._open(method, path, query, body=body, content_type=content_type, read_timeout=self._timeout)
        try:
            return self._body(method, path, response)
        finally:
            response.release_conn()

    def _body(self, method: str, path: str, response: Any) -> bytes:
        import urllib3

        try:
            data: bytes = response.read()
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(error) from error
        if response.status >= HTTPStatus.MULTIPLE_CHOICES:  # redirects are not followed
            raise self._refusal(method, path, response.status, data)
        return data

    def _open(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        *,
        body: bytes | None = None,
        content_type: str = "",
        read_timeout: float,
    ) -> Any:
        import urllib3

        headers = {"Accept": "application/json, */*", "User-Agent": "scenario-runner"}
        if content_type:
            headers["Content-Type"] = content_type
        # Asked anew each time: a token from an exec plugin or a file may have been renewed.
        for setting in self._configuration.auth_settings().values():
            headers[setting["key"]] = setting["value"]
        url = self.url + path + (f"?{urlencode(query)}" if query else "")
        timeout = urllib3.Timeout(connect=self._timeout, read=read_timeout)
        try:
            return self._pool.request(
                method, url, body=body, headers=headers, timeout=timeout, retries=False, redirect=False,
                preload_content=False,
            )  # fmt: skip
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> TargetUnreachable:
        import urllib3

        server = f"the API server at {self.url}"
        if isinstance(error, urllib3.exceptions.SSLError):
            return TargetUnreachable(f"{server} shows a certificate that {self._kubeconfig} does not trust ({error})")
        if isinstance(error, urllib3.exceptions.ConnectTimeoutError):  # NewConnectionError is one of these
            return TargetUnreachable(f"{server} is not reachable ({_last_words(error)})")
        if isinstance(error, urllib3.exceptions.TimeoutError):
            return TargetUnreachable(f"{server} did not answer within {self._timeout:g}s", sent=True)
        return TargetUnreachable(f"the connection to {server} broke off ({_last_words(error)})", sent=True)

    def _refusal(self, method: str, path: str, status: int, body: bytes) -> TargetRefused | TargetUnreachable:
        reason, message = _status(status, body)
        what = f"{method} {path}"
        if status == HTTPStatus.UNAUTHORIZED:
            return TargetRefused(
                f"the API server at {self.url} does not accept the credentials of {self._kubeconfig} (401)", code=reason
            )
        if status == HTTPStatus.FORBIDDEN:
            return TargetRefused(f"the API server at {self.url} does not allow {what}: {message}", code=reason)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
            text = f"the API server at {self.url} answered {status} to {what}: {message}"
            return TargetUnreachable(text, sent=status != HTTPStatus.TOO_MANY_REQUESTS)
        return TargetRefused(f"the API server refuses {what}: {message}", code=reason)

    def stream(self, path: str, query: Mapping[str, str], *, silence: float) -> "Lines":
        """
        The lines of a response that goes on, each as soon as it is here.

        Raise Silent when nothing comes for `silence` seconds, TargetUnreachable when the connection breaks.
        """
        response = self._open("GET", path, query, read_timeout=silence)
        if response.status >= HTTPStatus.MULTIPLE_CHOICES:  # redirects are not followed
            try:
                raise self._refusal("GET", path, response.status, self._body_of_refusal(response))
            finally:
                response.release_conn()
        return Lines(response, self._unreachable, silence)

    @staticmethod
    def _body_of_refusal(response: Any) -> bytes:
        import urllib3

        try:
            data: bytes = response.read()
        except urllib3.exceptions.HTTPError:
            return b""  # the status alone says enough
        return data


class Lines:
    """A response that is read line by line, by one thread; any other may close it."""

    def __init__(self, response: Any, unreachable: Callable[[Exception], TargetUnreachable], silence: float) -> None:
        self._response = response
        self._silence = silence
        self._unreachable = unreachable
        self._lock = threading.Lock()
        self._open = True

    def __iter__(self) -> Iterator[bytes]:
        import urllib3

        rest = b""
        try:
            while chunk := self._response.read1(65536):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from lines
        except urllib3.exceptions.TimeoutError as error:
            raise Silent(f"nothing was heard from the API server for {self._silence:g}s", sent=True) from error
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(error) from error
        finally:
            with self._lock:
                self._open = False
            self._response.close()

    def close(self) -> None:
        """End the reading thread's wait for more."""
        with self._lock:
            if self._open:
                self._response.shutdown()


def _status(status: int, body: bytes) -> tuple[str, str]:
    """Reason and message of the Status object that an API server answers with."""
    try:
        answer = json.loads(body)
        return str(answer.get("reason") or _reason(status)), str(answer.get("message") or f"status {status}")
    except (ValueError, AttributeError):
        return _reason(status), body[:200].decode(errors="replace") or f"status {status}"


def _reason(status: int) -> str:
    return "NotFound" if status == HTTPStatus.NOT_FOUND else f"http_{status}"


def _last_words(error: BaseException) -> str:
    """What the innermost of nested client errors says in the end: "[Errno 111] Connection refused"."""
    while error.args and isinstance(error.args[-1], BaseException):
        error = error.args[-1]
    return str(error).rpartition(": ")[2] or type(error).__name__
