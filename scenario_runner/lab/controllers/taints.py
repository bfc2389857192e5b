"""Evicts pods from nodes with a NoExecute taint once they have tolerated it for long enough."""

from collections.abc import Iterable

from scenario_runner.lab.apiserver.api import Api
from scenario_runner.lab.apiserver.eviction import mark_disrupted
from scenario_runner.lab.apiserver.objects import Json, Key, is_active
from scenario_runner.lab.apiserver.store import Change
from scenario_runner.lab.controllers.events import Note, Recorder
from scenario_runner.lab.controllers.fitting import taints_of, tolerates


class TaintEviction:
    """Counts from when it saw a taint: timestamps in the API have whole seconds only."""

    def __init__(self, api: Api, recorder: Recorder) -> None:
        self.api, self.recorder = api, recorder
        self._since: dict[tuple[str, str], float] = {}

    def touched(self, change: Change) -> Iterable[Key]:
        if change.key.plural == "pods" and change.obj["spec"].get("nodeName"):
            if change.before is None or change.before["spec"] != change.obj["spec"]:
                yield change.key
        elif change.key.plural == "nodes":
            name, taints = change.key.name, _no_execute(change.obj)
            if change.before is not None and taints == _no_execute(change.before):
                return
            kept = {(name, taint["key"]): self._since.get((name, taint["key"]), self.api.now()) for taint in taints}
            self._since = {place: time for place, time in self._since.items() if place[0] != name} | kept
            for pod in self.api.select("pods"):
                if pod["spec"].get("nodeName") == name:
                    yield Key("", "pods", pod["metadata"]["namespace"], pod["metadata"]["name"])

    def reconcile(self, key: Key) -> float | None:
        pod = self.api.store.get(key)
        if pod is None or not is_active(pod):
            return None
        node = self.api.find(self.api.at("nodes", name=pod["spec"]["nodeName"]))
        left = [wait for taint in _no_execute(node) if (wait := self._left(pod, taint)) is not None]
        if not left or min(left) > 0:
            return min(left, default=None)
        message = f"Marking for deletion Pod {key.namespace}/{key.name}"
        self.recorder.record(pod, Note("TaintManagerEviction", message, "taint-eviction-controller"))
        mark_disrupted(self.api, pod, "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint")
        self.api.delete(self.api.at("pods", key.namespace, key.name))
        return None

    def _left(self, pod: Json, taint: Json) -> float | None:
        """Seconds that a pod still tolerates a taint: 0 for not at all, None for ever."""
        toleration = tolerates(pod, taint)
        if toleration is None:
            return 0.0
        seconds = toleration.get("tolerationSeconds")
        if seconds is None:
            return None
        since = self._since.get((pod["spec"]["nodeName"], taint["key"]), self.api.now())
        return since + float(seconds) - self.api.now()


def _no_execute(node: Json | None) -> list[Json]:
    return [taint for taint in taints_of(node) if taint["effect"] == "NoExecute"] if node else []
