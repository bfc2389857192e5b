"""One connection to the service: sends a request, reads its answer, and is used again."""

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol, cast

import httptools

from scenario_runner.load.answers import Judge
from scenario_runner.load.clock import now
from scenario_runner.load.tcp import look

_CONTINUE, _OK = 100, 200  # statuses from the one to below the other announce an answer that is still to come


class Exchange:
    """One request and what came of it. `on_end` is called once, whatever happens."""

    __slots__ = (
        "connection", "ended", "expected", "judge", "on_end", "over", "payload", "reason", "resent", "scheduled",
        "started", "status", "task", "timer",
    )  # fmt: skip

    def __init__(self, payload: bytes, judge: Judge, scheduled: float, on_end: "Callable[[Exchange], None]") -> None:
        self.payload = payload
        self.judge = judge
        self.scheduled = scheduled
        self.on_end = on_end
        self.started = now()
        self.ended = 0.0
        self.expected: tuple[int, ...] = ()  # statuses; none: any 2xx
        self.status = 0
        self.reason = ""
        self.over = False
        self.resent = False
        self.connection: Connection | None = None
        self.task: asyncio.Task[None] | None = None  # that opens its connection
        self.timer: asyncio.TimerHandle | None = None

    def end(self, reason: str) -> None:
        """The first end counts."""
        if self.over:
            return
        self.over = True
        self.ended = now()
        self.reason = reason
        self.connection = None
        if self.timer is not None:
            self.timer.cancel()
        self.on_end(self)

    @property
    def as_expected(self) -> bool:
        return self.status in self.expected if self.expected else self.status // 100 == 2  # noqa: PLR2004 - 2xx


class Pool(Protocol):
    """Who owns the connections."""

    def give_back(self, connection: "Connection") -> None:
        """It is idle and may be used again."""
        ...

    def lost(self, connection: "Connection") -> None:
        """It ended."""
        ...

    def resend(self, exchange: Exchange) -> None:
        """The request never reached the service: send it over a fresh connection."""
        ...


class Connection(asyncio.Protocol):
    """
    A connection that carries one exchange at a time.

    A request is sent again only when the service can not have seen it: on a connection that was idle before, when its
    end comes without a byte of an answer and the other side's kernel never acknowledged a byte of the request. That end
    was then on its way before the request came. Any other end counts as a failure, so that the death of a service with
    requests in its hands is never hidden.
    """

    def __init__(self, pool: Pool, sock: socket.socket) -> None:
        self.made_at = 0.0
        self.idle_since = 0.0
        self._pool = pool
        self._sock = sock
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._acknowledged = -1  # before the request was sent; -1: unknown, or the connection is fresh
        self._touched = False  # a byte of the answer came
        self._headers_read = False
        self._framed = False  # the answer says where it ends; otherwise it ends with the connection
        self._head_only = False

    def send(self, exchange: Exchange) -> None:
        assert self._transport is not None
        self._exchange = exchange
        exchange.connection = self
        self._touched = self._headers_read = self._framed = False
        self._head_only = exchange.payload.startswith(b"HEAD ")
        self._transport.write(exchange.payload)

    def ready_again(self) -> bool:
        """Whether an idle connection can carry one more request."""
        seen = look(self._sock)
        self._acknowledged = seen.acknowledged
        return seen.open and self._transport is not None and not self._transport.is_closing()

    def abort(self) -> None:
        """End it now; no exchange hears of it any more."""
        self._exchange = None
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.made_at = now()
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports are not asyncio's by class

    def data_received(self, data: bytes) -> None:
        if self._exchange is None:
            self.abort()  # nothing was asked: whatever this is, the connection can not be trusted
            return
        self._touched = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._end(f"HTTP {self._parser.get_status_code()}")
        except httptools.HttpParserCallbackError:
            raise  # a defect of ours is not the service's failure
        except httptools.HttpParserError:
            self._end("not HTTP")

    def eof_received(self) -> bool:
        exchange = self._exchange
        if exchange is None:
            return False
        if self._never_arrived():
            self._exchange = None
            self._pool.resend(exchange)
        elif not self._touched:
            self._end("connection closed without an answer")
        elif not self._headers_read:
            self._end("answer ended early")
        else:
            self._judge(exchange, whole=not self._framed)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._pool.lost(self)
        exchange = self._exchange
        if exchange is None:
            return
        if self._headers_read and not exchange.judge.verdict(whole=False):
            self._judge(exchange, whole=False)
        else:
            self._end(reason_of(error) if error else "connection closed without an answer")

    def _never_arrived(self) -> bool:
        if self._touched or self._acknowledged < 0:
            return False
        return look(self._sock).acknowledged == self._acknowledged

    # What the parser calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() in {b"content-length", b"transfer-encoding"}:
            self._framed = True

    def on_headers_complete(self) -> None:
        exchange = self._exchange
        status = self._parser.get_status_code()
        if exchange is None or _CONTINUE <= status < _OK:
            return
        self._headers_read = True
        exchange.status = status
        if self._head_only:  # the parser would wait for a body that never comes, so this connection is not used again
            self._judge(exchange, whole=True)

    def on_body(self, body: bytes) -> None:
        if self._exchange is not None and self._exchange.as_expected:
            self._exchange.judge.data(body)

    def on_message_complete(self) -> None:
        exchange = self._exchange
        if exchange is None or not self._headers_read:
            return
        if not self._parser.should_keep_alive():
            self._judge(exchange, whole=True)
            return
        self._exchange = None
        self.idle_since = now()
        exchange.end(_reason(exchange, whole=True))
        self._pool.give_back(self)

    def _judge(self, exchange: Exchange, *, whole: bool) -> None:
        self._end(_reason(exchange, whole=whole))

    def _end(self, reason: str) -> None:
        """End the exchange and, with it, the connection."""
        exchange = self._exchange
        self.abort()
        if exchange is not None:
            exchange.end(reason)


def _reason(exchange: Exchange, *, whole: bool) -> str:
    return exchange.judge.verdict(whole=whole) if exchange.as_expected else f"HTTP {exchange.status}"


def reason_of(error: Exception) -> str:
    """A failed connection in words that are the same for the same cause."""
    for kind, text in _REASONS:
        if isinstance(error, kind):
            return text
    if isinstance(error, socket.gaierror):
        return f"name not resolved: {error.strerror}"
    if reason := getattr(error, "verify_message", ""):
        return f"TLS: {reason}"
    if reason := getattr(error, "reason", ""):
        return f"TLS: {str(reason).replace('_', ' ').lower()}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return f"{type(error).__name__}: {error}"


_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (ConnectionRefusedError, "connection refused"),
    (ConnectionResetError, "connection reset"),
    (BrokenPipeError, "connection reset"),
    (ConnectionAbortedError, "connection reset"),
    (TimeoutError, "timed out"),
)
