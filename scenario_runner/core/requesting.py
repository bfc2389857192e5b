"""What an endpoint is asked: the order for a load, made from a target."""

import json
from dataclasses import dataclass

from scenario_runner.core.samples import LoadOrder
from scenario_runner.core.targets import ChatPrompt, EndpointTarget

_PATHS = {"chat": "/v1/chat/completions", "completions": "/v1/completions"}


@dataclass(frozen=True)
class Pace:
    """When requests are due, and when they are given up. Times in seconds."""

    rate: float | None
    every: float | None
    count: int | None
    duration: float | None
    request_timeout: float
    max_outstanding: int


def load_order(step_id: str, target: EndpointTarget, pace: Pace, *, stream: bool) -> LoadOrder:
    """`stream`: completions are streamed, also where the target does not say so."""
    chat = target.chat
    return LoadOrder(
        step_id=step_id,
        url=target.url + (_PATHS[chat.api] if chat and target.path == "/" else target.path),
        method="POST" if chat else target.method,
        headers=target.headers,
        body=target.body.encode() if chat is None else _question(chat),
        api=chat.api if chat else "http",
        model=chat.model if chat else "",
        stream=bool(chat and (chat.stream or stream)),
        expect_status=target.expect_status,
        rate=pace.rate,
        every=pace.every,
        count=pace.count,
        duration=pace.duration,
        request_timeout=pace.request_timeout,
        max_outstanding=pace.max_outstanding,
    )


def _question(chat: ChatPrompt) -> bytes:
    """The body but for what the load adds itself: the model and whether to stream."""
    asked: dict[str, object] = {"max_tokens": chat.max_tokens}
    if chat.api == "chat":
        asked["messages"] = [{"role": "user", "content": chat.prompt}]
    else:
        asked["prompt"] = chat.prompt
    return json.dumps(asked).encode()
