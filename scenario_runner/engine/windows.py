"""What observations say about a fault: who noticed it, when its node was healed, and windows of time."""

import re
from collections.abc import Iterable, Sequence

from scenario_runner.core.faults import Fault, Interval
from scenario_runner.core.observations import Observation, ObservationLog

STATE_LABEL = "label/dgxc.nvidia.com/nvsentinel-state"
_OF_THE_KUBELET = {"Ready", "MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"}
_NAMED = re.compile(r"ErrorCode:(\d+)\s+PCI:([0-9a-fA-F]+:[0-9a-fA-F]+:[0-9a-fA-F]+)")


def noticed(log: ObservationLog, fault: Fault, since: float, *, alone: bool) -> Observation | None:
    """
    The first sign, not older than `since`, that the platform noticed this very fault.

    Conditions and events that name an XID and a PCI address must name ours. What names none (a state of the node, a
    condition without a code) counts only when the fault is `alone` on its node.
    """
    signs = [*log.select("node", fault.node, since=since), *log.select("event", f"Node/{fault.node}", since=since)]
    return min((one for one in signs if _is_sign(one, fault, alone=alone)), key=lambda one: one.at, default=None)


def healed(log: ObservationLog, node: str, since: float) -> float | None:
    """
    When a node was healthy again (as it was before) after the platform had reacted to something since `since`.

    Healthy: no condition of the platform holds that did not hold before, schedulable, no state of the platform.
    """
    before, now, reacted = {"schedulable": "true"}, {"schedulable": "true"}, False
    for seen in log.select("node", node):
        if not is_reaction_fact(seen.fact):
            continue
        if seen.at < since or seen.initial:
            before[seen.fact] = now[seen.fact] = seen.value
            continue
        now[seen.fact] = seen.value
        well = all(_well(fact, value, before.get(fact, "")) for fact, value in now.items())
        if reacted and well:
            return seen.at
        reacted = reacted or not well
    return None


def reaction(log: ObservationLog, node: str, since: float) -> list[Observation]:
    """What the platform did to a node since then: conditions, its state, cordons, each with its latest value."""
    latest = {one.fact: one for one in log.select("node", node, since=since) if not one.initial}
    return [one for fact, one in latest.items() if is_reaction_fact(fact)]


def union(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """The same stretches of time, ascending and without overlaps."""
    merged: list[Interval] = []
    for one in sorted(intervals, key=lambda it: it.start):
        last = merged[-1] if merged else None
        if last is not None and (last.end is None or one.start <= last.end):
            end = None if last.end is None or one.end is None else max(last.end, one.end)
            merged[-1] = Interval(last.start, end)
        else:
            merged.append(one)
    return tuple(merged)


def around(faults: Sequence[Interval], name: str, began: float) -> tuple[Interval, ...]:
    """The `baseline` before the first fault, or the `recovery` after the last one; empty when there is none."""
    if name == "baseline":
        return (Interval(began, faults[0].start if faults else None),)
    end = faults[-1].end if faults else None
    return () if end is None else (Interval(end, None),)


def is_reaction_fact(fact: str) -> bool:
    return fact in {"schedulable", STATE_LABEL} or is_platform_condition(fact)


def is_platform_condition(fact: str) -> bool:
    kind, _, name = fact.partition("/")
    return kind == "condition" and name not in _OF_THE_KUBELET


def _well(fact: str, value: str, before: str) -> bool:
    if fact == "schedulable":
        return value in {"true", before}
    return value in {"", before} if fact == STATE_LABEL else value != "True" or before == "True"


def _is_sign(seen: Observation, fault: Fault, *, alone: bool) -> bool:
    if seen.initial:
        return False
    if seen.fact == STATE_LABEL:
        return alone and seen.value != "" and seen.was == ""
    if is_platform_condition(seen.fact):
        return seen.value == "True" and _names(seen.detail, fault, otherwise=alone)
    if seen.subject == "event":
        return _names(seen.detail, fault, otherwise=False)
    return seen.fact.startswith("message/") and _names(seen.value, fault, otherwise=False)


def _names(text: str, fault: Fault, *, otherwise: bool) -> bool:
    found = _NAMED.findall(text)
    ours = _address(fault.pci)
    return (
        any(int(xid) == fault.xid and (not ours or _address(pci) == ours) for xid, pci in found) if found else otherwise
    )


def _address(pci: str) -> tuple[int, ...]:
    """A PCI address without its function; domains are written with 4 or 8 digits."""
    parts = pci.partition(".")[0].split(":")
    return tuple(int(part, 16) for part in parts) if len(parts) == len(("domain", "bus", "device")) else ()
