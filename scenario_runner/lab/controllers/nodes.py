"""Watches over nodes: heartbeats, the Ready condition, and the taints that follow from it and from a cordon."""

from collections.abc import Iterable

from scenario_runner.lab.apiserver.api import Api
from scenario_runner.lab.apiserver.deletion import Deletion
from scenario_runner.lab.apiserver.eviction import mark_disrupted
from scenario_runner.lab.apiserver.objects import Json, Key, clone, condition, dig, is_ready, set_condition, timestamp
from scenario_runner.lab.apiserver.store import Change
from scenario_runner.lab.controllers.events import Note, Recorder

_COMPONENT = "node-controller"
_OURS = {
    f"node.kubernetes.io/{name}"
    for name in ("not-ready", "unreachable", "unschedulable", "memory-pressure", "disk-pressure", "pid-pressure")
}
_FEW, _MOST = 2, 0.55  # lost nodes up to which eviction goes on whatever their share, and the share at which it stops
_PRESSURES = {"MemoryPressure": "memory-pressure", "DiskPressure": "disk-pressure", "PIDPressure": "pid-pressure"}


class Nodes:
    """Counts silence on its own clock from when it saw the last heartbeat, as clocks of nodes may differ."""

    def __init__(self, api: Api, recorder: Recorder, grace: float, start_grace: float) -> None:
        self.api, self.recorder = api, recorder
        self._grace, self._start_grace = grace, start_grace
        self._heard: dict[str, float] = {}
        self._seen: dict[str, float] = {}

    def touched(self, change: Change) -> Iterable[Key]:
        name = change.key.name
        if change.key.plural == "leases" and change.key.namespace == "kube-node-lease":
            if change.kind != "DELETED" and _changed(change, "spec.renewTime"):
                self._heard[name] = self.api.now()
                yield Key("", "nodes", "", name)
        elif change.key.plural == "nodes":
            self._hear(change)
            yield change.key
            if change.kind == "DELETED" or _state(change.obj) != _state(change.before or {}):
                yield from (Key("", "nodes", "", one["metadata"]["name"]) for one in self.api.select("nodes"))
        elif change.key.plural == "pods" and change.kind == "ADDED" and change.obj["spec"].get("nodeName"):
            node = Key("", "nodes", "", change.obj["spec"]["nodeName"])
            if self.api.store.get(node):  # a pod may be there before its node: that is no pod of a lost node
                yield node

    def _hear(self, change: Change) -> None:
        name = change.key.name
        self._seen.setdefault(name, self.api.now())
        if change.kind == "DELETED":
            self._seen.pop(name, None)
            self._heard.pop(name, None)
        elif _beat(change.obj) != _beat(change.before or {}):
            self._heard[name] = self.api.now()

    def reconcile(self, key: Key) -> float | None:
        node = self.api.store.get(key)
        if node is None:
            self._release_pods(key.name)
            return None
        left = self._silence_left(key.name)
        if left <= 0:
            node = self._declare_unknown(node)
        self._set_taints(key, node)
        if condition(node, "Ready").get("status") == "Unknown":
            self._unready_pods(key.name)
        return left if left > 0 else None

    def _silence_left(self, name: str) -> float:
        if name in self._heard:
            return self._heard[name] + self._grace - self.api.now()
        return self._seen.get(name, self.api.now()) + self._start_grace - self.api.now()

    def _declare_unknown(self, node: Json) -> Json:
        if condition(node, "Ready").get("status") == "Unknown":
            return node
        now = self.api.now()

        def edit(obj: Json) -> Json:
            for kind in ("Ready", *_PRESSURES):
                unknown = {"type": kind, "status": "Unknown", "reason": "NodeStatusUnknown"}
                set_condition(obj, unknown | {"message": "Kubelet stopped posting node status."}, now)
            return obj

        node = self.api.change(self.api.at("nodes", name=node["metadata"]["name"], sub="status"), edit)
        message = f"Node {node['metadata']['name']} status is now: NodeNotReady"
        self.recorder.record(node, Note("NodeNotReady", message, _COMPONENT))
        return node

    def _set_taints(self, key: Key, node: Json) -> None:
        """Keep the taints that follow from the node's state; those of others stay as they are."""
        current = node["spec"].get("taints") or []
        wanted = [one for one in _due_taints(node) if one["effect"] != "NoExecute" or self._may_evict(one, current)]
        kept = [one for one in current if one["key"] not in _OURS or _place(one) in {_place(due) for due in wanted}]
        places = {_place(one) for one in kept}
        added = [due for due in wanted if _place(due) not in places]
        for due in added:
            if due["effect"] == "NoExecute":
                due["timeAdded"] = timestamp(self.api.now())
        if kept + added == current:
            return
        changed = clone(node)
        changed["spec"]["taints"] = kept + added
        if not changed["spec"]["taints"]:
            del changed["spec"]["taints"]
        self.api.store.put(key, changed)

    def _may_evict(self, due: Json, current: list[Json]) -> bool:
        """
        Where most nodes are lost it is rather the network, or we, who are ill: no further node is evicted then, and
        where all are, none at all.
        """
        states = [_state(one) for one in self.api.select("nodes")]
        lost = len(states) - states.count("True")
        if lost == len(states):
            return False
        if lost > _FEW and lost / len(states) >= _MOST:
            return _place(due) in {_place(one) for one in current}
        return True

    def _unready_pods(self, node: str) -> None:
        """A pod on a silent node is taken for one that serves nobody; of a kubelet that speaks, its word counts."""
        for pod in self._pods(node):
            if is_ready(pod):
                meta = pod["metadata"]
                self.api.change(self.api.at("pods", meta["namespace"], meta["name"], "status"), self._unready)

    def _unready(self, pod: Json) -> Json:
        set_condition(pod, {"type": "Ready", "status": "False"}, self.api.now())
        return pod

    def _release_pods(self, node: str) -> None:
        """The node is gone for good: nobody will ever confirm the end of its pods."""
        for pod in self._pods(node):
            mark_disrupted(self.api, pod, "DeletionByPodGC", "PodGC: node no longer exists")
            at = self.api.at("pods", pod["metadata"]["namespace"], pod["metadata"]["name"])
            self.api.delete(at, Deletion(grace=0))

    def _pods(self, node: str) -> list[Json]:
        return [pod for pod in self.api.select("pods") if pod["spec"].get("nodeName") == node]


def _changed(change: Change, path: str) -> bool:
    return bool(dig(change.obj, path) != dig(change.before, path))


def _beat(node: Json) -> object:
    """What only a kubelet changes."""
    return condition(node, "Ready").get("lastHeartbeatTime") if node else None


def _state(node: Json) -> str | None:
    return condition(node, "Ready").get("status") if node else None


def _place(taint: Json) -> tuple[str, str]:
    return taint["key"], taint["effect"]


def _due_taints(node: Json) -> list[Json]:
    words: list[tuple[str, str]] = []
    if dig(node, "spec.unschedulable"):
        words.append(("unschedulable", "NoSchedule"))
    status = condition(node, "Ready").get("status")
    if status != "True":
        word = "unreachable" if status == "Unknown" else "not-ready"
        words.append((word, "NoSchedule"))
        if status is not None:
            words.append((word, "NoExecute"))
    for kind, word in _PRESSURES.items():
        if condition(node, kind).get("status") == "True":
            words.append((word, "NoSchedule"))
    return [{"key": f"node.kubernetes.io/{word}", "effect": effect} for word, effect in words]
