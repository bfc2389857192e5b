"""All parts of the stand-in in one loop: each tick moves every node on by what has become due."""

import sys
from collections.abc import Callable, Mapping

from scenario_runner.lab.platform import maintenance
from scenario_runner.lab.platform.api import Api, ApiTrouble
from scenario_runner.lab.platform.breaker import Breaker
from scenario_runner.lab.platform.clock import Clock
from scenario_runner.lab.platform.cluster import Cluster, Node
from scenario_runner.lab.platform.connector import Connector
from scenario_runner.lab.platform.drainer import Drainer
from scenario_runner.lab.platform.janitor import Janitor
from scenario_runner.lab.platform.memory import Memory
from scenario_runner.lab.platform.monitor import Monitor
from scenario_runner.lab.platform.place import Place
from scenario_runner.lab.platform.quarantine import EVENTS, Quarantine
from scenario_runner.lab.platform.reboot import Ask
from scenario_runner.lab.platform.remediation import Remediation
from scenario_runner.lab.platform.states import State, States
from scenario_runner.lab.platform.times import Times


def _complain(text: str) -> None:
    print(f"platform: {text}", file=sys.stderr, flush=True)  # noqa: T201


class Platform:
    """Everything it must remember is in the cluster: a new one goes on where the last one stopped."""

    def __init__(
        self,
        api: Api,
        places: Mapping[str, Place],
        ask: Ask,
        times: Times,
        clock: Clock,
        *,
        complain: Callable[[str], None] = _complain,
    ) -> None:
        """Raises ApiTrouble, and OSError if a node's files can not be read."""
        self._cluster = Cluster(api)
        self._complain = complain
        self._cluster.prepare(maintenance.definitions())
        self._memory = Memory(self._cluster)
        self._states = States(self._cluster, clock, times.state)
        self._connector = Connector(self._cluster, clock, times.suppression)
        self._quarantine = Quarantine(
            self._cluster, self._memory, self._states, Breaker(self._cluster, clock, times.breaker), clock
        )
        self._drainer = Drainer(self._cluster, self._states, times, clock)
        self._remediation = Remediation(self._cluster, self._states, clock)
        self._janitor = Janitor(self._cluster, places, ask, times, clock)
        self._monitors = [Monitor(place, self._memory, times, clock) for place in places.values()]
        for monitor in self._monitors:
            monitor.start()
        self._places = places
        self._nodes: Mapping[str, Node] | None = None
        self._engaged = True  # until a look at the nodes says that there is nothing to do

    def tick(self, *, changed: bool) -> None:
        """
        One round; `changed` says that a node may have changed since the last one.

        Trouble with the API server or with a node's files is complained about, and tried again in the next round.
        """
        self._nodes = None
        for monitor, node in zip(self._monitors, self._places, strict=True):
            self._try(lambda monitor=monitor, node=node: self._look(monitor, node))  # type: ignore[misc]
        if changed or self.busy:
            self._try(self._round)

    @property
    def busy(self) -> bool:
        """True if anything is under way, as far as the last round saw."""
        return self._engaged or self._memory.waiting or self._janitor.busy

    def _look(self, monitor: Monitor, node: str) -> None:
        monitor.step(lambda boot_id: self._is_up(node, boot_id), self._connector.deliver)

    def _is_up(self, name: str, boot_id: str) -> bool:
        node = self._listed().get(name)
        return node is not None and node.is_up_in(boot_id)

    def _listed(self) -> Mapping[str, Node]:
        """One list per tick, and none in a tick that needs none."""
        if self._nodes is None:
            self._nodes = self._cluster.nodes()
        return self._nodes

    def _round(self) -> None:
        self._nodes = None  # a monitor may have changed a condition meanwhile
        nodes = self._listed()
        ours = [nodes[name] for name in self._places if name in nodes]
        in_quarantine = any(EVENTS in node.annotations or self._states.of(node) is not State.NONE for node in ours)
        self._engaged = in_quarantine or self._memory.waiting
        for node in ours:
            self._move(node, nodes)
        self._janitor.step(nodes)

    def _move(self, node: Node, nodes: Mapping[str, Node]) -> None:
        if self._quarantine.notice_uncordon(node):
            return
        if self._quarantine.is_letting_go(node):
            self._remediation.conclude(node)  # a repair that worked is seen as such before the node is let go
        else:
            self._drainer.step(node)
            self._remediation.step(node)
        self._quarantine.step(node, nodes.values())

    def _try(self, part: Callable[[], None]) -> None:
        try:
            part()
        except (ApiTrouble, OSError) as trouble:
            self._complain(str(trouble))
