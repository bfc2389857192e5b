"""How an instance starts, and how it leaves."""

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.lab.inference.instance import Instance, exchange

CHAT = {"messages": [{"role": "user", "content": "say hello"}], "max_tokens": 20}


@pytest.fixture
def start() -> Iterator[Callable[..., Instance]]:
    started: list[Instance] = []

    def start_one(**environment: str) -> Instance:
        started.append(Instance(**environment))
        return started[-1]

    yield start_one
    for instance in started:
        instance.end()


def test_it_listens_at_once_and_says_honestly_that_the_model_is_still_loading(
    start: Callable[..., Instance],
) -> None:
    instance = start(STARTUP_SECONDS="600")
    assert instance.get("/live").status == 200
    for path in ("/health", "/ready"):
        answer = instance.get(path)
        assert (answer.status, answer.json) == (503, {"status": "loading"})
    refused = instance.post("/v1/chat/completions", CHAT)
    assert (refused.status, refused.json["error"]["message"]) == (503, "The model is still loading.")
    assert instance.get("/v1/models").status == 503


def test_it_is_ready_once_the_model_is_loaded(start: Callable[..., Instance]) -> None:
    instance = start(STARTUP_SECONDS="0.01", MODEL_NAME="tiny").wait_until_loaded()
    assert instance.get("/ready").json == {"status": "ready"}
    assert instance.post("/v1/chat/completions", {**CHAT, "model": "tiny"}).json["model"] == "tiny"


def test_the_environment_makes_every_request_misbehave_and_a_header_overrules_it(
    start: Callable[..., Instance],
) -> None:
    instance = start(STARTUP_SECONDS="0", MISBEHAVE="error-500").wait_until_loaded()
    assert instance.post("/v1/chat/completions", CHAT).status == 500
    assert instance.post("/v1/chat/completions", CHAT, x_misbehave="none").status == 200


def begin_stream(instance: Instance) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    connection = instance.connect()
    connection.request("POST", "/v1/chat/completions", json.dumps({**CHAT, "stream": True}).encode())
    reply = connection.getresponse()
    assert reply.readline().startswith(b"data: ")
    return connection, reply


def test_told_to_go_it_finishes_what_it_began_closes_idle_connections_and_exits_0(
    start: Callable[..., Instance],
) -> None:
    instance = start(STARTUP_SECONDS="0", TOKEN_SECONDS="0.05", DRAIN_SECONDS="0.2").wait_until_loaded()
    idle = instance.connect()
    exchange(idle, "GET", "/ready")
    connection, reply = begin_stream(instance)
    instance.process.send_signal(signal.SIGTERM)
    assert idle.sock.recv(1) == b""
    assert reply.read().endswith(b"data: [DONE]\n\n")
    assert instance.process.wait(20) == 0
    idle.close()
    connection.close()


def test_told_to_go_it_is_not_ready_at_once_but_still_serves_late_requests_on_closing_connections(
    start: Callable[..., Instance],
) -> None:
    instance = start(STARTUP_SECONDS="0", DRAIN_SECONDS="5").wait_until_loaded()
    idle = instance.connect()
    exchange(idle, "GET", "/ready")
    instance.process.send_signal(signal.SIGTERM)
    assert idle.sock.recv(1) == b""  # it has seen the signal
    idle.close()
    ready = instance.get("/ready")
    assert (ready.status, ready.json) == (503, {"status": "leaving"})
    late = instance.post("/v1/chat/completions", CHAT)
    assert (late.status, late.headers["connection"]) == (200, "close")


def test_a_request_that_outlives_the_grace_period_is_cut(start: Callable[..., Instance]) -> None:
    instance = start(STARTUP_SECONDS="0", TOKEN_SECONDS="600", DRAIN_SECONDS="0", GRACE_SECONDS="0.2")
    connection, reply = begin_stream(instance.wait_until_loaded())
    instance.process.send_signal(signal.SIGTERM)
    assert instance.process.wait(20) == 0
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        reply.read()
    connection.close()


def test_told_to_go_while_loading_it_goes(start: Callable[..., Instance]) -> None:
    instance = start(STARTUP_SECONDS="600", DRAIN_SECONDS="0")
    instance.process.send_signal(signal.SIGTERM)
    assert instance.process.wait(20) == 0


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"TOKEN_SECONDS": "fast"}, "inference: TOKEN_SECONDS=fast is not a number of at least 0\n"),
        ({"POD_IP": "127.0.0.1", "PORT": "taken"}, "inference: PORT=taken is not a number of at least 0\n"),
        (
            {"ON_CUDA_ERROR": "panic"},
            "inference: ON_CUDA_ERROR=panic is not one of exit, answer-500, exit-on-oom\n",
        ),
        (
            {"MISBEHAVE": "explode"},
            "inference: misbehaviour 'explode' is not one of none, hang, reset, empty-body, empty-completion, "
            "half-stream, error-500, slow (slow:SECONDS)\n",
        ),
    ],
)
def test_a_wrong_setting_is_refused_with_one_sentence(environment: dict[str, str], message: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scenario_runner.lab.inference"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (2, message)


def test_it_needs_little_memory(start: Callable[..., Instance]) -> None:
    instance = start(STARTUP_SECONDS="0").wait_until_loaded()
    with open(f"/proc/{instance.process.pid}/status") as status:  # noqa: PTH123
        [line] = [line for line in status if line.startswith("VmRSS")]
    assert int(line.split()[1]) < 25 * 1024
