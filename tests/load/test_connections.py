"""Connections are kept alive, and what dies with one is never hidden."""

import asyncio
import socket
import ssl
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scenario_runner.load.answers import Plain
from scenario_runner.load.connection import Connection, Exchange
from tests.load.conftest import Loads
from tests.load.service import OK, Asked, Service, always


def test_a_connection_is_used_again(loads: Loads) -> None:
    with Service(always(OK)) as service:
        loads.carry_out(service.url, every=0.02, count=20)

    assert len(service.requests) == 20
    assert service.connections < 5  # one, unless this machine stalls


def test_a_long_load_asks_every_pod_behind_a_service_that_balances_connections(loads: Loads) -> None:
    with Service(always(OK)) as service:
        loads.carry_out(service.url, every=0.05, count=40)

    per_connection = Counter(asked.connection for asked in service.requests)
    assert len(service.requests) == 40
    assert len(per_connection) >= 4  # two seconds, and none is used for longer than half a second
    assert max(per_connection.values()) <= 12


def test_a_request_does_not_wait_for_a_busy_connection(loads: Loads) -> None:
    def answer(asked: Asked) -> bool:
        if asked.connection == 1:
            return asked.hang()
        asked.sock.sendall(OK)
        return True

    with Service(answer) as service:
        selection = loads.carry_out(service.url, every=0.05, count=5, request_timeout=0.5)

    assert (selection.succeeded, selection.failures) == (4, {"timed out": 1})


@pytest.mark.parametrize(
    "response", [OK, OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")], ids=["in silence", "as it says"]
)
def test_a_service_that_ends_each_connection_gets_a_new_one_each_time(loads: Loads, response: bytes) -> None:
    with Service(always(response, stay=False)) as service:
        selection = loads.carry_out(service.url, every=0.05, count=5)

    assert (selection.succeeded, selection.failures) == (5, {})
    assert service.connections == 5


def test_a_service_that_dies_with_requests_in_its_hands_is_not_asked_again(loads: Loads) -> None:
    def answer(asked: Asked) -> bool:
        if asked.nth == 1:
            asked.sock.sendall(OK)
        return asked.nth == 1  # the second request on a connection is read, and then nothing comes

    with Service(answer) as service:
        selection = loads.carry_out(service.url, every=0.05, count=6)

    assert selection.failures == {"connection closed without an answer": 3}
    assert len(service.requests) == 6


class Owner:
    """A pool that remembers what it was told."""

    def __init__(self) -> None:
        self.resent: list[Exchange] = []

    def give_back(self, connection: Connection) -> None: ...
    def lost(self, connection: Connection) -> None: ...
    def resend(self, exchange: Exchange) -> None:
        self.resent.append(exchange)


class Wire(asyncio.Transport):
    """A transport that writes at once."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self.sock = sock

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sock.sendall(data)

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None: ...


@contextmanager
def idle_connection(owner: Owner) -> Iterator[tuple[Connection, socket.socket]]:
    """A connection that carried an exchange before, and the service's end of it."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as ours,
        listener.accept()[0] as theirs,
    ):
        connection = Connection(owner, ours)
        connection.connection_made(Wire(ours))
        first = an_exchange()
        connection.send(first)
        theirs.recv(100)
        connection.data_received(OK)
        assert (first.over, first.reason) == (True, "")
        yield connection, theirs


def an_exchange() -> Exchange:
    return Exchange(b"GET / HTTP/1.1\r\n\r\n", Plain(), 0.0, lambda _: None)


def _close_unseen(theirs: socket.socket, send: Callable[[], None]) -> None:
    theirs.close()
    send()


def _close_after_reading(theirs: socket.socket, send: Callable[[], None]) -> None:
    send()
    theirs.recv(100)
    theirs.close()


def test_a_request_that_crossed_the_end_of_its_connection_is_sent_once_more() -> None:
    owner = Owner()
    with idle_connection(owner) as (connection, theirs):
        exchange = an_exchange()
        assert connection.ready_again()
        _close_unseen(theirs, lambda: connection.send(exchange))
        connection.eof_received()

    assert owner.resent == [exchange]
    assert not exchange.over


def test_a_request_that_arrived_is_not_sent_once_more() -> None:
    owner = Owner()
    with idle_connection(owner) as (connection, theirs):
        exchange = an_exchange()
        assert connection.ready_again()
        _close_after_reading(theirs, lambda: connection.send(exchange))
        connection.eof_received()

    assert owner.resent == []
    assert exchange.reason == "connection closed without an answer"


def test_an_idle_connection_that_the_service_ended_is_not_used() -> None:
    with idle_connection(Owner()) as (connection, theirs):
        theirs.close()

        assert not connection.ready_again()


def test_words_without_a_question_end_a_connection() -> None:
    ended: list[bool] = []

    class Watched(Wire):
        def abort(self) -> None:
            ended.append(True)

    with socket.socket() as sock:
        connection = Connection(Owner(), sock)
        connection.connection_made(Watched(sock))
        connection.data_received(OK)

    assert ended == [True]


def test_names_and_both_families_of_addresses_are_reached(loads: Loads) -> None:
    with Service(always(OK)) as four:
        assert loads.carry_out(f"http://localhost:{four.port}/").succeeded == 3
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with Service(always(OK), host="::1") as six:
        assert loads.carry_out(six.url).succeeded == 3


def test_proxies_from_the_environment_are_not_used(loads: Loads, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with Service(always(OK)) as service:
        assert loads.carry_out(service.url).succeeded == 3


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost and its key, in one file."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    key = path.with_name("key.pem")
    try:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
             "-keyout", str(key), "-out", str(path)],
            check=True, capture_output=True,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("this machine has no openssl to make a certificate with")
    path.write_text(path.read_text() + key.read_text())
    return path


def tls_service(certificate: Path) -> Service:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return Service(always(OK), tls=context)


def test_https_with_a_known_certificate_succeeds(
    loads: Loads, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with tls_service(certificate) as service:
        selection = loads.carry_out(f"https://localhost:{service.port}/", every=0.05, count=5)

    assert (selection.succeeded, selection.failures) == (5, {})
    assert service.connections < 5  # the first handshake may take longer than the time to the next request


def test_https_with_an_unknown_certificate_fails(loads: Loads, certificate: Path) -> None:
    with tls_service(certificate) as service:
        selection = loads.carry_out(f"https://localhost:{service.port}/")

    (reason,) = selection.failures
    assert reason in {"TLS: self-signed certificate", "TLS: self signed certificate"}  # depends on the age of OpenSSL
