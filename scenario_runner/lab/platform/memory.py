"""What the platform must not forget when it restarts: kept in a ConfigMap, like its database would."""

import json
from dataclasses import dataclass

from scenario_runner.lab.platform.cluster import Cluster
from scenario_runner.lab.platform.health import HealthEvent, from_json, to_json

_NAME = "health-events"


@dataclass(frozen=True)
class NodeMemory:
    """
    One node: how far its kernel log was read and in which boot, what is wrong now, what waits for the quarantine.
    """

    cursor: int
    boot_id: str
    active: tuple[HealthEvent, ...] = ()
    pending: tuple[HealthEvent, ...] = ()


class Memory:
    """All nodes. Writing reaches the cluster before it is true here."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._nodes = {node: _load(text) for node, text in cluster.config(_NAME).items()}

    def get(self, node: str) -> NodeMemory | None:
        return self._nodes.get(node)

    def put(self, node: str, memory: NodeMemory) -> None:
        """Raises ApiTrouble, and then remembers what it did before."""
        if self._nodes.get(node) != memory:
            self._cluster.set_config(_NAME, {node: _dump(memory)})
            self._nodes[node] = memory

    @property
    def waiting(self) -> bool:
        """True if the quarantine has anything to do."""
        return any(memory.pending for memory in self._nodes.values())


def _dump(memory: NodeMemory) -> str:
    return json.dumps(
        {
            "cursor": memory.cursor,
            "bootID": memory.boot_id,
            "active": to_json(memory.active),
            "pending": to_json(memory.pending),
        }
    )


def _load(text: str) -> NodeMemory:
    value = json.loads(text)
    return NodeMemory(value["cursor"], value["bootID"], from_json(value["active"]), from_json(value["pending"]))
