"""The OpenAI shapes: what a completion request asks for, and the JSON of whole answers and of stream chunks."""

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

_MAX_TOKENS = 4096
_DEFAULT_TOKENS = 16


class Refused(Exception):
    """The request can not be served; `status` is the HTTP status to say so with."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Completion:
    """One completion to produce, of a chat or of a plain prompt."""

    chat: bool
    model: str
    prompt: str
    limit: int
    stream: bool
    with_usage: bool
    created: int = field(default_factory=lambda: int(time.time()))
    unique: str = field(default_factory=lambda: uuid.uuid4().hex)

    def whole(self, text: str, tokens: int) -> bytes:
        """The body of an answer that is not streamed."""
        said: dict[str, Any] = {"message": {"role": "assistant", "content": text}} if self.chat else {"text": text}
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": "length"}
        kind = "chat.completion" if self.chat else "text_completion"
        return json.dumps({**self._head(kind), "choices": [choice], "usage": self.usage(tokens)}).encode()

    def opening(self) -> bytes:
        """The first event of a stream; only chats have one."""
        return self._event({"delta": {"role": "assistant", "content": ""}}, None) if self.chat else b""

    def piece(self, token: str) -> bytes:
        return self._event({"delta": {"content": token}} if self.chat else {"text": token}, None)

    def closing(self, tokens: int) -> bytes:
        """The last events of a stream, up to and including [DONE]."""
        last = self._event({"delta": {}} if self.chat else {"text": ""}, "length")
        if self.with_usage:
            last += _sse({**self._head(self._chunk_kind()), "choices": [], "usage": self.usage(tokens)})
        return last + b"data: [DONE]\n\n"

    def usage(self, tokens: int) -> dict[str, int]:
        asked = len(self.prompt.split())
        return {"prompt_tokens": asked, "completion_tokens": tokens, "total_tokens": asked + tokens}

    def _event(self, said: dict[str, Any], finish: str | None) -> bytes:
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": finish}
        return _sse({**self._head(self._chunk_kind()), "choices": [choice]})

    def _chunk_kind(self) -> str:
        return "chat.completion.chunk" if self.chat else "text_completion"

    def _head(self, kind: str) -> dict[str, Any]:
        prefix = "chatcmpl" if self.chat else "cmpl"
        return {"id": f"{prefix}-{self.unique}", "object": kind, "created": self.created, "model": self.model}


def failing(message: str) -> bytes:
    """The end of a stream that has begun and can not go on."""
    error = {"message": message, "type": "internal_error", "param": None, "code": 500}
    return _sse({"error": error}) + b"data: [DONE]\n\n"


def _sse(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def parse_completion(body: bytes, model: str, *, chat: bool) -> Completion:
    """What the body asks for. Raises Refused."""
    asked = _json_object(body)
    wanted = asked.get("model", model)
    if wanted != model:
        raise Refused(404, f"The model `{wanted}` does not exist.")
    limit = asked.get("max_completion_tokens", asked.get("max_tokens")) or _DEFAULT_TOKENS
    if not isinstance(limit, int) or not 0 < limit <= _MAX_TOKENS:
        raise Refused(400, f"max_tokens must be an integer from 1 to {_MAX_TOKENS}.")
    options = asked.get("stream_options")
    return Completion(
        chat=chat,
        model=model,
        prompt=_chat_prompt(asked.get("messages")) if chat else _plain_prompt(asked.get("prompt")),
        limit=limit,
        stream=asked.get("stream") is True,
        with_usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        raise Refused(400, "The body is not JSON.") from None
    if not isinstance(value, dict):
        raise Refused(400, "The body is not a JSON object.")
    return value


def _chat_prompt(messages: object) -> str:
    if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
        raise Refused(400, "messages must be a list of at least one message.")
    return "\n".join(str(one.get("content", "")) for one in messages)


def _plain_prompt(prompt: object) -> str:
    if isinstance(prompt, list) and prompt and all(isinstance(one, str) for one in prompt):
        return "\n".join(prompt)
    if not isinstance(prompt, str):
        raise Refused(400, "prompt must be a string or a list of strings.")
    return prompt
