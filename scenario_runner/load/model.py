"""Finds out which model the service serves, for orders that leave the choice to it."""

import json
from collections.abc import Callable

from scenario_runner.load.answers import Body
from scenario_runner.load.clock import now
from scenario_runner.load.connection import Exchange

# The first request waits that long for the answer, no longer: a hung service must not hold up the schedule.
FIRST_LOOKUP = 1.0
AGAIN_AFTER = 0.5  # seconds until the next try


class ModelLookup:
    """One question for the list of models."""

    def __init__(self, payload: bytes, on_end: Callable[[str, str], None]) -> None:
        """`on_end` is told the model's name, and the reason if there is none."""
        self._body = Body()
        self._on_end = on_end
        self.exchange = Exchange(payload, self._body, now(), self._ended)

    def _ended(self, exchange: Exchange) -> None:
        if exchange.reason:
            self._on_end("", exchange.reason)
            return
        name = first_model(self._body.body)
        self._on_end(name, "" if name else "it names none")


def first_model(body: bytes) -> str:
    """The first model of an answer in the shape of OpenAI's; "" if there is none."""
    try:
        name = json.loads(body)["data"][0]["id"]
    except (ValueError, LookupError, TypeError):
        return ""
    return name if isinstance(name, str) else ""
