"""`python -m fault_agent.recover_all`: takes every fault of a cluster back through its gateway, and waits for it."""

import argparse
import http.client
import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from pydantic import ValidationError

from fault_agent.clock import monotonic
from fault_agent.messages import FaultReply, FaultsReply
from fault_agent.refusal import CannotStart
from fault_agent.tls import checked

RECOVERED, UNKNOWN, LEFT = 0, 3, 4  # exit codes
CALL_SECONDS = 20.0  # longer than the gateway waits for a node
PAUSE_SECONDS = 1.0
_FINAL = "blocked"  # a real fault was seen: waiting changes nothing, a person has to look


class Gateway(Protocol):
    """What answers for all nodes."""

    def ask(self, method: str, path: str) -> tuple[int, Any]:
        """Status and decoded body; raises OSError or ValueError if there is no answer."""


@dataclass(frozen=True)
class HttpGateway:
    """The gateway behind a URL; `authority` is a file with the certificates to trust."""

    url: str
    token: str
    authority: Path | None = None

    def ask(self, method: str, path: str) -> tuple[int, Any]:
        parts = urlsplit(self.url)
        if parts.hostname is None or parts.scheme not in ("http", "https"):
            raise CannotStart(f"--gateway takes a URL like https://HOST:PORT, not {self.url!r}.")
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            trust = checked("--ca", self.authority)
            connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=CALL_SECONDS, context=trust)
        else:
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=CALL_SECONDS)
        try:
            headers = {"Authorization": f"Bearer {self.token}", "Connection": "close"}
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except http.client.HTTPException as error:
            raise OSError(str(error) or type(error).__name__) from error
        finally:
            connection.close()


@dataclass(frozen=True)
class Look:
    """What was found by asking once: sentences about what is left, those among them that waiting can not change, and
    how many faults were there. `refused` = the gateway does not let us look."""

    waits: tuple[str, ...] = ()
    final: tuple[str, ...] = ()
    faults: frozenset[str] = frozenset()
    refused: bool = False
    unknown: bool = False

    @property
    def left(self) -> tuple[str, ...]:
        return self.final + self.waits


def recover_all(
    gateway: Gateway,
    within: float,
    say: Callable[[str], None],
    now: Callable[[], float],
    pause: Callable[[float], object],
) -> int:
    """Recover until nothing is left, at most `within` seconds; the exit code, with its reason told to `say`."""
    deadline = now() + within
    seen: frozenset[str] = frozenset()
    while True:
        look = _look(gateway)
        seen |= look.faults
        if not look.waits or look.refused or now() >= deadline:
            return _told(look, len(seen), say)
        pause(PAUSE_SECONDS)


def _told(look: Look, seen: int, say: Callable[[str], None]) -> int:
    for sentence in look.left:
        say(sentence)
    if look.refused or look.unknown:
        return UNKNOWN
    if look.left:
        say("Something is left, so the agents stay. (`helm uninstall --no-hooks` removes them all the same.)")
        return LEFT
    say(f"{seen} {'fault was' if seen == 1 else 'faults were'} in force, none is left.")
    return RECOVERED


def _look(gateway: Gateway) -> Look:
    """Ask for what is in force and recover each; one look later it is known whether that did it."""
    try:
        status, body = gateway.ask("GET", "/api/v1/faults?active_only=true")
        if status == HTTPStatus.UNAUTHORIZED:
            return Look(waits=("The gateway does not accept the token.",), refused=True)
        if status != HTTPStatus.OK:
            return Look(waits=(f"The gateway does not list the faults: {_message(status, body)}",), unknown=True)
        listed = FaultsReply.model_validate(body)
    except (OSError, ValueError) as error:
        return Look(waits=(f"The gateway does not list the faults: {_in_words(error)}.",), unknown=True)
    waits = [node.reason for node in listed.unreachable]
    final: list[str] = []
    for fault in listed.faults:
        left, is_final = _recover(gateway, fault)
        (final if is_final else waits).append(left)
    return Look(tuple(waits), tuple(final), frozenset(fault.fault_id for fault in listed.faults))


def _recover(gateway: Gateway, fault: FaultReply) -> tuple[str, bool]:
    """A sentence about the fault as it was left, and whether waiting is in vain."""
    try:
        status, body = gateway.ask("POST", f"/api/v1/faults/{quote(fault.fault_id, safe='~')}/recover")
    except (OSError, ValueError) as error:
        return f"{fault.fault_id} could not be recovered: {_in_words(error)}.", False
    if status != HTTPStatus.OK:
        return f"{fault.fault_id} is {fault.status}: {_message(status, body)}", fault.status == _FINAL
    return f"{fault.fault_id} is being recovered.", False


def _message(status: int, body: Any) -> str:
    try:
        return str(body["error"]["message"])
    except (KeyError, TypeError):
        return f"it answered {status}."


def _in_words(error: Exception) -> str:
    if isinstance(error, ValidationError | json.JSONDecodeError):
        return "what answers is not a fault agent"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)


def main(argv: list[str] | None = None) -> int:
    """0 = nothing is left, 2 = can not start, 3 = it could not be found out, 4 = something is left."""
    chosen = parser().parse_args(argv)

    def say(sentence: str) -> None:
        print(sentence, flush=True)  # noqa: T201 - the log of the job

    try:
        token = chosen.token_file.read_text(encoding="ascii").strip()
        gateway = HttpGateway(chosen.gateway, token, chosen.ca)
        return recover_all(gateway, chosen.within, say, monotonic, threading.Event().wait)
    except (CannotStart, OSError, UnicodeDecodeError) as error:
        print(f"recover_all: {error}", file=sys.stderr)  # noqa: T201 - said to whoever started us
        return 2


def parser() -> argparse.ArgumentParser:
    """The options; all but `--ca` and `--within` are needed."""
    what = "Recovers every fault of a cluster through the gateway of its fault agents, and waits until none is left."
    options = argparse.ArgumentParser(prog="python -m fault_agent.recover_all", description=what)
    options.add_argument("--gateway", required=True, metavar="URL")
    options.add_argument("--token-file", required=True, type=Path, metavar="FILE")
    options.add_argument("--ca", type=Path, metavar="FILE", help="trusted for https")
    options.add_argument("--within", type=float, default=240.0, metavar="SECONDS", help="give up then (240)")
    return options


if __name__ == "__main__":
    sys.exit(main())
