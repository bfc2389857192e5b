"""A proxy that opens tunnels to this machine."""

import socket
import threading
from types import TracebackType
from urllib.parse import urlsplit


class Tunnel:
    """
    Listens on loopback; answers CONNECT with `status` and, where that is 200, passes bytes on in both directions: to
    the server `to`, whatever address was asked for.
    """

    def __init__(self, to: str = "", status: str = "200 OK") -> None:
        self.asked: list[str] = []
        self._to = urlsplit(to)
        self._status = status
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "Tunnel":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._connection, args=(client,), daemon=True).start()

    def _connection(self, client: socket.socket) -> None:
        with client:
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            self.asked.append(head.split()[1].decode())
            client.sendall(f"HTTP/1.1 {self._status}\r\nContent-Length: 0\r\n\r\n".encode())
            if not self._status.startswith("200"):
                return
            with socket.create_connection((self._to.hostname, self._to.port)) as server:
                back = threading.Thread(target=_pump, args=(server, client), daemon=True)
                back.start()
                _pump(client, server)
                back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Pass on what comes until one of the two is closed."""
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return
