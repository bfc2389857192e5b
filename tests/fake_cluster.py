"""A cluster in dictionaries, whose watches hear of every change at once."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from scenario_runner.core.edits import CLAIM_PATH, claim_of, edit_in_place, edited, leaf
from scenario_runner.core.ports import Document, Edit, ObjectRef, Seen, Watch
from scenario_runner.core.selectors import matches
from scenario_runner.core.states import (
    BudgetState,
    EventState,
    NodeState,
    PodState,
    ResourceState,
    ServiceState,
    WorkloadState,
)
from scenario_runner.errors import TargetRefused, TargetUnreachable
from tests.fake_kept import Kept, no_crash


class FakeSubscription:
    """A watch of the fake cluster."""

    def __init__(self, watch: Watch, sink: Callable[[Seen], None]) -> None:
        self.watch = watch
        self.sink = sink
        self.closed = False

    def close(self) -> None:
        self.closed = True


class FakeCluster:
    """
    Objects in dictionaries. `put`, `remove` and `event` are what controllers do, and every watch hears of it at once.

    Objects that can be edited stand as plain content in `documents` (uid, resourceVersion counted by the fake).
    """

    def __init__(self, kept: Kept | None = None) -> None:
        self.kept = kept or Kept()
        self.documents: dict[str, dict[str, Any]] = self.kept.load().setdefault("documents", {})
        self.node_states: dict[str, NodeState] = {}
        self.pod_states: dict[tuple[str, str], PodState] = {}
        self.workload_states: dict[tuple[str, str, str], WorkloadState] = {}
        self.service_states: dict[tuple[str, str], ServiceState] = {}
        self.budget_states: list[BudgetState] = []
        self.resources: dict[str, ResourceState] = {}
        self.subscriptions: list[FakeSubscription] = []
        self.refusing_pods = ""  # why no pod is admitted
        self.tried_pods: list[tuple[str, dict[str, Any]]] = []
        self.unreachable = ""
        self.mute: set[str] = set()  # watches that never give their first list
        self.crashing: Callable[[str], Any] = no_crash
        # Creations are not answered, and carried out when this calls what it is given.
        self.delay: Callable[[Callable[[], object]], None] | None = None

    # What the platform and controllers do

    def put(self, state: NodeState | PodState | ResourceState) -> None:
        before: object = None
        if isinstance(state, NodeState):
            before = self.node_states.get(state.name)
            self.node_states[state.name] = state
        elif isinstance(state, PodState):
            before = self.pod_states.get((state.namespace, state.name))
            self.pod_states[state.namespace, state.name] = state
        else:
            self.resources[state.name] = state
        for one in self._open():
            if _concerns(one.watch, state):
                one.sink(Seen(one.watch, "state", state))
            elif _concerns(one.watch, before):  # its labels do not fit any more
                one.sink(Seen(one.watch, "gone", state))

    def remove(self, state: NodeState | PodState) -> None:
        if isinstance(state, NodeState):
            del self.node_states[state.name]
        else:
            del self.pod_states[state.namespace, state.name]
        self._tell("gone", state)

    def event(self, event: EventState) -> None:
        self._tell("state", event)

    def change_node(self, name: str, **changes: Any) -> None:
        """Change fields of a node; `conditions`, `labels` and `annotations` are merged, None takes a key away."""
        node = self.node_states[name]
        for key in ("conditions", "labels", "annotations"):
            if key in changes:
                merged = {**getattr(node, key), **changes[key]}
                changes[key] = {name: value for name, value in merged.items() if value is not None}
        self.put(replace(node, **changes))

    def gap(self, what: str, detail: str) -> None:
        for one in self._open():
            if one.watch.what == what:
                one.sink(Seen(one.watch, "gap", detail=detail))

    # The port

    def identity(self) -> str:
        self._reach()
        return "11111111-2222-3333-4444-555555555555"

    def namespaces(self) -> tuple[str, ...]:
        self._reach()
        return tuple(sorted({pod.namespace for pod in self.pod_states.values()} | {"default", "kube-system"}))

    def node(self, name: str) -> NodeState | None:
        self._reach()
        return self.node_states.get(name)

    def nodes(self, selector: str = "", *, cordoned: bool = False) -> tuple[NodeState, ...]:
        self._reach()
        chosen = (
            node for node in self.node_states.values()
            if matches(selector, node.labels) and (node.unschedulable or not cordoned)
        )  # fmt: skip
        return tuple(sorted(chosen, key=lambda node: node.name))

    def node_names(self, selector: str = "") -> tuple[str, ...]:
        return tuple(node.name for node in self.nodes(selector))

    def pods(self, namespace: str, selector: str = "", *, name: str = "", node: str = "") -> tuple[PodState, ...]:
        self._reach()
        chosen = (
            pod for pod in self.pod_states.values()
            if namespace in ("", pod.namespace) and matches(selector, pod.labels)
            and name in ("", pod.name) and node in ("", pod.node)
        )  # fmt: skip
        return tuple(sorted(chosen, key=lambda pod: (pod.namespace, pod.name)))

    def workload(self, kind: str, namespace: str, name: str) -> WorkloadState | None:
        self._reach()
        return self.workload_states.get((kind, namespace, name))

    def workloads(self, namespace: str) -> tuple[WorkloadState, ...]:
        self._reach()
        return tuple(one for one in self.workload_states.values() if one.namespace == namespace)

    def service(self, namespace: str, name: str) -> ServiceState | None:
        self._reach()
        return self.service_states.get((namespace, name))

    def services(self, namespace: str) -> tuple[ServiceState, ...]:
        self._reach()
        return tuple(one for one in self.service_states.values() if one.namespace == namespace)

    def budgets(self) -> tuple[BudgetState, ...]:
        self._reach()
        return tuple(self.budget_states)

    def logs(self, namespace: str, pod: str, *, previous: bool, max_bytes: int) -> str:
        self._reach()
        return f"log of {namespace}/{pod}{' before its restart' if previous else ''}\n"[-max_bytes:]

    def describe(self, kind: str, namespace: str, name: str) -> str:
        self._reach()
        return f"kind: {kind}\nmetadata: {{namespace: {namespace or '-'}, name: {name}}}\n"

    def follow(self, watch: Watch, sink: Callable[[Seen], None]) -> FakeSubscription:
        self._reach()
        subscription = FakeSubscription(watch, sink)
        self.subscriptions.append(subscription)
        for state in (*self.node_states.values(), *self.pod_states.values(), *self.resources.values()):
            if _concerns(watch, state):
                sink(Seen(watch, "state", state, initial=True))
        if watch.what not in self.mute:
            sink(Seen(watch, "synced"))
        return subscription

    def read(self, ref: ObjectRef) -> Document | None:
        self._reach()
        known = self.documents.get(_key(ref))
        if known is None:
            return None
        return Document(replace(ref, uid=known["uid"]), str(known["version"]), copy.deepcopy(known["content"]))

    def refuses_pod(self, namespace: str, pod: Mapping[str, Any]) -> str:
        self._reach()
        self.tried_pods.append((namespace, copy.deepcopy(dict(pod))))
        return self.refusing_pods

    def edit(self, ref: ObjectRef, resource_version: str, edits: tuple[Edit, ...]) -> Document:
        self._reach()
        known = self._same(ref)
        if str(known["version"]) != resource_version:
            raise TargetRefused(f"{ref.kind} {ref.name} has changed", code="Conflict")
        return self._write(f"edit {ref.kind} {ref.name}", ref, known, edits)

    def claim(self, ref: ObjectRef, claim: str) -> Document:
        self._reach()
        known = self._same(ref)
        found = claim_of(known["content"])
        if found and found != claim:
            raise TargetRefused(
                f"{ref.kind} {ref.name} is being changed by run {found.partition('/')[0]}", code="Claimed"
            )
        return self._write(f"claim {ref.kind} {ref.name}", ref, known, (Edit(CLAIM_PATH, None, claim),))

    def edit_claimed(self, ref: ObjectRef, claim: str, edits: tuple[Edit, ...]) -> Document:
        self._reach()
        known = self._same(ref)
        if claim_of(known["content"]) != claim:
            raise TargetRefused(f"{ref.kind} {ref.name} is not ours to change any more", code="Conflict")
        for one in edits:
            if leaf(known["content"], one.path) not in (one.was, one.became):
                raise TargetRefused(f"{'.'.join(one.path)} of {ref.kind} {ref.name} has changed", code="Conflict")
        return self._write(f"edit {ref.kind} {ref.name}", ref, known, edits)

    def create(self, ref: ObjectRef, claim: str, content: Mapping[str, Any]) -> Document:
        self._reach()
        if self.delay is not None:
            self.delay(lambda: self._create(ref, claim, content))
            raise TargetUnreachable("the API server did not answer within 5s", sent=True)
        return self._create(ref, claim, content)

    def _create(self, ref: ObjectRef, claim: str, content: Mapping[str, Any]) -> Document:
        if _key(ref) in self.documents:
            raise TargetRefused(f"{ref.kind} {ref.name} already exists", code="AlreadyExists")
        with self.crashing(f"create {ref.kind} {ref.name}"):
            whole = edited(content, (Edit(CLAIM_PATH, None, claim),))
            uid = f"uid-{ref.name}-{self.kept.load().get('made', 0)}"
            self.kept.load()["made"] = self.kept.load().get("made", 0) + 1
            self.documents[_key(ref)] = {"uid": uid, "version": 1, "content": whole}
            self.kept.save()
        document = self.read(ref)
        assert document is not None
        return document

    def delete(self, ref: ObjectRef) -> None:
        self._reach()
        if _key(ref) in self.documents:
            self._same(ref)
            with self.crashing(f"delete {ref.kind} {ref.name}"):
                del self.documents[_key(ref)]
                self.kept.save()

    def _same(self, ref: ObjectRef) -> dict[str, Any]:
        known = self.documents.get(_key(ref))
        if known is None or known["uid"] != ref.uid:
            raise TargetRefused(f"{ref.kind} {ref.name} has changed", code="Conflict")
        return known

    def _write(self, what: str, ref: ObjectRef, known: dict[str, Any], edits: tuple[Edit, ...]) -> Document:
        with self.crashing(what):
            edit_in_place(known["content"], edits)
            known["version"] += 1
            self.kept.save()
        document = self.read(ref)
        assert document is not None
        return document

    def _tell(self, kind: str, state: NodeState | PodState | ResourceState | EventState) -> None:
        for one in self._open():
            if _concerns(one.watch, state):
                one.sink(Seen(one.watch, kind, state))

    def _open(self) -> list[FakeSubscription]:
        return [one for one in self.subscriptions if not one.closed]

    def _reach(self) -> None:
        if self.unreachable:
            raise TargetUnreachable(f"the API server is not reachable: {self.unreachable}")


def _key(ref: ObjectRef) -> str:
    return f"{ref.kind}/{ref.namespace}/{ref.name}"


def _concerns(watch: Watch, state: object) -> bool:
    if isinstance(state, NodeState):
        return watch.what == "nodes" and watch.name in ("", state.name) and matches(watch.selector, state.labels)
    if isinstance(state, PodState):
        here = watch.what == "pods" and watch.namespace in ("", state.namespace)
        return here and watch.name in ("", state.name) and matches(watch.selector, state.labels)
    if isinstance(state, EventState):
        return watch.what == "events" and watch.namespace in ("", state.namespace)
    return isinstance(state, ResourceState) and watch.what.endswith(f"/{state.kind.lower()}s")
