"""Shows health events on the node object: a condition for what is fatal, an Event for what is not."""

from dataclasses import replace

from scenario_runner.lab.platform.api import Json
from scenario_runner.lab.platform.clock import Clock
from scenario_runner.lab.platform.cluster import Cluster
from scenario_runner.lab.platform.health import AGENT, NO_FAILURES, XID_CHECK, HealthEvent, condition_message
from scenario_runner.lab.platform.memory import NodeMemory


class Connector:
    """Suppresses repeats of a fault for `suppression` seconds, unless it healed in between."""

    def __init__(self, cluster: Cluster, clock: Clock, suppression: float) -> None:
        self._cluster = cluster
        self._clock = clock
        self._suppression = suppression
        self._seen: dict[HealthEvent, float] = {}

    def deliver(self, memory: NodeMemory, event: HealthEvent) -> NodeMemory:
        """Show the event, and return the memory with what it means. Raises ApiTrouble."""
        if event.healthy:
            return self._heal(memory, event)
        if self._repeats(event):
            return memory
        if event.fatal:
            memory = self._fail(memory, event)
        else:
            self._cluster.create_event(_node_event(event))
        self._seen[event] = self._clock.monotonic()
        return memory

    def _heal(self, memory: NodeMemory, event: HealthEvent) -> NodeMemory:
        active = tuple(one for one in memory.active if not event.heals(one))
        self._show(event, active)
        self._seen = {one: at for one, at in self._seen.items() if one.node != event.node or not event.heals(one)}
        return replace(memory, active=active, pending=(*memory.pending, event))

    def _fail(self, memory: NodeMemory, event: HealthEvent) -> NodeMemory:
        others = tuple(one for one in memory.active if one.key != event.key)
        self._show(event, (*others, event))
        return replace(memory, active=(*others, event), pending=(*memory.pending, event))

    def _repeats(self, event: HealthEvent) -> bool:
        now = self._clock.monotonic()
        self._seen = {one: at for one, at in self._seen.items() if now - at < self._suppression}
        return any(one.key == event.key and one.id != event.id for one in self._seen)

    def _show(self, event: HealthEvent, active: tuple[HealthEvent, ...]) -> None:
        node = self._cluster.nodes().get(event.node)
        before = (node and node.condition(XID_CHECK)) or {}
        status = "True" if active else "False"
        changed = before.get("status") != status
        self._cluster.set_condition(
            event.node,
            {
                "type": XID_CHECK,
                "status": status,
                "reason": f"{XID_CHECK}{'IsNotHealthy' if active else 'IsHealthy'}",
                "message": condition_message(active) if active else NO_FAILURES,
                "lastHeartbeatTime": event.at,
                "lastTransitionTime": event.at if changed else before.get("lastTransitionTime", event.at),
            },
        )


def _node_event(event: HealthEvent) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{event.node}.{event.id[:16]}", "namespace": "default"},
        "involvedObject": {"apiVersion": "v1", "kind": "Node", "name": event.node, "uid": event.node},
        "type": event.check,
        "reason": f"{event.check}IsNotHealthy",
        "message": event.sentence,
        "count": 1,
        "firstTimestamp": event.at,
        "lastTimestamp": event.at,
        "source": {"component": AGENT, "host": event.node},
        "reportingComponent": AGENT,
        "reportingInstance": event.node,
    }
