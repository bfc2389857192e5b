"""The words for a node's states, each as a question to the observations of the run's watches."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from scenario_runner.core.observations import ObservationLog

NodeWord = Literal[
    "ready", "not_ready", "cordoned", "uncordoned", "noticed", "unhealthy", "healthy", "quarantined", "drained",
    "remediated",
]  # fmt: skip
SentinelWord = Literal[
    "quarantined", "draining", "drain-succeeded", "drain-failed", "remediating", "remediation-succeeded",
    "remediation-failed", "healed",
]  # fmt: skip

CONDITION = "condition/SysLogsXIDError"
STATE = "label/dgxc.nvidia.com/nvsentinel-state"
# The way of success: a platform that skips a state, or hurries through it, has passed it all the same.
_PROGRESS = ("quarantined", "draining", "drain-succeeded", "remediating", "remediation-succeeded")
_FAILED = {"drain-failed": "draining", "remediation-failed": "remediating"}  # failure -> the last state passed before


@dataclass(frozen=True)
class Meaning:
    """A word: the fact it is about, the values it stands for, and what to say of a node where it did not come true."""

    fact: str
    holds: Callable[[str], bool]
    missed: str  # with {node} in it
    after: Callable[[str], bool] = lambda _: True  # values from which becoming so counts


def passed(state: str) -> frozenset[str]:
    """The label's values that mean `state` or a later one."""
    if state not in _PROGRESS:
        return frozenset({state})
    later = set(_PROGRESS[_PROGRESS.index(state) :])
    return frozenset(later | {failure for failure, before in _FAILED.items() if before in later})


def _state(state: str, missed: str) -> Meaning:
    return Meaning(STATE, passed(state).__contains__, missed)


NODE_WORDS: Mapping[str, Meaning] = MappingProxyType(
    {
        "ready": Meaning("ready", "True".__eq__, "{node} did not become ready"),
        "not_ready": Meaning("ready", lambda value: value not in {"True", ""}, "{node} did not become unready"),
        "cordoned": Meaning("schedulable", "false".__eq__, "no controller cordoned {node}"),
        "uncordoned": Meaning("schedulable", "true".__eq__, "no controller uncordoned {node}"),
        # Whether a fault was noticed is a question to the run: an event that names it counts, too.
        "noticed": Meaning("", lambda _: False, "nobody noticed the fault of {node}"),
        "unhealthy": Meaning(CONDITION, "True".__eq__, "no health monitor reported an XID of {node}"),
        "healthy": Meaning(
            CONDITION, lambda value: value != "True", "no health monitor declared {node} healthy", "True".__eq__
        ),
        "quarantined": _state("quarantined", "no platform quarantined {node}"),
        "drained": _state("drain-succeeded", "no platform drained {node}"),
        "remediated": _state("remediation-succeeded", "no platform repaired {node}"),
    }
)
SENTINEL_WORDS: Mapping[str, Meaning] = MappingProxyType(
    {state: _state(state, f"{{node}} did not get to the state {state}") for state in (*_PROGRESS, *_FAILED)}
    | {"healed": Meaning(STATE, "".__eq__, "{node} was not healed", lambda value: value != "")}
)
# States after which a word can not come true any more; a failed repair may still be healed by hand.
HOPELESS: Mapping[str, str] = MappingProxyType(
    {"drain-succeeded": "drain-failed", "remediating": "drain-failed", "remediation-succeeded": "remediation-failed"}
)


def known(log: ObservationLog, node: str) -> str:
    """What is known of a node that did not do what was awaited, and what to look at."""
    condition, state = log.value("node", node, CONDITION), log.value("node", node, STATE)
    parts = [f"condition SysLogsXIDError is {condition or 'absent'}"]
    if state:
        parts.append(f"its state is {state}")
    if log.value("node", node, "schedulable") == "false":
        parts.append("it is cordoned")
    if log.value("node", node, "ready") not in {"True", ""}:
        parts.append("it is not ready: does its kubelet run?")
    elif condition == "" and not state:
        parts.append("is the health monitor running?")
    elif condition == "True" and not state:
        parts.append("is the quarantine controller running?")
    return "; ".join(parts)
