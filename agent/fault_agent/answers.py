"""What all routes share: how refusals are documented, how answers are written, how callers name a fault."""

from typing import Annotated, Any

from fastapi import Header
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from fault_agent import messages
from fault_agent.service import Answer

_WHY = {
    400: "the body is not text",
    401: "wrong or missing token",
    403: "this XID, node or host name is not allowed",
    404: "no such fault, GPU or node",
    409: "same key with another body, or a real fault of the GPU was seen",
    410: "taken back before it was injected",
    411: "a body without a length",
    413: "the body is too large",
    422: "the request is not valid",
    429: "too many faults or requests",
    500: "a file of the agent is damaged",
    502: "the gateway does not reach the node",
    503: "the kernel log or the CUDA folder can not be used, or the gateway does not know its nodes yet",
    507: "the node's disk is full, nothing was written",
}

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=101,
        pattern=r"^[a-z0-9][a-z0-9.-]*$",
        description="the name part of the fault id",
    ),
]


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": messages.ErrorReply, "description": _WHY[status]} for status in statuses}


def as_json(answer: Answer) -> JSONResponse:
    body = answer.body
    content = body.model_dump(mode="json") if isinstance(body, BaseModel) else body
    return JSONResponse(content, answer.status)
