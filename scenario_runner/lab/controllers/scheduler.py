"""Chooses a node for every pod that has none; which of its GPUs a pod gets is the kubelet's business."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from scenario_runner.lab.apiserver.api import Api
from scenario_runner.lab.apiserver.binding import bind
from scenario_runner.lab.apiserver.objects import Json, Key, controller_of, is_finished, is_going, set_condition
from scenario_runner.lab.apiserver.store import Change
from scenario_runner.lab.controllers.events import Note, Recorder
from scenario_runner.lab.controllers.fitting import free_on, why_not

_NAME = "default-scheduler"


@dataclass(frozen=True)
class Scheduler:
    """Spreads the pods of one owner, then prefers the node with the most room, then the first by name."""

    api: Api
    recorder: Recorder

    def touched(self, change: Change) -> Iterable[Key]:
        if change.key.plural == "pods" and _waits(change.obj) and change.kind == "ADDED":
            yield change.key
        elif _makes_room(change):
            for pod in self.api.select("pods"):
                if _waits(pod):
                    yield Key("", "pods", pod["metadata"]["namespace"], pod["metadata"]["name"])

    def reconcile(self, key: Key) -> float | None:
        pod = self.api.store.get(key)
        if pod is None or not _waits(pod):
            return None
        running = self._running()
        reasons: Counter[str] = Counter()
        fitting: list[Json] = []
        nodes = self.api.select("nodes")
        for node in nodes:
            problems = why_not(pod, node, running.get(node["metadata"]["name"], []))
            reasons.update(problems)
            if not problems:
                fitting.append(node)
        if fitting:
            best = min(fitting, key=lambda node: _rank(pod, node, running.get(node["metadata"]["name"], [])))
            self._bind(pod, best["metadata"]["name"])
        else:
            self._refuse(pod, _explained(len(nodes), reasons))
        return None

    def _running(self) -> dict[str, list[Json]]:
        """Pods by node; one that is going still holds its resources."""
        found: dict[str, list[Json]] = {}
        for pod in self.api.select("pods"):
            if pod["spec"].get("nodeName") and not is_finished(pod):
                found.setdefault(pod["spec"]["nodeName"], []).append(pod)
        return found

    def _bind(self, pod: Json, node: str) -> None:
        meta = pod["metadata"]
        bind(self.api, self.api.at("pods", meta["namespace"], meta["name"]), {"target": {"name": node}})
        message = f"Successfully assigned {meta['namespace']}/{meta['name']} to {node}"
        self.recorder.record(pod, Note("Scheduled", message, _NAME))

    def _refuse(self, pod: Json, message: str) -> None:
        meta = pod["metadata"]

        def edit(obj: Json) -> Json:
            new = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
            set_condition(obj, new, self.api.now())
            return obj

        changed = self.api.change(self.api.at("pods", meta["namespace"], meta["name"], "status"), edit)
        if changed is not pod:  # told once, not at every change of a node
            self.recorder.record(pod, Note("FailedScheduling", message, _NAME, "Warning"))


def _waits(pod: Json) -> bool:
    is_ours = pod["spec"].get("schedulerName") == _NAME
    return is_ours and not pod["spec"].get("nodeName") and not is_going(pod) and not is_finished(pod)


def _makes_room(change: Change) -> bool:
    if change.key.plural == "nodes":
        return change.kind != "DELETED" and (change.before is None or _offer(change.before) != _offer(change.obj))
    if change.key.plural == "pods" and change.obj["spec"].get("nodeName"):
        return change.kind == "DELETED" or is_finished(change.obj)
    return False


def _offer(node: Json) -> tuple[object, ...]:
    status = node.get("status") or {}
    return node["spec"], node["metadata"].get("labels"), status.get("allocatable"), status.get("capacity")


def _rank(pod: Json, node: Json, running: list[Json]) -> tuple[int, float, str]:
    owner = (controller_of(pod) or {}).get("uid")
    siblings = sum(owner is not None and (controller_of(one) or {}).get("uid") == owner for one in running)
    free, full = free_on(node, running), free_on(node, [])
    used = [1 - free[name] / amount for name, amount in full.items() if amount and name != "pods"]
    return siblings, sum(used) / len(used) if used else 0.0, node["metadata"]["name"]


def _explained(nodes: int, reasons: Counter[str]) -> str:
    if not nodes:
        return "no nodes available to schedule pods"
    parts = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    return f"0/{nodes} nodes are available: {parts}."
