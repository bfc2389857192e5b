"""Collects what a person needs to understand a step that did not pass, before anything is taken back."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from scenario_runner.core.clock import Deadline
from scenario_runner.core.observations import ObservationLog
from scenario_runner.core.plan import Plan
from scenario_runner.core.ports import AgentReads, ClusterReads
from scenario_runner.core.states import PodState
from scenario_runner.core.targets import GpuTarget, NodesTarget, NodeTarget, WorkloadTarget
from scenario_runner.engine.ledger import Ledger
from scenario_runner.errors import ScenarioRunnerError

_MOST_PODS = 20  # of one workload
_LOG_BYTES = 256 * 1024


@dataclass(frozen=True)
class Sources:
    """Where evidence comes from."""

    plan: Plan
    cluster: ClusterReads
    agent: AgentReads
    log: ObservationLog


def collect(sources: Sources, ledger: Ledger, deadline: Deadline) -> tuple[str, ...]:
    """Paths of the evidence, relative to the run's folder. What cannot be read (in time) says so in its own file."""
    files = [ledger.evidence_file(name, _read(read, deadline)) for name, read in _pieces(sources)]
    log = sources.log
    events = log.select("event")
    lines = [f"{one.time:%H:%M:%S.%f} {one.name} {one.value}: {one.detail}" for one in events]
    return (*files, ledger.evidence_file("events.txt", "\n".join(lines) + "\n"))


def _pieces(sources: Sources) -> Iterator[tuple[str, Callable[[], str]]]:
    plan, cluster = sources.plan, sources.cluster
    for node in sorted(_nodes(plan)):
        yield f"node-{node}.yaml", lambda node=node: cluster.describe("Node", "", node)  # type: ignore[misc]
    yield "faults.json", lambda: json.dumps(asdict(sources.agent.faults()), indent=2) + "\n"
    for target in plan.targets.values():
        if isinstance(target, WorkloadTarget):
            yield from _workload(target, cluster)


def _workload(target: WorkloadTarget, cluster: ClusterReads) -> Iterator[tuple[str, Callable[[], str]]]:
    yield f"{target.kind}-{target.name}.yaml", lambda: cluster.describe(target.kind, target.namespace, target.name)
    try:
        pods = cluster.pods(target.namespace, target.selector)[:_MOST_PODS]
    except ScenarioRunnerError as exc:
        reason = str(exc)
        yield f"pods-of-{target.name}.txt", lambda: f"cannot be listed: {reason}\n"
        return
    for pod in pods:
        yield f"pod-{pod.name}.log", lambda pod=pod: _log(cluster, pod, previous=False)  # type: ignore[misc]
        if pod.restarts:
            yield f"pod-{pod.name}-previous.log", lambda pod=pod: _log(cluster, pod, previous=True)  # type: ignore[misc]


def _log(cluster: ClusterReads, pod: PodState, *, previous: bool) -> str:
    return cluster.logs(pod.namespace, pod.name, previous=previous, max_bytes=_LOG_BYTES)


def _read(read: Callable[[], str], deadline: Deadline) -> str:
    if deadline.left == 0:
        return "not read: the time for evidence was over\n"
    try:
        return read()
    except ScenarioRunnerError as exc:
        return f"cannot be read: {exc}\n"


def _nodes(plan: Plan) -> set[str]:
    names: set[str] = set()
    for target in plan.targets.values():
        if isinstance(target, NodeTarget):
            names.add(target.name)
        elif isinstance(target, GpuTarget):
            names.add(target.node.name)
        elif isinstance(target, NodesTarget):
            names |= {node.name for node in target.nodes}
    return names
