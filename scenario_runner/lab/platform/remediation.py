"""Fault remediation: asks for the repair that the faults of a drained node call for, and waits for its end."""

import json
from dataclasses import dataclass

from scenario_runner.lab.platform import maintenance
from scenario_runner.lab.platform.api import Json
from scenario_runner.lab.platform.clock import Clock, iso
from scenario_runner.lab.platform.cluster import GROUP, VERSION, Cluster, Node
from scenario_runner.lab.platform.health import HealthEvent
from scenario_runner.lab.platform.quarantine import REMEDIATION, events_of
from scenario_runner.lab.platform.states import State, States
from scenario_runner.lab.platform.xids import Action

_RESTARTS = (Action.RESTART_BM, Action.RESTART_VM)


@dataclass(frozen=True)
class Repair:
    """One object to create; repairs of one `group` are as good as each other."""

    kind: maintenance.Kind
    group: str
    name: str
    action: Action
    gpus: tuple[str, ...] = ()


def repairs_for(node: str, events: tuple[HealthEvent, ...]) -> tuple[Repair, ...]:
    """What helps against the events: one reboot if any of them needs it, else a reset of each GPU that needs one."""
    restart = next((event for event in events if event.action in _RESTARTS), None)
    if restart is not None:
        return (Repair(maintenance.REBOOT, "restart", _name(node, restart), restart.action),)
    resets: dict[str, Repair] = {}
    for event in events:
        if event.action is Action.COMPONENT_RESET and event.gpu not in resets:
            group = f"reset-{event.gpu}"
            resets[event.gpu] = Repair(maintenance.RESET, group, _name(node, event), event.action, (event.gpu,))
    return tuple(resets.values())


def _name(node: str, event: HealthEvent) -> str:
    return f"maintenance-{node}-{event.id}"


class Remediation:
    """`step` moves a node on by at most one state."""

    def __init__(self, cluster: Cluster, states: States, clock: Clock) -> None:
        self._cluster = cluster
        self._states = states
        self._clock = clock

    def step(self, node: Node) -> None:
        """Raises ApiTrouble."""
        state = self._states.of(node)
        repairs = repairs_for(node.name, events_of(node))
        if state is State.REMEDIATING:
            for repair in self._new(node, repairs):
                self._order(node, repair)
            self.conclude(node)
        elif not self._states.stood(node):
            return
        elif state is State.DRAIN_SUCCEEDED:
            self._states.enter(node, State.REMEDIATING if repairs else State.REMEDIATION_FAILED)
        elif state in (State.REMEDIATION_SUCCEEDED, State.REMEDIATION_FAILED) and self._new(node, repairs):
            self._states.enter(node, State.REMEDIATING)

    def conclude(self, node: Node) -> None:
        """Note the end of the repairs that were ordered, once all have ended; order none. Raises ApiTrouble."""
        if self._states.of(node) is not State.REMEDIATING or not self._states.stood(node):
            return
        events = events_of(node)
        repairs = repairs_for(node.name, events)
        if self._new(node, repairs):
            return
        verdicts = [
            maintenance.verdict(kind, self._cluster.maintenance(kind.plural, name))
            for kind, name in self._ordered(node, repairs)
        ]
        beyond_repair = any(event.action is Action.CONTACT_SUPPORT for event in events)
        if None in verdicts:
            return
        failed = False in verdicts or beyond_repair
        self._states.enter(node, State.REMEDIATION_FAILED if failed else State.REMEDIATION_SUCCEEDED)

    def _order(self, node: Node, repair: Repair) -> None:
        self._cluster.create_maintenance(
            repair.kind.plural, maintenance.body(repair.kind, repair.name, node.name, repair.gpus)
        )
        ordered = {
            "maintenanceCR": repair.name, "createdAt": iso(self._clock.now()), "actionName": repair.action.name,
            "version": VERSION, "apiGroup": GROUP, "kind": repair.kind.kind,
        }  # fmt: skip
        groups = {**_groups(node), repair.group: ordered}
        node.raw["metadata"].setdefault("annotations", {})[REMEDIATION] = json.dumps({"equivalenceGroups": groups})
        self._cluster.patch_node(node.name, {"metadata": {"annotations": {REMEDIATION: node.annotations[REMEDIATION]}}})

    def _new(self, node: Node, repairs: tuple[Repair, ...]) -> list[Repair]:
        groups = _groups(node)
        return [one for one in repairs if groups.get(one.group, {}).get("maintenanceCR") != one.name]

    def _ordered(self, node: Node, repairs: tuple[Repair, ...]) -> list[tuple[maintenance.Kind, str]]:
        """What to wait for: what the faults call for now, or, when they have just healed, what was ordered for them."""
        if repairs:
            return [(repair.kind, repair.name) for repair in repairs]
        kinds = {kind.kind: kind for kind in maintenance.KINDS}
        return [(kinds[group["kind"]], group["maintenanceCR"]) for group in _groups(node).values()]


def _groups(node: Node) -> dict[str, Json]:
    groups: dict[str, Json] = json.loads(node.annotations.get(REMEDIATION) or "{}").get("equivalenceGroups", {})
    return groups
