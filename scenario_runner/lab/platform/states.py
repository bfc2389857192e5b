"""The label that shows how far the platform is with a node, and how long it has stood."""

from enum import StrEnum

from scenario_runner.lab.platform.clock import Clock
from scenario_runner.lab.platform.cluster import Cluster, Node

LABEL = "dgxc.nvidia.com/nvsentinel-state"


class State(StrEnum):
    """Values of the label; NONE is a node without it."""

    NONE = ""
    QUARANTINED = "quarantined"
    DRAINING = "draining"
    DRAIN_SUCCEEDED = "drain-succeeded"
    DRAIN_FAILED = "drain-failed"
    REMEDIATING = "remediating"
    REMEDIATION_SUCCEEDED = "remediation-succeeded"
    REMEDIATION_FAILED = "remediation-failed"


class States:
    """Reads and writes the label. A state that was found, not set, has stood since it was first looked at."""

    def __init__(self, cluster: Cluster, clock: Clock, least: float) -> None:
        self._cluster = cluster
        self._clock = clock
        self._least = least
        self._since: dict[str, tuple[State, float]] = {}

    def of(self, node: Node) -> State:
        """The state, NONE also for a value that nobody knows."""
        label = node.labels.get(LABEL, "")
        return State(label) if label in list(State) else State.NONE

    def age(self, node: Node) -> float:
        """Seconds that the node has been in its state."""
        state = self.of(node)
        known = self._since.get(node.name)
        if known is None or known[0] is not state:
            known = (state, self._clock.monotonic())
            self._since[node.name] = known
        return self._clock.monotonic() - known[1]

    def stood(self, node: Node) -> bool:
        """True once the state has been there long enough for a watcher to have seen it."""
        return self.of(node) is State.NONE or self.age(node) >= self._least

    def enter(self, node: Node, state: State) -> None:
        """Set the label, in the cluster and in `node`. Raises ApiTrouble."""
        self._cluster.patch_node(node.name, {"metadata": {"labels": {LABEL: state.value}}})
        node.raw["metadata"].setdefault("labels", {})[LABEL] = state.value
        self._since[node.name] = (state, self._clock.monotonic())
