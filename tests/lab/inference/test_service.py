"""What the service answers when all is well, and when it is told to misbehave."""

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.inference.instance import Instance, exchange

CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "say hello"}], "max_tokens": 4}
PLAIN: dict[str, Any] = {"prompt": "say hello", "max_tokens": 4}


@pytest.fixture(scope="module")
def service() -> Iterator[Instance]:
    instance = Instance(STARTUP_SECONDS="0").wait_until_loaded()
    yield instance
    instance.end()


def events(body: bytes) -> list[str]:
    parts = body.decode().split("\n\n")
    assert parts.pop() == ""
    return [part.removeprefix("data: ") for part in parts]


def test_the_model_is_listed(service: Instance) -> None:
    assert service.get("/v1/models").json == {
        "object": "list",
        "data": [{"id": "lab-model", "object": "model", "created": 0, "owned_by": "lab"}],
    }


def test_a_chat_is_answered_with_as_many_tokens_as_asked(service: Instance) -> None:
    answer = service.post("/v1/chat/completions", CHAT)
    assert answer.status == 200
    assert answer.json["object"] == "chat.completion"
    [choice] = answer.json["choices"]
    assert choice["finish_reason"] == "length"
    assert choice["message"]["role"] == "assistant"
    assert len(choice["message"]["content"].split()) == 4
    assert answer.json["usage"] == {"prompt_tokens": 2, "completion_tokens": 4, "total_tokens": 6}


def test_a_plain_completion_is_answered_with_text(service: Instance) -> None:
    answer = service.post("/v1/completions", PLAIN)
    assert (answer.status, answer.json["object"]) == (200, "text_completion")
    assert len(answer.json["choices"][0]["text"].split()) == 4


@pytest.mark.parametrize(("path", "body"), [("/v1/chat/completions", CHAT), ("/v1/completions", PLAIN)])
def test_a_stream_gives_the_same_text_in_pieces_and_ends_with_done(
    service: Instance, path: str, body: dict[str, Any]
) -> None:
    whole = service.post(path, body).json["choices"][0]
    answer = service.post(path, {**body, "stream": True, "stream_options": {"include_usage": True}})
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    *chunks, done = events(answer.body)
    assert done == "[DONE]"
    *pieces, usage = [json.loads(chunk) for chunk in chunks]
    assert usage["usage"]["completion_tokens"] == 4
    choices = [piece["choices"][0] for piece in pieces]
    text = "".join(choice["delta"].get("content", "") if "delta" in choice else choice["text"] for choice in choices)
    assert text == (whole["message"]["content"] if "message" in whole else whole["text"])
    assert [choice["finish_reason"] for choice in choices[-2:]] == [None, "length"]


def test_many_requests_share_one_connection(service: Instance) -> None:
    connection = service.connect()
    first = exchange(connection, "POST", "/v1/chat/completions", CHAT)
    sock = connection.sock
    second = exchange(connection, "POST", "/v1/chat/completions", {**CHAT, "stream": True})
    third = exchange(connection, "GET", "/ready")
    assert (first.status, second.status, third.status) == (200, 200, 200)
    assert connection.sock is sock
    connection.close()


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"{", 400, "The body is not JSON."),
        ([], 400, "The body is not a JSON object."),
        ({"messages": []}, 400, "messages must be a list of at least one message."),
        ({**CHAT, "max_tokens": -1}, 400, "max_tokens must be an integer from 1 to 4096."),
        ({**CHAT, "model": "gpt"}, 404, "The model `gpt` does not exist."),
        (b"x" * (1 << 20) + b"xx", 413, ""),
    ],
)
def test_a_bad_request_is_refused_with_one_sentence(service: Instance, body: Any, status: int, message: str) -> None:
    answer = service.post("/v1/chat/completions", body)
    assert answer.status == status
    if message:
        assert answer.json["error"]["message"] == message


def test_unknown_paths_and_methods_are_told_apart(service: Instance) -> None:
    assert service.get("/v2").status == 404
    assert service.get("/v1/completions").status == 405


def test_what_is_not_http_gets_400(service: Instance) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as sock:
        sock.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_told_to_hang_it_reads_the_request_and_never_answers(service: Instance) -> None:
    connection = service.connect()
    connection.timeout = 0.3
    with pytest.raises(TimeoutError):
        exchange(connection, "POST", "/v1/chat/completions", CHAT, x_misbehave="hang")
    connection.close()
    assert service.get("/ready").status == 200


def test_told_to_reset_it_ends_the_connection_with_a_reset(service: Instance) -> None:
    with pytest.raises(ConnectionResetError):
        service.post("/v1/chat/completions", CHAT, x_misbehave="reset")


def test_told_to_it_answers_200_with_an_empty_body(service: Instance) -> None:
    answer = service.post("/v1/chat/completions", CHAT, x_misbehave="empty-body")
    assert (answer.status, answer.body) == (200, b"")


def test_told_to_it_completes_without_any_text(service: Instance) -> None:
    answer = service.post("/v1/chat/completions", CHAT, x_misbehave="empty-completion")
    assert answer.status == 200
    assert answer.json["choices"][0]["message"]["content"] == ""
    streamed = service.post("/v1/completions", {**PLAIN, "stream": True}, x_misbehave="empty-completion")
    assert events(streamed.body)[-1] == "[DONE]"
    assert [json.loads(event)["choices"][0]["text"] for event in events(streamed.body)[:-1]] == [""]


@pytest.mark.parametrize("stream", [True, False])
def test_told_to_it_closes_in_the_middle_of_an_answer(service: Instance, stream: bool) -> None:
    with pytest.raises(http.client.IncompleteRead) as caught:
        service.post("/v1/chat/completions", {**CHAT, "stream": stream}, x_misbehave="half-stream")
    assert caught.value.partial
    assert b"[DONE]" not in caught.value.partial


def test_told_to_it_answers_500(service: Instance) -> None:
    answer = service.post("/v1/chat/completions", CHAT, x_misbehave="error-500")
    assert (answer.status, answer.json["error"]["message"]) == (500, "The engine failed.")


def test_told_to_be_slow_it_answers_well_but_late(service: Instance) -> None:
    assert service.post("/v1/completions", PLAIN, x_misbehave="slow:0.01").status == 200
    connection = service.connect()
    connection.timeout = 0.3
    with pytest.raises(TimeoutError):
        exchange(connection, "POST", "/v1/completions", PLAIN, x_misbehave="slow:600")
    connection.close()


def test_an_unknown_misbehaviour_is_refused(service: Instance) -> None:
    answer = service.post("/v1/chat/completions", CHAT, x_misbehave="explode")
    assert answer.status == 400
    assert answer.json["error"]["message"] == (
        "misbehaviour 'explode' is not one of none, hang, reset, empty-body, empty-completion, half-stream, error-500, "
        "slow (slow:SECONDS)"
    )
