"""Each way in which a request can fail has a name of its own, and nothing but a valid answer is a success."""

import json
import socket

import pytest

from scenario_runner.core.samples import LoadOrder
from scenario_runner.load.answers import Judge, judge_for
from tests.load.conftest import Loads
from tests.load.service import OK, Answer, Asked, Service, always, body

CHAT = json.dumps({"messages": [{"role": "user", "content": "hello"}]}).encode()
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
)


def completion(text: str | None) -> str:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]})


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def event(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": {"content": text}}]}).encode() + b"\n\n"


def failures(loads: Loads, answer: Answer, **changes: object) -> dict[str, int]:
    with Service(answer) as service:
        selection = loads.carry_out(service.url, **changes)
    assert selection.total == 3
    return dict(selection.failures)


def test_an_expected_status_is_a_success(loads: Loads) -> None:
    assert failures(loads, always(OK)) == {}


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 10\r\n\r\nhalf", "HTTP 503"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "HTTP 101"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "body ended early"),
        (b"HTTP/1.1 200 OK\r\nContent-", "answer ended early"),
        (b"", "connection closed without an answer"),
    ],
)
def test_an_answer_that_is_none_fails(loads: Loads, response: bytes, reason: str) -> None:
    assert failures(loads, always(response, stay=False)) == {reason: 3}


@pytest.mark.parametrize("status", ["500 Internal Server Error", "503 Service Unavailable", "302 Found"])
def test_an_unexpected_status_fails_whatever_the_body_says(loads: Loads, status: str) -> None:
    assert failures(loads, always(body(completion("hi"), status)), api="chat", body=CHAT) == {f"HTTP {status[:3]}": 3}


@pytest.mark.parametrize(
    "response", [b"HTTP/1.1 200 OK\r\n\r\nuntil the connection ends", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"]
)
def test_a_body_may_end_with_its_connection(loads: Loads, response: bytes) -> None:
    assert failures(loads, always(response, stay=False)) == {}


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ],
)
def test_every_way_to_end_a_body_is_understood(loads: Loads, response: bytes) -> None:
    assert failures(loads, always(response)) == {}


def test_the_expected_statuses_replace_the_usual_ones(loads: Loads) -> None:
    assert failures(loads, always(body("", "404 Not Found")), expect_status=(404, 410)) == {}
    assert failures(loads, always(OK), expect_status=(404, 410)) == {"HTTP 200": 3}


def test_a_head_request_does_not_wait_for_a_body(loads: Loads) -> None:
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    assert failures(loads, always(response), method="HEAD") == {}


def test_a_reset_is_told_from_a_closed_connection(loads: Loads) -> None:
    assert failures(loads, Asked.reset) == {"connection reset": 3}


def test_a_port_where_nobody_listens_refuses(loads: Loads) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert loads.carry_out(f"http://127.0.0.1:{port}/").failures == {"connection refused": 3}


def test_a_name_that_does_not_exist_fails_the_requests_not_the_load(loads: Loads) -> None:
    (reason,) = loads.carry_out("http://nobody.invalid:80/").failures
    assert reason.startswith("name not resolved: ")


def test_a_service_that_hangs_times_out(loads: Loads) -> None:
    assert failures(loads, Asked.hang, request_timeout=0.3) == {"timed out": 3}


def test_a_service_that_hangs_in_the_body_times_out(loads: Loads) -> None:
    def answer(asked: Asked) -> bool:
        asked.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nha")
        return asked.hang()

    assert failures(loads, answer, request_timeout=0.3) == {"timed out": 3}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty body"),
        ("  \n", "empty body"),
        ("<html>", "not JSON"),
        ("[1]", "not a JSON object"),
        ("{}", "no choices in body"),
        ('{"choices": []}', "empty completion"),
        (completion(""), "empty completion"),
        (completion(None), "empty completion"),
        (
            '{"error": {"message": "CUDA error:\\n  device lost", "code": 500}}',
            "error in body: CUDA error: device lost",
        ),
        ('{"error": "out of memory"}', "error in body: out of memory"),
    ],
)
def test_a_200_without_a_completion_fails(text: str, reason: str) -> None:
    assert judged(LoadOrder("x", "http://x", api="chat"), text.encode(), 5) == (reason, False)


def test_a_200_with_an_empty_body_fails_a_chat(loads: Loads) -> None:
    assert failures(loads, always(body("")), api="chat", body=CHAT) == {"empty body": 3}


@pytest.mark.parametrize(
    ("api", "text"),
    [
        ("chat", completion("hi")),
        ("chat", json.dumps({"choices": [{"message": {"content": None, "reasoning_content": "hm"}}]})),
        ("chat", json.dumps({"error": None, "choices": [{"message": {"content": "hi"}}]})),
        ("completions", json.dumps({"choices": [{"text": "hi"}]})),
    ],
)
def test_a_completion_that_says_something_is_a_success(api: str, text: str) -> None:
    assert judged(LoadOrder("x", "http://x", api=api), text.encode(), 5) == ("", False)


