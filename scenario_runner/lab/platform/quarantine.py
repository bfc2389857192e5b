"""Fault quarantine: cordons a node for a fatal event, and lets it go when its last fault has healed."""

from collections.abc import Iterable
from dataclasses import replace

from scenario_runner.lab.platform.api import Json
from scenario_runner.lab.platform.breaker import Breaker
from scenario_runner.lab.platform.clock import Clock
from scenario_runner.lab.platform.cluster import Cluster, Node
from scenario_runner.lab.platform.health import HealthEvent, from_json, to_json
from scenario_runner.lab.platform.memory import Memory
from scenario_runner.lab.platform.states import LABEL, State, States

EVENTS = "quarantineHealthEvent"
REMEDIATION = "latestFaultRemediationState"

_CORDONED = "quarantineHealthEventIsCordoned"
_PRE_EXISTING = "quarantineHealthEventCordonPreExisting"
_TAINTS = "quarantineHealthEventAppliedTaints"
_LABELS = "quarantineHealthEventAppliedLabels"
_BY_HAND = "quarantinedNodeUncordonedManually"
_PREFIX = "k8saas.nvidia.com"
_WHO = "NVSentinel"
_RULE_SET = "Syslog-fatal-error-ruleset"
_OPT_OUTS = (f"{_PREFIX}/ManagedByNVSentinel", "nvsentinel.dgxc.nvidia.com/managed")


def events_of(node: Node) -> tuple[HealthEvent, ...]:
    """The faults for which the node is in quarantine."""
    return from_json(node.annotations.get(EVENTS, ""))


class Quarantine:
    """Takes the pending events of each node in their order."""

    def __init__(self, cluster: Cluster, memory: Memory, states: States, breaker: Breaker, clock: Clock) -> None:
        self._cluster = cluster
        self._memory = memory
        self._states = states
        self._breaker = breaker
        self._clock = clock

    def notice_uncordon(self, node: Node) -> bool:
        """If a human uncordoned a node in quarantine, forget the quarantine and say so on the node."""
        if node.annotations.get(_CORDONED) != "True" or node.unschedulable:
            return False
        self._cluster.patch_node(node.name, self._release(annotations={_BY_HAND: "True"}))
        return True

    def is_letting_go(self, node: Node) -> bool:
        """True if the next event ends the quarantine; until then nobody else moves the node on."""
        memory = self._memory.get(node.name)
        if memory is None or not memory.pending:
            return False
        return memory.pending[0].healthy and all(memory.pending[0].heals(one) for one in events_of(node))

    def step(self, node: Node, nodes: Iterable[Node]) -> None:
        """At most one event; the caller comes again with a fresh node. Raises ApiTrouble."""
        memory = self._memory.get(node.name)
        if memory is None or not memory.pending or self._breaker.tripped(nodes):
            return
        event = memory.pending[0]
        settled = self._heal(node, event) if event.healthy else self._cordon(node, event)
        if settled:
            self._memory.put(node.name, replace(memory, pending=memory.pending[1:]))

    def _cordon(self, node: Node, event: HealthEvent) -> bool:
        if any(node.labels.get(label) == "false" for label in _OPT_OUTS):
            return True
        known = events_of(node)
        if not known and not node.unschedulable:
            self._breaker.cordoned(node.name)
        if not any(one.key == event.key for one in known):
            self._cluster.patch_node(node.name, self._hold(node, (*known, event)))
        if self._states.of(node) is State.NONE:
            self._states.enter(node, State.QUARANTINED)
        return True

    def _hold(self, node: Node, events: tuple[HealthEvent, ...]) -> Json:
        if EVENTS in node.annotations:
            return {"metadata": {"annotations": {EVENTS: to_json(events)}}}
        before = {_PRE_EXISTING: "True"} if node.unschedulable else {}
        annotations = {
            EVENTS: to_json(events), _CORDONED: "True", _TAINTS: "[]", _LABELS: "[]", _BY_HAND: None, **before,
        }  # fmt: skip
        labels = {
            **_marks("cordon", by=_WHO, reason=_RULE_SET, timestamp=self._stamp()),
            **_marks("uncordon", by=None, reason=None, timestamp=None),
        }
        return {"metadata": {"annotations": annotations, "labels": labels}, "spec": {"unschedulable": True}}

    def _heal(self, node: Node, event: HealthEvent) -> bool:
        """False while the node's state has to stand a little longer."""
        known = events_of(node)
        if EVENTS not in node.annotations and self._states.of(node) is State.NONE:
            return True
        left = tuple(one for one in known if not event.heals(one))
        if left:
            self._cluster.patch_node(node.name, {"metadata": {"annotations": {EVENTS: to_json(left)}}})
            return True
        if not self._states.stood(node):
            return False
        self._let_go(node)
        return True

    def _let_go(self, node: Node) -> None:
        if _PRE_EXISTING in node.annotations:
            self._cluster.patch_node(node.name, self._release())
            return
        uncordon = _marks("uncordon", by=_WHO, reason=f"{_RULE_SET}-removed", timestamp=self._stamp())
        self._cluster.patch_node(node.name, {**self._release(labels=uncordon), "spec": {"unschedulable": False}})

    def _release(
        self, *, labels: dict[str, str | None] | None = None, annotations: dict[str, str] | None = None
    ) -> Json:
        ours = dict.fromkeys((EVENTS, _CORDONED, _PRE_EXISTING, _TAINTS, _LABELS, REMEDIATION))
        marks = _marks("cordon", by=None, reason=None, timestamp=None)
        return {
            "metadata": {
                "annotations": {**ours, **(annotations or {})},
                "labels": {**marks, LABEL: None, **(labels or {})},
            }
        }

    def _stamp(self) -> str:
        return self._clock.now().strftime("%Y-%m-%dT%H-%M-%SZ")


def _marks(what: str, *, by: str | None, reason: str | None, timestamp: str | None) -> dict[str, str | None]:
    return {
        f"{_PREFIX}/{what}-by": by,
        f"{_PREFIX}/{what}-reason": reason,
        f"{_PREFIX}/{what}-timestamp": timestamp,
    }
