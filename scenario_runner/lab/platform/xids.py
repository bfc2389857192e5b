"""What the platform recommends for each XID: its own table, on purpose not read from the runner's."""

import re
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType


class Action(Enum):
    """A recommended action; the values are those of the platform's wire format."""

    NONE = 0
    COMPONENT_RESET = 2
    CONTACT_SUPPORT = 5
    RESTART_VM = 15
    RESTART_BM = 24


_IGNORED = (13, 31, 32, 43, 45, 63, 69, 92, 94)
_RESET = (46, 48, 62, 64, 95, 109, 119, 120, 140, 143)

_ACTIONS: Mapping[int, Action] = MappingProxyType(
    dict.fromkeys(_IGNORED, Action.NONE)
    | dict.fromkeys(_RESET, Action.COMPONENT_RESET)
    | {79: Action.RESTART_BM, 74: Action.CONTACT_SUPPORT, 151: Action.RESTART_VM}
)

RECOVERY_ACTION_XID = 154  # "GPU recovery action changed from ... to ...": the text says what to do
_RECOVERY: Mapping[str, Action] = MappingProxyType(
    {
        "None": Action.NONE,
        "GPU Reset Required": Action.COMPONENT_RESET,
        "Drain and Reset": Action.COMPONENT_RESET,
        "Node Reboot Required": Action.RESTART_BM,
    }
)
_BRACKETED = re.compile(r"\(([^()]*)\)")


def recommended_action(xid: int, message: str) -> Action:
    """The action for an XID line; numbers that nobody knows are a case for support. Fatal is whatever is not NONE."""
    if xid == RECOVERY_ACTION_XID:
        words = _BRACKETED.findall(message)
        return _RECOVERY.get(words[-1], Action.CONTACT_SUPPORT) if words else Action.CONTACT_SUPPORT
    return _ACTIONS.get(xid, Action.CONTACT_SUPPORT)