def test_a_chat_that_is_answered_is_a_success(loads: Loads) -> None:
    assert failures(loads, always(body(completion("hi"))), api="chat", body=CHAT) == {}


WHOLE = [chunk(event("")), chunk(event("hel")), chunk(event("lo")), chunk(b"data: [DONE]\n\n"), chunk(b"")]


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        (WHOLE[:3], "stream ended early"),
        ([*WHOLE[:3], chunk(b"")], "stream ended early"),
        ([WHOLE[0], *WHOLE[3:]], "empty completion"),
        (
            [WHOLE[1], chunk(b'data: {"error": {"message": "device lost"}}\n\n'), *WHOLE[3:]],
            "error in body: device lost",
        ),
        ([chunk(b"data: {broken\n\n"), *WHOLE[3:]], "not JSON"),
        ([chunk(b"")], "empty body"),
        ([chunk(completion("hi").encode()), chunk(b"")], "not an event stream"),
        ([chunk(b'{"error": "overloaded"}'), chunk(b"")], "error in body: overloaded"),
    ],
)
def test_half_a_stream_or_an_error_in_it_fails(loads: Loads, pieces: list[bytes], reason: str) -> None:
    response = STREAM_HEAD + b"".join(pieces)
    assert failures(loads, always(response, stay=False), api="chat", body=CHAT, stream=True) == {reason: 3}


def test_a_stream_that_is_reset_in_the_middle_fails(loads: Loads) -> None:
    def answer(asked: Asked) -> bool:
        asked.sock.sendall(STREAM_HEAD + WHOLE[1])
        return asked.reset()

    (reason,) = failures(loads, answer, api="chat", body=CHAT, stream=True)
    assert reason in {"connection reset", "stream ended early"}  # the end may overtake the reset


def test_a_whole_stream_is_a_success_and_its_first_token_comes_before_its_end(loads: Loads) -> None:
    def answer(asked: Asked) -> bool:
        asked.sock.sendall(STREAM_HEAD + WHOLE[0] + WHOLE[1])
        asked.over.wait(0.4)
        asked.sock.sendall(b"".join(WHOLE[2:]))
        return True

    with Service(answer) as service:
        selection = loads.carry_out(service.url, api="chat", body=CHAT, stream=True)

    assert (selection.succeeded, selection.failures) == (3, {})
    assert len(selection.first_tokens) == 3
    assert all(first + 0.1 < last for first, last in zip(selection.first_tokens, selection.latencies, strict=True))


def test_of_a_stream_the_time_between_its_tokens_is_known_and_what_says_nothing_is_no_token(loads: Loads) -> None:
    def answer(asked: Asked) -> bool:
        asked.sock.sendall(STREAM_HEAD + chunk(event("")) + chunk(event("one")))
        for text in ("two", "three"):
            asked.over.wait(0.4)
            asked.sock.sendall(chunk(event(text)))
        asked.sock.sendall(chunk(event("")) + chunk(b"data: [DONE]\n\n") + chunk(b""))
        return True

    with Service(answer) as service:
        selection = loads.carry_out(service.url, api="chat", body=CHAT, stream=True)

    assert (selection.succeeded, selection.failures) == (3, {})
    assert len(selection.inter_tokens) == 3
    # Two pauses lie within each request; the lists are sorted each on its own, so nothing finer can be compared.
    assert 0.1 < max(selection.inter_tokens) <= max(selection.latencies) / 2


def test_a_stream_of_one_token_has_no_time_between_tokens(loads: Loads) -> None:
    pieces = STREAM_HEAD + chunk(event("one")) + chunk(b"data: [DONE]\n\n") + chunk(b"")
    with Service(always(pieces, stay=False)) as service:
        selection = loads.carry_out(service.url, api="chat", body=CHAT, stream=True)

    assert (selection.succeeded, len(selection.first_tokens), list(selection.inter_tokens)) == (3, 3, [])


def judged(order: LoadOrder, data: bytes, size: int) -> tuple[str, bool]:
    """The verdict over a whole body that came in pieces of a size, and whether a first token was seen."""
    judge: Judge = judge_for(order)()
    for at in range(0, len(data), size):
        judge.data(data[at : at + size])
    return judge.verdict(whole=True), judge.first_token is not None


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_a_stream_may_be_cut_into_pieces_anywhere(size: int, ends: bytes) -> None:
    data = (event("") + b": a comment\n\n" + event("hi") + b"data: [DONE]\n\n").replace(b"\n", ends)

    assert judged(LoadOrder("x", "http://x", api="chat", stream=True), data, size) == ("", True)
