"""The order to reboot, over a real unix socket."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scenario_runner.lab.platform.reboot import RebootCall, ask_keeper


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[socket.socket]:
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(tmp_path / "k.sock"))
    server.listen()
    yield server
    server.close()


def wait_for_answer(call: RebootCall) -> str:
    answer: list[str] = []
    pause = threading.Event()
    while not answer:
        if (got := call.answer()) is not None:
            answer.append(got)
        pause.wait(0.005)
    return answer[0]


@pytest.fixture
def order(tmp_path: Path, keeper: socket.socket) -> Callable[[], tuple[RebootCall, socket.socket]]:
    def give() -> tuple[RebootCall, socket.socket]:
        call = ask_keeper(tmp_path / "k.sock")("gpu-1")
        return call, keeper.accept()[0]

    return give


def test_the_order_names_the_node_and_the_answer_is_not_waited_for(
    order: Callable[[], tuple[RebootCall, socket.socket]],
) -> None:
    call, connection = order()
    assert connection.recv(100) == b"reboot gpu-1\n"
    assert call.answer() is None
    connection.sendall(b"o")
    assert call.answer() is None
    connection.sendall(b"k\n")
    assert wait_for_answer(call) == "ok"
    connection.close()


def test_an_error_comes_back_as_the_keeper_said_it(order: Callable[[], tuple[RebootCall, socket.socket]]) -> None:
    call, connection = order()
    connection.sendall(b"error there is no node gpu-1\n")
    assert wait_for_answer(call) == "error there is no node gpu-1"
    connection.close()


def test_a_keeper_that_hangs_up_has_not_said_ok(order: Callable[[], tuple[RebootCall, socket.socket]]) -> None:
    call, connection = order()
    connection.recv(100)
    connection.close()
    assert wait_for_answer(call) == "the keeper hung up without an answer"


def test_no_keeper_at_all_is_an_answer_too(tmp_path: Path) -> None:
    call = ask_keeper(tmp_path / "nobody.sock")("gpu-1")
    assert call.answer() == "the keeper can not be asked: No such file or directory"
