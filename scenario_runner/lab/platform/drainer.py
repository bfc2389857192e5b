"""The node drainer: evicts the workload of a node in quarantine and waits until it is gone."""

import re

from scenario_runner.lab.platform.api import Json
from scenario_runner.lab.platform.clock import Clock
from scenario_runner.lab.platform.cluster import Cluster, Node
from scenario_runner.lab.platform.states import State, States
from scenario_runner.lab.platform.times import Times

_SKIPPED = re.compile(r"^(nvsentinel|kube-system|gpu-operator|gmp-system|network-operator|skyhook)$")
_MIRROR = "kubernetes.io/config.mirror"


class Drainer:
    """`step` moves a node on by at most one state."""

    def __init__(self, cluster: Cluster, states: States, times: Times, clock: Clock) -> None:
        self._cluster = cluster
        self._states = states
        self._times = times
        self._clock = clock
        self._next_round: dict[str, float] = {}

    def step(self, node: Node) -> None:
        """Raises ApiTrouble."""
        state = self._states.of(node)
        if state is State.QUARANTINED and self._states.stood(node):
            left = self._pods(node)
            self._states.enter(node, State.DRAINING if left else State.DRAIN_SUCCEEDED)
        elif state is State.DRAINING and self._clock.monotonic() >= self._next_round.get(node.name, 0.0):
            self._next_round[node.name] = self._clock.monotonic() + self._times.drain_retry
            self._drain(node)

    def _drain(self, node: Node) -> None:
        left = self._pods(node)
        for pod in left:
            if "deletionTimestamp" not in pod["metadata"]:
                # A budget that refuses now may allow it in the next round.
                self._cluster.evict(pod["metadata"]["namespace"], pod["metadata"]["name"])
        if not left and self._states.stood(node):
            self._states.enter(node, State.DRAIN_SUCCEEDED)
        elif self._states.age(node) >= self._times.drain_limit:
            self._states.enter(node, State.DRAIN_FAILED)

    def _pods(self, node: Node) -> list[Json]:
        return [pod for pod in self._cluster.pods_on(node.name) if _is_workload(pod)]


def _is_workload(pod: Json) -> bool:
    meta = pod["metadata"]
    owned_by_node = any(owner["kind"] in ("DaemonSet", "Node") for owner in meta.get("ownerReferences") or [])
    over = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    mirror = _MIRROR in (meta.get("annotations") or {})
    return not (_SKIPPED.match(meta["namespace"]) or owned_by_node or over or mirror)
