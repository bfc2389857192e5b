"""Sends exchanges over a pool of connections that are kept alive for a while, and opens one more when none is idle."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable

from scenario_runner.core.samples import TlsFiles
from scenario_runner.load.clock import now
from scenario_runner.load.connection import Connection, Exchange, reason_of
from scenario_runner.load.request import Place

# Most servers end idle connections after 2 to 75 s. A request that crosses such an end in flight is a failure nobody
# meant, so we end ours first.
_LONGEST_IDLE = 1.5
# Services balance connections, not requests. One that is kept for the whole load would ask the same pod all the time,
# and whether that is the victim would be luck. They end one after the other: where all do at once, whatever is to be
# sent meanwhile opens more of them, which takes longer, and a fast load would be late twice a second.
_LONGEST_LIFE = 0.5
_BETWEEN_ENDS = 0.01  # seconds
_RESOLVED_FOR = 5.0  # seconds for which addresses of a name are kept; a service may move
_OURS = {errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM}

_Address = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]


class Client:
    """One service. Proxies from the environment are not used: the load is for the service, not for a proxy."""

    def __init__(self, place: Place, on_trouble: Callable[[str], None], tls: TlsFiles | None = None) -> None:
        """Raise ValueError with a sentence for TLS files that can not be used."""
        self.opened = 0  # connections
        self.resent = 0  # requests
        self._place = place
        self._on_trouble = on_trouble  # told in a sentence what we lack to send the load
        self._idle: dict[Connection, None] = {}  # the last one is used first, so that the others may rest and end
        self._next_end = 0.0  # not before then another connection is ended for its age
        self._addresses: list[_Address] = []
        self._resolved_at = 0.0
        self._tls = _context(tls or TlsFiles()) if place.tls else None
        self._server_name = (tls.server_name if tls else "") or place.host

    def send(self, exchange: Exchange, deadline: float) -> None:
        """Send it now; at `deadline` it has failed. Never blocks."""
        loop = asyncio.get_running_loop()
        exchange.timer = loop.call_later(max(0.0, deadline - now()), self._expire, exchange)
        connection = self._take()
        if connection is not None:
            connection.send(exchange)
        else:
            exchange.task = loop.create_task(self._open(exchange))

    def rest(self) -> None:
        """End the connections that were idle too long. To be called now and then."""
        oldest = now() - _LONGEST_IDLE
        for connection in [each for each in self._idle if each.idle_since < oldest]:
            del self._idle[connection]
            connection.abort()

    # What a connection calls.

    def give_back(self, connection: Connection) -> None:
        moment = connection.idle_since
        if moment > max(connection.made_at + _LONGEST_LIFE, self._next_end):
            self._next_end = moment + _BETWEEN_ENDS
            connection.abort()
        else:
            self._idle[connection] = None

    def lost(self, connection: Connection) -> None:
        self._idle.pop(connection, None)

    def resend(self, exchange: Exchange) -> None:
        self.resent += 1
        exchange.resent = True
        exchange.task = asyncio.get_running_loop().create_task(self._open(exchange))

    def _take(self) -> Connection | None:
        oldest = now() - _LONGEST_IDLE
        while self._idle:
            connection, _ = self._idle.popitem()
            if connection.idle_since >= oldest and connection.ready_again():
                return connection
            connection.abort()
        return None

    def _expire(self, exchange: Exchange) -> None:
        if exchange.connection is not None:
            exchange.connection.abort()
        if exchange.task is not None:
            exchange.task.cancel()
        exchange.end("timed out")

    async def _open(self, exchange: Exchange) -> None:
        try:
            connection = await self._connect()
        except OSError as error:  # name, network and TLS
            if error.errno in _OURS and not isinstance(error, socket.gaierror):
                self._on_trouble(f"the load worker can not open connections: {str(error.strerror).lower()}")
            exchange.end(reason_of(error))
            return
        exchange.task = None
        if exchange.over:
            connection.abort()
        else:
            connection.send(exchange)

    async def _connect(self) -> Connection:
        sock = await self._reach()
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(self, sock),
                sock=sock,
                ssl=self._tls,
                server_hostname=self._server_name if self._tls else None,
            )
        except BaseException:  # cancelled, too
            sock.close()
            raise
        self.opened += 1
        return connection

    async def _reach(self) -> socket.socket:
        """A connected socket to the first address that takes one; raise the last error if none does."""
        failed: OSError | None = None
        for address in await self._resolve():
            try:
                sock = await _connected(address)
            except OSError as error:
                failed = error
                continue
            if self._addresses and self._addresses[0] != address:  # the one that works goes first from now on
                self._addresses = [address, *(each for each in self._addresses if each != address)]
            return sock
        self._addresses = []
        raise failed or OSError("the name has no address")

    async def _resolve(self) -> list[_Address]:
        if not self._addresses or now() - self._resolved_at > _RESOLVED_FOR:
            host, port = self._place.host, self._place.port
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
            self._addresses = [(socket.AddressFamily(family), address) for family, _, _, _, address in found]
            self._resolved_at = now()
        return list(self._addresses)


def _context(files: TlsFiles) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=files.authorities or None)
        if files.certificate:
            context.load_cert_chain(files.certificate, files.key or None)
    except OSError as error:  # ssl.SSLError is one of these
        raise ValueError(f"the files for TLS can not be used: {error}") from error
    return context


async def _connected(address: _Address) -> socket.socket:
    family, place = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, place)
    except BaseException:  # cancelled, too
        sock.close()
        raise
    return sock
