"""The ways in which the service can be told to fail, so that drills and tests meet each of them."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What goes wrong with a completion request."""

    NONE = "none"
    HANG = "hang"  # the request is read and never answered
    RESET = "reset"  # the connection ends with a TCP reset
    EMPTY_BODY = "empty-body"  # 200 with no body at all
    EMPTY_COMPLETION = "empty-completion"  # 200 with a valid answer that holds no text
    HALF_STREAM = "half-stream"  # the connection closes in the middle of the answer
    ERROR_500 = "error-500"  # an honest error
    SLOW = "slow"  # a good answer, `seconds` late; written "slow" or "slow:2.5"


@dataclass(frozen=True)
class Misbehaviour:
    """A kind, and for `slow` the seconds before the first byte."""

    kind: Kind = Kind.NONE
    seconds: float = 0.0


_DEFAULT_SLOW_SECONDS = 5.0


def parse_misbehaviour(text: str) -> Misbehaviour:
    """Read "", "hang", "slow:2.5", ... Raises ValueError with one sentence."""
    name, _, argument = text.strip().partition(":")
    try:
        kind = Kind(name or "none")
        seconds = float(argument) if argument else _DEFAULT_SLOW_SECONDS if kind is Kind.SLOW else 0.0
    except ValueError:
        known = ", ".join(kind.value for kind in Kind)
        raise ValueError(f"misbehaviour '{text}' is not one of {known} (slow:SECONDS)") from None
    return Misbehaviour(kind, seconds)
