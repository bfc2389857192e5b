"""One HTTP/1.1 connection: parses requests, answers them one after the other, knows whether it is idle."""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import cast

import httptools

_MAX_BODY = 1 << 20
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 413: "Content Too Large",
            500: "Internal Server Error", 503: "Service Unavailable"}  # fmt: skip


@dataclass
class Request:
    """A parsed request; header names are lower case."""

    method: str = ""
    path: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    keep_alive: bool = True


class Connection(asyncio.Protocol):
    """`answer` is called with each request in turn; `closed` when the connection is gone."""

    def __init__(
        self, answer: "Callable[[Request, Connection], Awaitable[None]]", closed: "Callable[[Connection], None]"
    ) -> None:
        self._answer = answer
        self._closed = closed
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None
        self._request = Request()
        self._transport: asyncio.Transport
        self._last = False

    @property
    def idle(self) -> bool:
        """No request is being answered or read."""
        return self._task is None and not self._request.path

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()
        self._closed(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._last = True
            if self._task is None:  # else an answer is in progress, and a second one must not get into it
                self.reply(400, f"{error}\n".encode(), "text/plain")
            self._transport.close()

    # What the parser calls

    def on_message_begin(self) -> None:
        self._request = Request()

    def on_url(self, url: bytes) -> None:
        self._request.path += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._request.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        if len(self._request.body) <= _MAX_BODY:
            self._request.body += body

    def on_message_complete(self) -> None:
        request, self._request = self._request, Request()
        request.method = self._parser.get_method().decode()
        request.path = request.path.partition("?")[0]
        request.keep_alive = self._parser.should_keep_alive()
        self._waiting.append(request)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._answer_all())

    async def _answer_all(self) -> None:
        try:
            while self._waiting and not self._transport.is_closing():
                await self._answer_one(self._waiting.popleft())
        except BaseException:
            self._transport.abort()  # rather no answer than a client that waits for ever
            raise
        finally:
            self._task = None

    async def _answer_one(self, request: Request) -> None:
        self._last = self._last or not request.keep_alive
        if len(request.body) > _MAX_BODY:
            self.reply(413, b"At most 1 MiB.\n", "text/plain")
        else:
            await self._answer(request, self)

    # What the service calls

    def serve_one(self) -> None:
        """The next answer is the last one."""
        self._last = True

    def close_after_this(self) -> None:
        """The answer in progress is the last one; an idle connection closes now."""
        self._last = True
        if self.idle:
            self._transport.close()

    def reply(
        self, status: int, body: bytes, content_type: str = "application/json", *, cut_at: int | None = None
    ) -> None:
        """A whole answer; with `cut_at` only so many bytes of its body leave before the connection closes."""
        self._transport.write(self._head(status, content_type, f"content-length: {len(body)}") + body[:cut_at])
        if self._last or cut_at is not None:
            self._transport.close()

    def start_stream(self) -> None:
        self._transport.write(self._head(200, "text/event-stream; charset=utf-8", "transfer-encoding: chunked"))

    def stream(self, data: bytes) -> None:
        if data:
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def end_stream(self) -> None:
        self._transport.write(b"0\r\n\r\n")
        if self._last:
            self._transport.close()

    def close(self) -> None:
        """Send what is buffered, then close; in the middle of a stream that tells the client that it was cut."""
        self._transport.close()

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        sock = cast(socket.socket, self._transport.get_extra_info("socket"))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _head(self, status: int, content_type: str, length: str) -> bytes:
        connection = "close" if self._last else "keep-alive"
        lines = (
            f"HTTP/1.1 {status} {_REASONS[status]}", f"content-type: {content_type}", length,
            f"connection: {connection}", "", "",
        )  # fmt: skip
        return "\r\n".join(lines).encode()
