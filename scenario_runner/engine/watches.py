"""Watches of a plan's nodes and pods, of events and remediations for the whole run, turned into observations."""

import threading
from collections.abc import Mapping
from contextlib import suppress

from scenario_runner.core.clock import Deadline, Look, wait_until
from scenario_runner.core.observations import ObservationLog
from scenario_runner.core.plan import Plan
from scenario_runner.core.ports import ClusterReads, Seen, Subscription, Watch
from scenario_runner.core.selectors import matches
from scenario_runner.core.states import EventState, NodeState, PodState, ResourceState, State
from scenario_runner.core.targets import PodTarget, WorkloadTarget, node_names
from scenario_runner.errors import DeadlineExceeded, ScenarioRunnerError, StepBroken

_LONGEST_VALUE = 1024
_ALL_NODES = Watch("nodes")
_EACH = 10  # nodes that have a watch each; more of them share one of all nodes
_OF_NODES = "default"  # the namespace in which events about nodes lie


class Watches:
    """Follows the cluster until closed. Sinks are called from the adapter's threads."""

    def __init__(self, cluster: ClusterReads, log: ObservationLog) -> None:
        self._cluster = cluster
        self._log = log
        self._lock = threading.Lock()
        self._subscriptions: list[Subscription] = []
        self._synced: set[Watch] = set()
        self._facts: dict[tuple[str, str], set[str]] = {}
        self._pods: dict[str, PodState] = {}
        self._events: dict[str, int] = {}
        self._followed: set[Watch] = set()
        self._nodes: frozenset[str] = frozenset()  # that are followed
        self._shared: frozenset[str] = frozenset()  # those of them that have no watch of their own

    def begin(self, plan: Plan, optional: tuple[Watch, ...], deadline: Deadline) -> None:
        """Follow what a plan is about; `optional` may not be there. Return and raise as `widen` does."""
        for watch in optional:
            self._follow(watch, needed=False)
        self.widen(plan, deadline)

    def widen(self, plan: Plan, deadline: Deadline) -> None:
        """
        Follow what else a plan names by now.

        Return when the first lists are complete; raise StepBroken when they never are.
        """
        names = frozenset(node_names(plan.targets.values())) - self._nodes
        needed = [*_node_watches(names), *_other_watches(plan)]
        if _ALL_NODES in needed:
            self._shared |= names
        self._nodes |= names
        for watch in needed:
            if watch not in self._followed:
                self._followed.add(watch)
                self._follow(watch, needed=True)

        def look() -> Look[None]:
            missing = list(dict.fromkeys(_title(watch) for watch in needed if watch not in self._synced))
            return Look(not missing, ", ".join(missing), None)

        try:
            wait_until("the API server gave no complete list of", look, deadline, every=1.0)
        except DeadlineExceeded as exc:
            raise StepBroken(str(exc)) from exc

    def close(self) -> None:
        for subscription in self._subscriptions:
            with suppress(ScenarioRunnerError):
                subscription.close()

    def pods(self, target: WorkloadTarget) -> tuple[PodState, ...]:
        """The pods of a workload as seen last."""
        with self._lock:
            seen = tuple(self._pods.values())
        return tuple(pod for pod in seen if pod.namespace == target.namespace and matches(target.selector, pod.labels))

    def _follow(self, watch: Watch, *, needed: bool) -> None:
        try:
            self._subscriptions.append(self._cluster.follow(watch, self._take))
        except ScenarioRunnerError as exc:
            if needed:
                raise
            self._log.happened("watch", _title(watch), "gap", str(exc))

    def _take(self, seen: Seen) -> None:
        if seen.kind == "synced":
            self._synced.add(seen.watch)
            self._log.note("watch", _title(seen.watch), "synced", "true")
        elif seen.kind == "gap":
            self._log.happened("watch", _title(seen.watch), "gap", seen.detail or "the watch lost its thread")
        elif seen.state is not None:
            if seen.watch == _ALL_NODES and seen.state.name not in self._shared:
                return  # what a large cluster does otherwise is nobody's concern here
            self._take_state(seen.state, gone=seen.kind == "gone", initial=seen.initial)

    def _take_state(self, state: State, *, gone: bool, initial: bool) -> None:
        if isinstance(state, EventState):
            if not gone:
                self._take_event(state, initial=initial)
            return
        subject, name, facts, details = _describe(state)
        if isinstance(state, PodState):
            self._keep_pod(name, state, gone=gone)
        self._note(subject, name, {"gone": "true"} if gone else facts, details, initial=initial)

    def _keep_pod(self, name: str, pod: PodState, *, gone: bool) -> None:
        with self._lock:
            if gone:
                self._pods.pop(name, None)
            else:
                self._pods[name] = pod

    def _take_event(self, event: EventState, *, initial: bool) -> None:
        """An event counts again when its count grew, not when a watch tells of it again."""
        if self._events.get(event.uid, 0) >= event.count:
            return
        self._events[event.uid] = event.count
        name = f"{event.kind}/{event.object_name}"
        self._log.happened("event", name, "reason", event.reason, event.message[:_LONGEST_VALUE], initial=initial)

    def _note(
        self, subject: str, name: str, facts: Mapping[str, str], details: Mapping[str, str], *, initial: bool
    ) -> None:
        before = self._facts.get((subject, name), set())
        for fact, value in facts.items():
            detail = details.get(fact, "")[:_LONGEST_VALUE]
            self._log.note(subject, name, fact, value[:_LONGEST_VALUE], detail=detail, initial=initial)
        for fact in sorted(before - facts.keys()):
            self._log.note(subject, name, fact, "", initial=initial)
        self._facts[subject, name] = set(facts)


