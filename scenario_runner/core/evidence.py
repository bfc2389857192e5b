"""Evidence of how the cluster was: pieces of text, each with its name, read when somebody asks for it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from scenario_runner.core.observations import ObservationLog
from scenario_runner.core.ports import AgentReads, ClusterReads
from scenario_runner.core.states import PodState
from scenario_runner.core.targets import WorkloadTarget
from scenario_runner.errors import ScenarioRunnerError

_MOST_PODS = 20  # of one workload
_LOG_BYTES = 256 * 1024


@dataclass(frozen=True)
class Piece:
    """One file to be; `read` raises TargetUnreachable or TargetRefused."""

    name: str
    read: Callable[[], str]


@dataclass(frozen=True)
class Sources:
    """Where evidence comes from."""

    cluster: ClusterReads
    agent: AgentReads
    log: ObservationLog

    def node(self, name: str) -> Piece:
        return Piece(f"node-{name}.yaml", lambda: self.cluster.describe("Node", "", name))

    def workload(self, target: WorkloadTarget) -> Piece:
        describe = self.cluster.describe
        return Piece(f"{target.kind}-{target.name}.yaml", lambda: describe(target.kind, target.namespace, target.name))

    def logs(self, target: WorkloadTarget) -> Iterator[Piece]:
        """Of each of its pods the log, and the one before a restart; pods that can not be listed say so in a piece."""
        try:
            pods = self.cluster.pods(target.namespace, target.selector)[:_MOST_PODS]
        except ScenarioRunnerError as exc:
            yield Piece(f"pods-of-{target.name}.txt", _raising(exc))
            return
        for pod in pods:
            yield Piece(f"pod-{pod.name}.log", self._log(pod, previous=False))
            if pod.restarts:
                yield Piece(f"pod-{pod.name}-previous.log", self._log(pod, previous=True))

    def events(self) -> Piece:
        """The events that the run has seen."""
        return Piece("events.txt", self._events)

    def faults(self) -> Piece:
        """What the agents know."""
        return Piece("faults.json", lambda: json.dumps(asdict(self.agent.faults()), indent=2) + "\n")

    def _log(self, pod: PodState, *, previous: bool) -> Callable[[], str]:
        return lambda: self.cluster.logs(pod.namespace, pod.name, previous=previous, max_bytes=_LOG_BYTES)

    def _events(self) -> str:
        seen = self.log.select("event")
        return "".join(f"{one.time:%H:%M:%S.%f} {one.name} {one.value}: {one.detail}\n" for one in seen)


def _raising(error: ScenarioRunnerError) -> Callable[[], str]:
    def read() -> str:
        raise error

    return read
