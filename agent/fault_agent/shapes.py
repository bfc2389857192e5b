"""What all bodies of requests and replies are made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

DAY = 86400.0
Seconds = Annotated[float, Field(strict=True, gt=0, le=7 * DAY, allow_inf_nan=False)]
NodeName = Annotated[StrictStr, Field(min_length=1, max_length=253)]
GpuId = StrictInt | Annotated[StrictStr, Field(min_length=1, max_length=100)]
RunName = Annotated[StrictStr, Field(min_length=1, max_length=100, pattern=r"^[ -~]+$")]


class Message(BaseModel):
    model_config = ConfigDict(frozen=True)


class Request(BaseModel):
    """Unknown fields are refused: a misspelt `ttl` must not make a fault that lives for ever."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class UnreachableNode(Message):
    """A node that gave no answer; also an entry of `unreachable`."""

    node: str
    reason: str
