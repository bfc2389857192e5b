"""Which answers count as a success: one judge for each kind of request."""

import json
from collections.abc import Callable
from typing import Any, Protocol

from scenario_runner.core.samples import LoadOrder
from scenario_runner.load.clock import now

_MOST_BODY = 4 * 2**20  # bytes that are kept to judge them; the largest completion is far below
_MOST_QUOTED = 80  # characters of a service's own message that become part of a reason
# A model that thinks before it speaks may spend the few tokens of a drill on thinking: that is an answer, too.
_TEXTS = ("content", "text", "reasoning_content", "reasoning")


class Judge(Protocol):
    """Sees the body of one answer and says whether it is a success. Only asked if the status is an expected one."""

    first_token: float | None  # when it came

    @property
    def inter_token(self) -> float | None:
        """Mean seconds from one token to the next; None for fewer than two."""
        ...

    def data(self, piece: bytes) -> None:
        """A piece of the body came."""
        ...

    def verdict(self, *, whole: bool) -> str:
        """The reason why it is no success, "" if it is one; `whole`: the body came to its end."""
        ...


class Plain:
    """Any body will do, an empty one, too (a health page may have none), but it must be whole."""

    first_token: float | None = None
    inter_token: float | None = None

    def data(self, piece: bytes) -> None:
        """Nothing is kept."""

    def verdict(self, *, whole: bool) -> str:
        return "" if whole else "body ended early"


class Body:
    """Keeps the body for whoever wants to read it."""

    first_token: float | None = None
    inter_token: float | None = None

    def __init__(self) -> None:
        self.body = b""
        self._too_large = False

    def data(self, piece: bytes) -> None:
        if len(self.body) + len(piece) > _MOST_BODY:
            self._too_large = True
        else:
            self.body += piece

    def verdict(self, *, whole: bool) -> str:
        if self._too_large:
            return "body too large"
        if not whole:
            return "body ended early"
        return "" if self.body.strip() else "empty body"


class Completion(Body):
    """A JSON object with at least one choice that says something."""

    def verdict(self, *, whole: bool) -> str:
        return super().verdict(whole=whole) or completion_reason(self.body, "message")


class CompletionStream:
    """Server-sent events: a first token, no error, and `[DONE]` at the end."""

    def __init__(self) -> None:
        self.first_token: float | None = None
        self._newest_token = 0.0
        self._tokens = 0
        self._line = b""
        self._begin = Body()  # what came instead, if it is no stream of events
        self._events = 0
        self._done = False
        self._reason = ""

    def data(self, piece: bytes) -> None:
        if not self._events:
            self._begin.data(piece)
        *lines, self._line = (self._line + piece).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                self._event(line[5:].strip())
        if len(self._line) > _MOST_BODY:
            self._line, self._reason = b"", self._reason or "event too large"

    def _event(self, data: bytes) -> None:
        self._events += 1
        if data == b"[DONE]":
            self._done = True
            return
        reason = completion_reason(data, "delta")
        if not reason:
            self._token()
        elif reason != "empty completion" and (self.first_token is None or b'"error"' in data):
            self._reason = self._reason or reason

    def _token(self) -> None:
        self._newest_token = now()
        self._tokens += 1
        self.first_token = self.first_token or self._newest_token

    @property
    def inter_token(self) -> float | None:
        if self.first_token is None or self._tokens == 1:
            return None
        return (self._newest_token - self.first_token) / (self._tokens - 1)

    def verdict(self, *, whole: bool) -> str:
        if self._reason:
            return self._reason
        if not self._events:
            return self._no_event(whole=whole)
        if not self._done:
            return "stream ended early"
        return "" if self.first_token is not None else "empty completion"

    def _no_event(self, *, whole: bool) -> str:
        if reason := self._begin.verdict(whole=whole):
            return "stream ended early" if reason == "body ended early" else reason
        reason = completion_reason(self._begin.body, "message")
        return reason if reason.startswith("error in body") else "not an event stream"


def completion_reason(body: bytes, part: str) -> str:
    """Why a JSON body is no completion; "" if it is one. `part` is where a chat's text is: "message" or "delta"."""
    try:
        document = json.loads(body)
    except ValueError:
        return "not JSON"
    if not isinstance(document, dict):
        return "not a JSON object"
    if document.get("error"):
        return f"error in body: {_message(document['error'])}"
    choices = document.get("choices")
    if not isinstance(choices, list):
        return "no choices in body"
    return "" if any(_says_something(choice, part) for choice in choices) else "empty completion"


def _says_something(choice: Any, part: str) -> bool:
    if not isinstance(choice, dict):
        return False
    inner = choice.get(part)
    places = [choice, inner] if isinstance(inner, dict) else [choice]
    return any(isinstance(text := place.get(name), str) and text for place in places for name in _TEXTS)


def _message(error: Any) -> str:
    """A short form of what the service says is wrong; the shape of errors is not the same everywhere."""
    text = error.get("message") or error.get("type") or error if isinstance(error, dict) else error
    return " ".join(str(text).split())[:_MOST_QUOTED]


def judge_for(order: LoadOrder) -> Callable[[], Judge]:
    """What makes the judges of an order's answers, one for each. Raise ValueError for an API that we do not know."""
    if order.api == "http":
        plain = Plain()
        return lambda: plain
    if order.api not in {"chat", "completions"}:
        raise ValueError(f"unknown api {order.api!r}: write http, chat or completions")
    return CompletionStream if order.stream else Completion
