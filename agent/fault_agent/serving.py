"""Listens and serves until SIGTERM; refuses to be reachable from outside without a token and TLS."""

import ipaddress
import signal
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import uvicorn

from fault_agent.guard import App
from fault_agent.node_client import url_of
from fault_agent.refusal import CannotStart


def listening(listen: str, *, protected: bool) -> socket.socket:
    """A socket bound to `HOST:PORT` (port 0 picks one); raises CannotStart.

    `protected` means a token and TLS; without both only loopback addresses are accepted.
    """
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit():
        raise CannotStart(f"--listen takes HOST:PORT, not {listen!r}.")
    if not protected and not _is_loopback(host):
        raise CannotStart(f"{host} is not a loopback address: --token-file, --tls-cert and --tls-key are needed.")
    try:
        family = socket.getaddrinfo(host, None)[0][0]
        return socket.create_server((host, int(port)), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        raise CannotStart(f"{listen} can not be listened on: {error}.") from error


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_tls(cert: Path, key: Path) -> None:
    """Raises CannotStart if the pair can not be used."""
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise CannotStart(f"--tls-cert {cert} and --tls-key {key} can not be used: {error}.") from error


class _Server(uvicorn.Server):
    """Tells when it serves."""

    def __init__(self, config: uvicorn.Config, when_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._when_ready = when_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._when_ready()


def serve(app: App, sock: socket.socket, tls: tuple[Path, Path] | None = None) -> None:
    """Serve until SIGTERM or SIGINT; prints `ready <url>` once it answers."""
    host, port = sock.getsockname()[:2]
    url = url_of("https" if tls else "http", host, port)
    config = uvicorn.Config(
        app,
        loop="asyncio",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
        ssl_certfile=tls[0] if tls else None,
        ssl_keyfile=tls[1] if tls else None,
    )
    # The server raises a signal again once it has shut down; these handlers make that a normal return.
    signal.signal(signal.SIGTERM, _ignore)
    signal.signal(signal.SIGINT, _ignore)
    _Server(config, lambda: print(f"ready {url}", flush=True)).run(sockets=[sock])  # noqa: T201 - the contract with whoever started us


def _ignore(_number: int, _frame: object) -> None:
    return None
