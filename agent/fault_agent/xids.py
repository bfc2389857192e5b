"""The table of XIDs, read from the file that the runner and the agent share."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from pydantic import TypeAdapter

Severity = Literal["low", "medium", "high", "critical"]
Action = Literal["NONE", "COMPONENT_RESET", "RESTART_VM", "RESTART_BM", "CONTACT_SUPPORT"]


@dataclass(frozen=True)
class Xid:
    """What is known about one XID; `message` is None where a caller has to bring the text."""

    number: int
    title: str
    severity: Severity
    message: str | None
    form: str
    recommended_action: Action
    fatal: bool
    platform_object: Literal["RebootNode", "GPUReset"] | None
    node_signal: Literal["condition", "event"]
    recovery_seconds: tuple[int, int]
    evidence: str
    injectable_without_message: bool


@dataclass(frozen=True)
class Form:
    """How a kernel line begins, and with that who sees it."""

    prefix: str
    read_by: tuple[str, ...]


@dataclass(frozen=True)
class XidTable:
    version: int
    forms: dict[str, Form]
    default_form: str
    xids: tuple[Xid, ...]

    def find(self, number: int) -> Xid | None:
        return next((xid for xid in self.xids if xid.number == number), None)

    def prefix_of(self, number: int) -> str:
        """How a line with this XID begins; an XID without a row takes the default form."""
        xid = self.find(number)
        return self.forms[xid.form if xid else self.default_form].prefix


@cache
def xid_table() -> XidTable:
    """The shipped table; raises pydantic's ValidationError if the file does not fit."""
    text = files("fault_agent").joinpath("xids.json").read_text(encoding="utf-8")
    return TypeAdapter(XidTable).validate_json(text)
