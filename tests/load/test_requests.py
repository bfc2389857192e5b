"""What goes over the wire is what the order says."""

import json

import pytest

from scenario_runner.core.samples import LoadOrder
from scenario_runner.load.request import Place, load_request, models_path, models_request, parse_url
from tests.load.conftest import Loads
from tests.load.service import Asked, Service, body

CHAT = json.dumps({"messages": [{"role": "user", "content": "hello"}], "max_tokens": 10}).encode()
COMPLETION = body(json.dumps({"choices": [{"message": {"content": "hi"}}]}))


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://frontend:8000/v1?a=b", Place(False, "frontend", 8000, "frontend:8000", "/v1?a=b")),
        ("https://example.org", Place(True, "example.org", 443, "example.org", "/")),
        ("http://[::1]:81/a b/ü", Place(False, "::1", 81, "[::1]:81", "/a%20b/%C3%BC")),
        ("http://bücher.example/%20", Place(False, "xn--bcher-kva.example", 80, "xn--bcher-kva.example", "/%20")),
    ],
)
def test_a_url_is_taken_apart(url: str, place: Place) -> None:
    assert parse_url(url) == place


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("frontend:8000", "'frontend:8000' is not the URL of an HTTP service: write http://host:port/path"),
        ("http://a..b/", "'a..b' is no host name: its parts have 1 to 63 characters each"),
        ("ftp://frontend", "'ftp://frontend' is not the URL of an HTTP service: write http://host:port/path"),
        ("http://me:secret@frontend", "the URL holds a user name: send it in a header instead"),
    ],
)
def test_a_url_that_can_not_be_requested_is_refused(url: str, message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole message is compared
        parse_url(url)
    assert str(error.value) == message


def test_a_plain_request_carries_its_headers_and_body() -> None:
    order = LoadOrder("x", "http://h:1/p", "PUT", {"X-A": "1", "host": "other"}, b"data", rate=1.0)

    assert load_request(order, parse_url(order.url), "") == (
        b"PUT /p HTTP/1.1\r\nUser-Agent: scenario-runner\r\nAccept: */*\r\nX-A: 1\r\nhost: other\r\n"
        b"Content-Length: 4\r\n\r\ndata"
    )


def test_a_header_with_a_line_break_is_refused() -> None:
    order = LoadOrder("x", "http://h:1/p", headers={"A": "b\r\nEvil: 1"}, rate=1.0)

    with pytest.raises(ValueError, match=r"^a header, the method or the URL holds a line break$"):
        load_request(order, parse_url(order.url), "")


@pytest.mark.parametrize(
    ("path", "models"),
    [
        ("/v1/chat/completions", "/v1/models"),
        ("/base/v1/completions?x=1", "/base/v1/models"),
        ("/generate", "/v1/models"),
    ],
)
def test_the_list_of_models_lies_beside_the_completions(path: str, models: str) -> None:
    assert models_path(path) == models


def test_the_question_for_models_carries_the_token_of_the_order() -> None:
    order = LoadOrder("x", "http://h:1/v1/completions", headers={"Authorization": "Bearer t"}, rate=1.0)

    assert models_request(order, parse_url(order.url)).endswith(b"Authorization: Bearer t\r\n\r\n")


def chat(asked: Asked) -> bool:
    models = {"object": "list", "data": [{"id": "llama"}, {"id": "other"}]}
    asked.sock.sendall(body(json.dumps(models)) if asked.line.startswith("GET /v1/models") else COMPLETION)
    return True


def test_a_chat_names_its_model(loads: Loads) -> None:
    with Service(chat) as service:
        loads.carry_out(f"{service.url}/v1/chat/completions", api="chat", body=CHAT, model="mine", stream=True)

    assert {asked.line for asked in service.requests} == {"POST /v1/chat/completions HTTP/1.1"}
    assert json.loads(service.requests[0].body) == json.loads(CHAT) | {"model": "mine", "stream": True}


def test_the_model_auto_is_the_first_that_the_service_lists(loads: Loads) -> None:
    with Service(chat) as service:
        selection = loads.carry_out(f"{service.url}/v1/chat/completions", api="chat", body=CHAT, model="auto")

    assert selection.succeeded == 3
    assert [asked.line.split()[1] for asked in service.requests] == ["/v1/models", *["/v1/chat/completions"] * 3]
    assert {json.loads(asked.body)["model"] for asked in service.requests[1:]} == {"llama"}


@pytest.mark.parametrize(
    ("models", "reason"),
    [
        (body("no", "404 Not Found"), "no model: GET /v1/models: HTTP 404"),
        (body('{"data": []}'), "no model: GET /v1/models: it names none"),
        (body("<html>"), "no model: GET /v1/models: it names none"),
        (body(""), "no model: GET /v1/models: empty body"),
    ],
)
def test_requests_fail_while_no_model_is_known(loads: Loads, models: bytes, reason: str) -> None:
    def answer(asked: Asked) -> bool:
        asked.sock.sendall(models)
        return True

    with Service(answer) as service:
        url = f"{service.url}/v1/chat/completions"
        assert loads.carry_out(url, api="chat", body=CHAT, model="auto").failures == {reason: 3}


def test_requests_succeed_once_the_model_is_known(loads: Loads) -> None:
    def answer(asked: Asked) -> bool:
        if asked.nth == 1 and asked.connection == 1:
            asked.sock.sendall(body("starting", "503 Service Unavailable"))
            return True
        return chat(asked)

    with Service(answer) as service:
        url = f"{service.url}/v1/chat/completions"
        selection = loads.carry_out(url, api="chat", body=CHAT, model="auto", rate=20.0, count=30)

    assert set(selection.failures) == {"no model: GET /v1/models: HTTP 503"}
    assert selection.succeeded > 0


def test_a_service_that_does_not_list_models_holds_up_the_schedule_for_a_moment_only(loads: Loads) -> None:
    with Service(Asked.hang) as service:
        url = f"{service.url}/v1/chat/completions"
        selection = loads.carry_out(url, api="chat", body=CHAT, model="auto")

    assert selection.failures == {"no model: GET /v1/models: timed out": 3}
