"""What the system journal makes of a kernel record: its identifier rule decides what a health monitor gets to see."""

import re
from dataclasses import dataclass

from scenario_runner.lab.platform.kernel_log import Record

_MAX_PRIORITY = 999
_IDENTIFIER = re.compile(r"[ \t]*([^ \t\n]+?)(?:\[[^\]\s]*\])?:(?:[ \t]+|$)")


@dataclass(frozen=True)
class JournalEntry:
    """The two fields that matter: SYSLOG_IDENTIFIER and MESSAGE."""

    identifier: str
    message: str


def journal_entry(record: Record) -> JournalEntry | None:
    """
    The entry for a record, or None if the journal drops it.

    A record of the kernel itself stays whole. From any other facility a first word that ends in ':' becomes the
    identifier and is taken out of the message, so `NVRM: Xid ...` written by a process arrives as `Xid ...`.
    """
    if record.priority > _MAX_PRIORITY:
        return None
    if record.priority < 8:  # noqa: PLR2004 - facility 0
        return JournalEntry("kernel", record.text)
    match = _IDENTIFIER.match(record.text)
    if match is None:
        return JournalEntry("", record.text)
    return JournalEntry(match.group(1), record.text[match.end() :])