def _node_watches(names: frozenset[str]) -> list[Watch]:
    return [Watch("nodes", name=one) for one in sorted(names)] if len(names) <= _EACH else [_ALL_NODES]


def _other_watches(plan: Plan) -> list[Watch]:
    """The pods of its targets (where it names none, those of its namespace stand for them), and events."""
    targets = plan.targets.values()
    pods = [Watch("pods", one.namespace, selector=one.selector) for one in targets if isinstance(one, WorkloadTarget)]
    pods += [Watch("pods", one.namespace, name=one.name) for one in targets if isinstance(one, PodTarget)]
    pods = pods or [Watch("pods", plan.namespace)]
    spaces = sorted({_OF_NODES, plan.namespace, *(one.namespace for one in pods)})
    return list(dict.fromkeys([*pods, *(Watch("events", one) for one in spaces)]))


def _title(watch: Watch) -> str:
    return f"{watch.what} in {watch.namespace}" if watch.namespace else watch.what


def _describe(state: NodeState | PodState | ResourceState) -> tuple[str, str, dict[str, str], dict[str, str]]:
    """Subject, name, facts, and details of some facts."""
    if isinstance(state, NodeState):
        return "node", state.name, _node_facts(state), _node_details(state)
    if isinstance(state, PodState):
        return "pod", f"{state.namespace}/{state.name}", _pod_facts(state), {}
    return "resource", f"{state.kind}/{state.name}", {"state": state.state, "node": state.node}, {}


def _node_facts(node: NodeState) -> dict[str, str]:
    ready = node.conditions.get("Ready")
    facts = {
        "ready": "Unknown" if ready is None else ready.status,
        "schedulable": _truth(not node.unschedulable),
        "boot_id": node.boot_id,
    }
    # The message first: who waits for the condition finds its text there already.
    facts |= {f"message/{kind}": one.message for kind, one in node.conditions.items()}
    facts |= {f"condition/{kind}": one.status for kind, one in node.conditions.items()}
    facts |= {f"label/{key}": value or "true" for key, value in node.labels.items()}
    return facts | {f"annotation/{key}": value for key, value in node.annotations.items()}


def _node_details(node: NodeState) -> dict[str, str]:
    details = {f"condition/{kind}": one.message for kind, one in node.conditions.items()}
    return details | {"ready": details.get("condition/Ready", "")}


def _pod_facts(pod: PodState) -> dict[str, str]:
    facts = {
        "uid": pod.uid,
        "phase": pod.phase,
        "node": pod.node,
        "deleting": _truth(pod.deleting),
        "restarts": str(pod.restarts),
        "waiting": pod.waiting,
        "died": _truth(pod.died),
        "ready": _truth(pod.ready),
    }
    return facts | {f"label/{key}": value for key, value in pod.labels.items()}


def _truth(value: bool) -> str:  # noqa: FBT001 - it is all there is to say
    return "true" if value else "false"
