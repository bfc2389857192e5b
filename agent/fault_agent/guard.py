"""Stands in front of the routes: token, size and number of requests, and names a browser could be lured to."""

import hmac
import ipaddress
import json
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES = 64 * 1024
MAX_AT_ONCE = 64


class Guard:
    """An ASGI application that lets through what may pass; `/health` needs no token."""

    def __init__(self, app: App, node: str | None, token: str | None) -> None:
        self._app = app
        self._node = node
        self._expected = None if token is None else token.encode()
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is not None:
            await self._refuse(send, *refusal)
            return
        self._running += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._running -= 1

    def _refusal(self, scope: Scope) -> tuple[int, str, str] | None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if self._running >= MAX_AT_ONCE:
            return 429, "too_many_requests", f"At most {MAX_AT_ONCE} requests are served at once."
        if not self._may_ask(scope["path"], headers):
            return 401, "unauthorized", "A valid bearer token is needed."
        if self._expected is None and not _names_an_address(headers.get(b"host", b"")):
            return 403, "host_not_allowed", "Without a token only requests to an address or localhost are served."
        return _refusal_of_body(headers)

    def _may_ask(self, path: str, headers: dict[bytes, bytes]) -> bool:
        if self._expected is None or path == "/health":
            return True
        given = headers.get(b"authorization", b"")
        if not given.startswith(b"Bearer "):  # the API server's proxy takes that header for itself
            given = b"Bearer " + headers.get(b"x-fault-agent-token", b"")
        return hmac.compare_digest(given, b"Bearer " + self._expected)

    async def _refuse(self, send: Send, status: int, code: str, message: str) -> None:
        body = json.dumps({"error": {"code": code, "message": message, "node": self._node}}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        if status == HTTPStatus.UNAUTHORIZED:
            headers.append((b"www-authenticate", b"Bearer"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _refusal_of_body(headers: dict[bytes, bytes]) -> tuple[int, str, str] | None:
    length = headers.get(b"content-length", b"0")
    if b"transfer-encoding" in headers or not length.isdigit():
        return 411, "length_required", "A body needs a Content-Length."
    if int(length) > MAX_BODY_BYTES:
        return 413, "too_large", f"A body has at most {MAX_BODY_BYTES} bytes."
    return None


def _names_an_address(host: bytes) -> bool:
    """A page in a browser can make any *name* lead to this machine; an address or localhost it can not."""
    name = host.decode("latin-1").rsplit(":", 1)[0] if not host.endswith(b"]") else host.decode("latin-1")
    if name == "localhost":
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
