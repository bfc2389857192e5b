"""The table of XIDs: what each means, how severe it is and what the platform does about it."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from pydantic import TypeAdapter

Severity = Literal["low", "medium", "high", "critical"]
Consequence = Literal["cordon", "drain", "reboot", "gpu-reset"]


@dataclass(frozen=True)
class SeverityTimes:
    """How long things take at one severity: seconds from .. to."""

    settle_seconds: tuple[float, float]  # after an injection, until its effects have shown
    recovery_seconds: tuple[float, float]  # from the platform's first reaction to a healthy node


@dataclass(frozen=True)
class Xid:
    """What is known about one XID. `message` is None where whoever injects it has to bring the text."""

    number: int
    title: str
    severity: Severity
    message: str | None
    form: str
    recommended_action: Literal["NONE", "COMPONENT_RESET", "RESTART_VM", "RESTART_BM", "CONTACT_SUPPORT"]
    fatal: bool
    platform_object: Literal["RebootNode", "GPUReset"] | None
    node_signal: Literal["condition", "event"]
    recovery_seconds: tuple[float, float]
    evidence: str
    injectable_without_message: bool

    @property
    def consequences(self) -> tuple[Consequence, ...]:
        """What the platform does to the node on its own when it sees this XID, in the order in which it happens."""
        if not self.fatal:
            return ()
        if self.platform_object is None:
            return ("cordon", "drain")
        return ("cordon", "drain", "reboot" if self.platform_object == "RebootNode" else "gpu-reset")


@dataclass(frozen=True)
class XidTable:
    """Every XID that is known, by number, and the times of the severities."""

    severities: dict[Severity, SeverityTimes]
    xids: tuple[Xid, ...]

    def find(self, number: int) -> Xid | None:
        return next((xid for xid in self.xids if xid.number == number), None)

    @property
    def injectable(self) -> tuple[int, ...]:
        """The numbers that can be injected without a message of one's own."""
        return tuple(xid.number for xid in self.xids if xid.injectable_without_message)

    def recovery_seconds(self, number: int) -> tuple[float, float]:
        """Seconds (from, to) that the platform needs after this XID; an unknown one counts as critical."""
        xid = self.find(number)
        return self.severities["critical"].recovery_seconds if xid is None else xid.recovery_seconds

    def consequences(self, number: int) -> tuple[Consequence, ...]:
        """What the platform is expected to do; nobody knows for an XID without a row, so everything is."""
        xid = self.find(number)
        return ("cordon", "drain", "reboot", "gpu-reset") if xid is None else xid.consequences


@cache
def xid_table() -> XidTable:
    """The shipped table."""
    text = files("scenario_runner.gpu").joinpath("xids.json").read_text(encoding="utf-8")
    return TypeAdapter(XidTable).validate_json(text)
