"""A small real HTTP service on loopback that answers as a test tells it to, byte for byte."""

import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Asked:
    """One request as it came in. Handlers answer on `sock`; what they return says whether the connection stays."""

    sock: socket.socket
    connection: int  # number of the connection, from 1
    nth: int  # number of the request on its connection, from 1
    head: str
    body: bytes
    over: threading.Event  # set when the service shuts down: what a hanging handler waits for

    @property
    def line(self) -> str:
        return self.head.split("\r\n")[0]

    def hang(self) -> bool:
        self.over.wait()
        return False

    def reset(self) -> bool:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False


Answer = Callable[[Asked], bool]


def always(response: bytes, *, stay: bool = True) -> Answer:
    """The same bytes for everyone."""

    def answer(asked: Asked) -> bool:
        asked.sock.sendall(response)
        return stay

    return answer


def body(text: str, status: str = "200 OK") -> bytes:
    """A whole response with a length."""
    data = text.encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data


@dataclass
class Service:
    """Use as a context manager. One thread per connection."""

    answer: Answer
    host: str = "127.0.0.1"
    tls: ssl.SSLContext | None = None
    requests: list[Asked] = field(default_factory=list)
    connections: int = 0
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _socks: list[socket.socket] = field(default_factory=list)

    def __enter__(self) -> "Service":
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._listener = socket.create_server((self.host, 0), family=family, backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self._begin(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._socks:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def _begin(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._socks.append(sock)
            self.connections += 1
            self._begin(self._serve, sock, self.connections)

    def _serve(self, sock: socket.socket, number: int) -> None:
        with suppress(OSError):
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
        with sock, suppress(OSError):
            nth, rest = 0, b""
            while not self._over.is_set():
                asked, rest = self._read(sock, rest, number, nth := nth + 1)
                if asked is None:
                    return
                self.requests.append(asked)
                if not self.answer(asked):
                    return

    def _read(self, sock: socket.socket, data: bytes, number: int, nth: int) -> tuple[Asked | None, bytes]:
        while b"\r\n\r\n" not in data:
            piece = sock.recv(65536)
            if not piece:
                return None, b""
            data += piece
        head, _, rest = data.partition(b"\r\n\r\n")
        text = head.decode("latin-1")
        length = next((int(line[15:]) for line in text.split("\r\n") if line.lower().startswith("content-length:")), 0)
        while len(rest) < length:
            rest += sock.recv(65536)
        return Asked(sock, number, nth, text, rest[:length], self._over), rest[length:]
