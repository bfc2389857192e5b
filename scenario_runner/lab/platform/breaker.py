"""The circuit breaker: stops the quarantine when too many GPU nodes were cordoned in a short time."""

import json
import math
from collections.abc import Iterable
from datetime import datetime, timedelta

from scenario_runner.lab.platform.clock import Clock
from scenario_runner.lab.platform.cluster import Cluster, Node

_NAME = "circuit-breaker"
_CLOSED = "CLOSED"
_TRIPPED = "TRIPPED"
_SHARE = 0.5
_GPU_LABEL = ("nvidia.com/gpu.present", "true")


class Breaker:
    """Its state is a ConfigMap; whoever sets `status` back to CLOSED there starts with a clean slate."""

    def __init__(self, cluster: Cluster, clock: Clock, window: float) -> None:
        self._cluster = cluster
        self._clock = clock
        self._window = timedelta(seconds=window)
        if not cluster.config(_NAME):
            cluster.set_config(_NAME, {"status": _CLOSED, "cordoned": "{}"})

    def tripped(self, nodes: Iterable[Node]) -> bool:
        """True if nothing may be quarantined or released now; trips if that has become so. Raises ApiTrouble."""
        data = self._cluster.config(_NAME)
        if data.get("status") == _TRIPPED:
            return True
        total = sum(node.labels.get(_GPU_LABEL[0]) == _GPU_LABEL[1] for node in nodes)
        recent = self._recent(data)
        if total == 0 or len(recent) < math.ceil(total * _SHARE):
            return False
        self._cluster.set_config(_NAME, {"status": _TRIPPED, "cordoned": "{}"})
        return True

    def cordoned(self, node: str) -> None:
        """Count a cordon. Raises ApiTrouble."""
        recent = {**self._recent(self._cluster.config(_NAME)), node: self._clock.now().isoformat()}
        self._cluster.set_config(_NAME, {"cordoned": json.dumps(recent)})

    def _recent(self, data: dict[str, str]) -> dict[str, str]:
        oldest = self._clock.now() - self._window
        cordoned: dict[str, str] = json.loads(data.get("cordoned") or "{}")
        return {node: at for node, at in cordoned.items() if datetime.fromisoformat(at) > oldest}
