"""Which nodes have an agent and where: from a file that is read again when it changes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from pydantic import TypeAdapter, ValidationError

from fault_agent.refusal import CannotStart, Refusal


@dataclass(frozen=True)
class Missing:
    """A node that is known although nobody can be asked there now; `why` is half a sentence."""

    why: str


Agents = Mapping[str, str | Missing]
"""Node name -> URL of its agent."""


class Roster(Protocol):
    """Where the gateway learns of its nodes."""

    source: Literal["file", "pods"]

    def agents(self) -> Agents:
        """Everybody as of now; raises Refusal if that is not known."""

    def why_stale(self) -> str | None:
        """Why `agents` may be out of date, in one sentence, or None."""


class FileRoster:
    """A JSON map of node names to URLs."""

    source: Literal["file", "pods"] = "file"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._urls: dict[str, str] = {}
        try:
            self.agents()
        except Refusal as error:
            raise CannotStart(error.message) from error

    def agents(self) -> Agents:
        """Raises Refusal 500 if the file is not a valid roster."""
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            if seen != self._seen:
                self._urls = TypeAdapter(dict[str, str]).validate_json(self._path.read_bytes())
                self._seen = seen
        except OSError as error:
            message = f"The roster {self._path} can not be read: {error.strerror}."
            raise Refusal(500, "roster_unreadable", message) from error
        except ValidationError as error:
            message = f"The roster {self._path} is not a JSON map of node names to URLs."
            raise Refusal(500, "roster_unreadable", message) from error
        return self._urls

    def why_stale(self) -> str | None:
        return None


class NoRoster:
    """Nobody: enough to describe the routes."""

    source: Literal["file", "pods"] = "file"

    def agents(self) -> Agents:
        return {}

    def why_stale(self) -> str | None:
        return None
