"""JSON requests to a Kubernetes API server over the official client's connections and credentials."""

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from scenario_runner.adapters.kubernetes_access import Access
from scenario_runner.adapters.kubernetes_errors import NoAnswer, Silent, no_answer, not_kubernetes, refusal
from scenario_runner.adapters.pacing import RateLimit, Tries
from scenario_runner.core.clock import Clock, Deadline
from scenario_runner.errors import TargetRefused

Json = Any
_LONGEST = 5.0  # seconds that a request may take
_SHORTEST = 0.05  # seconds that a try gets at least


@dataclass(frozen=True)
class Call:
    """One request; the path is the API server's own, without the path that its address may have."""

    method: str
    path: str
    query: Mapping[str, str] | None = None
    body: bytes | None = None
    content_type: str = ""
    headers: Mapping[str, str] | None = None

    @property
    def what(self) -> str:
        return f"{self.method} {self.path}"


class KubernetesRest:
    """
    Speaks JSON with one API server. No request takes longer than `timeout` seconds, all its tries together.

    A read is tried again when the server is away, stumbles or asks to wait; a change only when it was surely not made.
    """

    def __init__(self, access: Access, clock: Clock, *, timeout: float = _LONGEST) -> None:
        self._access = access
        self._clock = clock
        self._limit = RateLimit(clock)
        self._timeout = min(timeout, _LONGEST)

    @property
    def access(self) -> Access:
        return self._access

    @property
    def address(self) -> str:
        return self._access.address

    def close(self) -> None:
        """Close idle connections; the others end with their responses."""
        self._access.close()

    def get(
        self, path: str, query: Mapping[str, str] | None = None, *, patient: bool = True, accept: str = ""
    ) -> Json | None:
        """
        An object or a list; None when the server answers 404. `patient`: tried again where that makes sense.

        `accept`: the form that it is to have, where not the usual one.
        """
        call = Call("GET", path, query, headers={"Accept": accept} if accept else None)
        try:
            return self._parsed(path, self._request(call, patient=patient))
        except TargetRefused as refused:
            if refused.code == "NotFound":
                return None
            raise

    def text(self, path: str, query: Mapping[str, str]) -> str:
        """A body that is no JSON: a log."""
        return self._request(Call("GET", path, query)).decode(errors="replace")

    def json_patch(self, path: str, operations: list[dict[str, Json]]) -> Json:
        """The patched object."""
        body = json.dumps(operations).encode()
        call = Call("PATCH", path, body=body, content_type="application/json-patch+json")
        return self._parsed(path, self._request(call))

    def send(self, method: str, path: str, content: Json = None, query: Mapping[str, str] | None = None) -> Json:
        """What the server answers to a change: POST, PUT or DELETE with a JSON body, or with none."""
        body = None if content is None else json.dumps(content).encode()
        return self._parsed(path, self._request(Call(method, path, query, body, "application/json" if body else "")))

    def raw(self, call: Call, *, timeout: float) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of whatever answers behind the API server. Raise NoAnswer at the first trouble."""
        answer = self._raw(call, timeout)
        again = answer[0] == HTTPStatus.UNAUTHORIZED and self._access.forget()
        return self._raw(call, timeout) if again else answer

    def _raw(self, call: Call, timeout: float) -> tuple[int, Mapping[str, str], bytes]:
        response = self._open(call, connect=timeout, read=timeout)
        try:
            return response.status, dict(response.headers), self._body(response)
        finally:
            response.release_conn()

    def _parsed(self, path: str, body: bytes) -> Json:
        try:
            return json.loads(body)
        except ValueError as odd:
            raise not_kubernetes(self._access, path, body) from odd

    def _request(self, call: Call, *, patient: bool = True) -> bytes:
        deadline = Deadline.after(self._clock, self._timeout)
        tries = Tries(deadline, reads=call.method == "GET")
        fresh = False  # we logged in anew for this request
        while True:
            try:
                return self._once(call, max(_SHORTEST, deadline.left))
            except NoAnswer as trouble:
                if not patient or not tries.again(trouble):
                    raise
            except TargetRefused as refused:
                if fresh or refused.code != "Unauthorized" or not self._access.forget():
                    raise
                fresh = True

    def _once(self, call: Call, timeout: float) -> bytes:
        response = self._open(call, connect=timeout, read=timeout)
        try:
            body = self._body(response)
            self._refuse(call, response, body)
            return body
        finally:
            response.release_conn()

    def _body(self, response: Any) -> bytes:
        import urllib3

        try:
            data: bytes = response.read()
        except urllib3.exceptions.HTTPError as error:
            raise no_answer(self._access, error, self._timeout) from error
        return data

    def _refuse(self, call: Call, response: Any, body: bytes) -> None:
        if response.status >= HTTPStatus.MULTIPLE_CHOICES:  # redirects are not followed
            raise refusal(self._access, call.what, response.status, body, response.headers)

    def _open(self, call: Call, *, connect: float, read: float) -> Any:
        import urllib3

        self._limit.wait()
        headers = {"Accept": "application/json, */*", "User-Agent": "scenario-runner"}
        if call.content_type:
            headers["Content-Type"] = call.content_type
        # Asked anew each time: a token from a plugin or a file may have been renewed.
        headers |= dict(call.headers or {}) | dict(self._access.headers())
        url = self._access.server + call.path + (f"?{urlencode(call.query)}" if call.query else "")
        timeout = urllib3.Timeout(connect=connect, read=read)
        try:
            return self._access.pool().request(
                call.method, url, body=call.body, headers=headers, timeout=timeout, retries=False, redirect=False,
                preload_content=False,
            )  # fmt: skip
        except urllib3.exceptions.HTTPError as error:
            raise no_answer(self._access, error, self._timeout) from error

    def stream(self, path: str, query: Mapping[str, str], *, silence: float) -> "Lines":
        """
        The lines of a response that goes on, each as soon as it is here.

        Raise Silent when nothing comes for `silence` seconds, TargetUnreachable when the connection breaks.
        """
        call = Call("GET", path, query)
        response = self._open(call, connect=self._timeout, read=silence)
        if response.status >= HTTPStatus.MULTIPLE_CHOICES:
            try:
                if response.status == HTTPStatus.UNAUTHORIZED:
                    self._access.forget()  # the next try logs in anew
                self._refuse(call, response, self._body_of_refusal(response))
            finally:
                response.release_conn()
        return Lines(response, self._access, silence)

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

    def __init__(self, response: Any, access: Access, silence: float) -> None:
        self._response = response
        self._silence = silence
        self._access = access
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
            raise no_answer(self._access, error, self._silence) from error
        finally:
            with self._lock:
                self._open = False
            self._response.close()

    def close(self) -> None:
        """End the reading thread's wait for more."""
        with self._lock:
            if self._open:
                self._response.shutdown()
