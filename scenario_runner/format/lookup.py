"""Finds nodes, pods, workloads and GPUs by what a scenario says of them; a miss says what there is instead."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from scenario_runner.core.faults import GpuSeat
from scenario_runner.core.ports import AgentReads, ClusterReads
from scenario_runner.core.seats import seat_of
from scenario_runner.core.states import NodeState, PodState, WorkloadState
from scenario_runner.core.targets import GpuTarget, NodeTarget
from scenario_runner.errors import Refused, StepBroken, TargetRefused

T = TypeVar("T")

MANY = 10  # names in a message


@dataclass(frozen=True)
class Seat:
    """A GPU that matches, and the pod for whose sake."""

    gpu: GpuTarget
    pod: str = ""

    @property
    def words(self) -> str:
        return f"GPU {self.gpu.index} of {self.gpu.node.name}" + (f", held by {self.pod}" if self.pod else "")


@dataclass(frozen=True)
class Lookup:
    """Looks for the sake of the target `name`; every miss is Refused with a sentence, ports raise as they do."""

    name: str
    cluster: ClusterReads
    agent: AgentReads
    seed: int

    def miss(self, text: str) -> Refused:
        return Refused(f"target {self.name}: {text}")

    def pick(self, pick: str, found: Sequence[T], words: Iterable[str]) -> tuple[T, tuple[str, ...]]:
        """One of several, which are in the order of their names, and the words of the others."""
        names = list(words)
        if pick == "only" and len(found) > 1:
            text = f"pick is only, and {len(found)} match: {', '.join(names)}; be more precise, or write pick: first"
            raise self.miss(text)
        at = self.place(pick, len(found))
        return found[at], tuple(other for number, other in enumerate(names) if number != at)

    def place(self, pick: str, count: int) -> int:
        """Which of so many is picked: the first, or one that the seed decides on."""
        return random.Random(f"{self.seed}/{self.name}").randrange(count) if pick == "random" else 0  # noqa: S311 - no secret

    def node(self, node: str) -> NodeState:
        state = self.cluster.node(node)
        if state is None:
            raise self.miss(f"there is no node {node}; {self._node_names()}")
        return state

    def nodes(self, selector: str) -> list[NodeState]:
        found = sorted(self.cluster.nodes(selector), key=lambda node: node.name)
        if not found:
            raise self.miss(f"no node has {selector}; {self._node_names()}")
        return found

    def _node_names(self) -> str:
        return there_is("nodes", self.cluster.node_names())

    def workload(self, namespace: str, kind: str, name: str) -> WorkloadState:
        state = self.cluster.workload(kind, namespace, name)
        if state is None:
            raise self.miss(f"there is no {kind}/{name} in namespace {namespace}{self._workloads(namespace)}")
        return state

    def _workloads(self, namespace: str) -> str:
        """What there is instead; nothing where we may look at what was named only."""
        try:
            there = [f"{other.kind.lower()}/{other.name}" for other in self.cluster.workloads(namespace)]
        except TargetRefused:
            return ""
        return f"; {there_is('workloads', there)}"

    def pod(self, namespace: str, name: str) -> PodState:
        found = self.cluster.pods(namespace, name=name)
        if not found:
            there = there_is("pods", [pod.name for pod in self.cluster.pods(namespace)])
            raise self.miss(f"there is no pod {name} in namespace {namespace}; {there}")
        return found[0]

    def pods(self, namespace: str, selector: str, of: str) -> list[PodState]:
        """Pods that have a node and are not on their way out, by name; `of` says what they are pods of."""
        found = self.cluster.pods(namespace, selector)
        placed = [pod for pod in found if pod.node and not pod.deleting and pod.phase in {"Running", "Pending"}]
        if not placed:
            raise self.miss(f"no pod {of} runs on a node")
        return sorted(placed, key=lambda pod: pod.name)

    def seat(self, node: NodeState, index: int) -> Seat:
        """The GPU of a node with that index."""
        seats = self._seats(node.name)
        try:
            found = seat_of(node.name, seats, index)
        except StepBroken as error:
            raise self.miss(str(error)) from error
        return _at(NodeTarget(node.name, node.uid), found)

    def seats(self, node: NodeState) -> list[Seat]:
        """All GPUs of a node, by index."""
        seats = sorted(self._seats(node.name), key=lambda seat: seat.index)
        if not seats:
            raise self.miss(f"node {node.name} has no GPU")
        at = NodeTarget(node.name, node.uid)
        return [_at(at, seat) for seat in seats]

    def held_by(self, pod: PodState, workload: str) -> list[Seat]:
        """The GPUs that a pod of that workload target really holds, as the agent of its node knows."""
        node, holder = self.node(pod.node), f"{pod.namespace}/{pod.name}"
        held = sorted((seat for seat in self._seats(pod.node) if holder in seat.held_by), key=lambda seat: seat.index)
        at = NodeTarget(node.name, node.uid)
        return [Seat(GpuTarget(at, seat.index, seat.uuid, seat.pci, holder, workload), pod.name) for seat in held]

    def _seats(self, node: str) -> Sequence[GpuSeat]:
        try:
            return self.agent.gpus(node)
        except TargetRefused as refusal:
            if refusal.code != "node_not_found":
                raise
            raise self.miss(f"node {node} has no fault agent") from refusal


def _at(node: NodeTarget, seat: GpuSeat) -> Seat:
    """A GPU that is meant by its place, whoever holds it."""
    pods = ", ".join(holder.partition("/")[2] for holder in seat.held_by)
    return Seat(GpuTarget(node, seat.index, seat.uuid, seat.pci), pods)


def there_is(what: str, names: Iterable[str]) -> str:
    """ "the nodes are a, b", shortened where there are many."""
    every = sorted(names)
    if not every:
        return f"there are no {what}"
    shown, more = every[:MANY], len(every) - MANY
    return f"the {what} are {', '.join(shown)}" + (f" and {more} more" if more > 0 else "")
