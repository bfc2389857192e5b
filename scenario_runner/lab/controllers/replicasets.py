"""Keeps as many pods as a ReplicaSet asks for, and counts how they are."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from scenario_runner.lab.apiserver.api import Api
from scenario_runner.lab.apiserver.deletion import Deletion
from scenario_runner.lab.apiserver.objects import (
    Json,
    Key,
    clone,
    condition,
    controlled_by,
    controller_of,
    dig,
    is_active,
    is_going,
    is_ready,
    owner_reference,
    seconds_of,
)
from scenario_runner.lab.apiserver.selectors import by_selector
from scenario_runner.lab.apiserver.store import Change
from scenario_runner.lab.controllers.events import Note, Recorder

_COMPONENT = "replicaset-controller"


@dataclass(frozen=True)
class ReplicaSets:
    """The ReplicaSet controller."""

    api: Api
    recorder: Recorder

    def touched(self, change: Change) -> Iterable[Key]:
        if change.key.plural == "replicasets":
            yield change.key
        elif change.key.plural == "pods":
            owner = controller_of(change.obj)
            if owner and owner["kind"] == "ReplicaSet":
                yield Key("apps", "replicasets", change.key.namespace, owner["name"])
            elif not owner:
                yield from self._adopters(change)

    def _adopters(self, change: Change) -> Iterable[Key]:
        for one in self.api.select("replicasets", change.key.namespace):
            if by_selector(one["spec"]["selector"])(change.obj):
                yield Key("apps", "replicasets", change.key.namespace, one["metadata"]["name"])

    def reconcile(self, key: Key) -> float | None:
        owner = self.api.store.get(key)
        if owner is None:
            return None
        self._adopt(owner)
        pods = self._pods(owner)
        if not is_going(owner):
            missing = owner["spec"]["replicas"] - len(pods)
            for _ in range(missing):
                self._create(owner)
            if missing < 0:
                crowds = self._crowds(owner)
                for pod in sorted(pods, key=lambda pod: _worth(pod, crowds))[:-missing]:
                    self._delete(owner, pod)
        return self._write_status(key, owner)

    def _pods(self, owner: Json) -> list[Json]:
        pods = self.api.select("pods", owner["metadata"]["namespace"])
        return [pod for pod in controlled_by(pods, owner) if is_active(pod)]

    def _crowds(self, owner: Json) -> Counter[str]:
        """How many pods of this set, and of the others of its Deployment, are on each node."""
        whose = (controller_of(owner) or owner["metadata"])["uid"]
        sets = self.api.select("replicasets", owner["metadata"]["namespace"])
        related = [one for one in sets if (controller_of(one) or one["metadata"])["uid"] == whose]
        return Counter(pod["spec"].get("nodeName", "") for one in related for pod in self._pods(one))

    def _adopt(self, owner: Json) -> None:
        """Take over matching pods that nobody controls, let go of those that match no longer."""
        matches = by_selector(owner["spec"]["selector"])
        for pod in self.api.select("pods", owner["metadata"]["namespace"]):
            controller = controller_of(pod)
            if not is_active(pod) or is_going(owner):
                continue
            if controller is None and matches(pod):
                self._set_owners(pod, [*(pod["metadata"].get("ownerReferences") or []), owner_reference(owner)])
            elif controller and controller["uid"] == owner["metadata"]["uid"] and not matches(pod):
                others = [one for one in pod["metadata"]["ownerReferences"] if one["uid"] != controller["uid"]]
                self._set_owners(pod, others)

    def _set_owners(self, pod: Json, owners: list[Json]) -> None:
        def edit(obj: Json) -> Json:
            obj["metadata"]["ownerReferences"] = owners
            return obj

        self.api.change(self.api.at("pods", pod["metadata"]["namespace"], pod["metadata"]["name"]), edit)

    def _create(self, owner: Json) -> None:
        template = clone(owner["spec"]["template"])
        meta = owner["metadata"]
        pod = {
            "metadata": {name: value for name, value in template["metadata"].items() if name in _COPIED}
            | {"generateName": f"{meta['name']}-", "ownerReferences": [owner_reference(owner)]},
            "spec": template["spec"],
        }
        created = self.api.create(self.api.at("pods", meta["namespace"]), pod)
        self._tell(owner, "SuccessfulCreate", f"Created pod: {created['metadata']['name']}")

    def _delete(self, owner: Json, pod: Json) -> None:
        name = pod["metadata"]["name"]
        self.api.delete(self.api.at("pods", pod["metadata"]["namespace"], name), Deletion())
        self._tell(owner, "SuccessfulDelete", f"Deleted pod: {name}")

    def _tell(self, owner: Json, reason: str, message: str) -> None:
        self.recorder.record(owner, Note(reason, message, _COMPONENT))

    def _write_status(self, key: Key, owner: Json) -> float | None:
        """Returns in how many seconds the next ready pod will have been ready long enough."""
        pods, patience = self._pods(owner), float(owner["spec"].get("minReadySeconds") or 0)
        ready = [pod for pod in pods if is_ready(pod)]
        waits = [_ready_since(pod) + patience - self.api.now() for pod in ready] if patience else []
        still = [wait for wait in waits if wait > 0]
        labels = by_selector({"matchLabels": owner["spec"]["template"]["metadata"].get("labels") or {}})
        status = {
            "replicas": len(pods),
            "fullyLabeledReplicas": sum(labels(pod) for pod in pods),
            "readyReplicas": len(ready),
            "availableReplicas": len(ready) - len(still),
            "observedGeneration": owner["metadata"]["generation"],
        }
        at = self.api.at("replicasets", key.namespace, key.name, "status")
        if self.api.find(at):
            self.api.change(at, lambda obj: obj | {"status": status})
        return min(still, default=None)


_COPIED = {"labels", "annotations", "finalizers"}


def _ready_since(pod: Json) -> float:
    return seconds_of(condition(pod, "Ready").get("lastTransitionTime"))


def _worth(pod: Json, crowds: Counter[str]) -> tuple[bool, bool, bool, int, float]:
    """Sort key: the pods that are missed least come first, among equals those on a crowded node, then the youngest."""
    is_running = dig(pod, "status.phase") == "Running"
    return (
        bool(pod["spec"].get("nodeName")),
        is_running,
        is_ready(pod),
        -crowds[pod["spec"].get("nodeName", "")],
        -seconds_of(pod["metadata"]["creationTimestamp"]),
    )
