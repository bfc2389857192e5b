"""Rolls a Deployment's template out over ReplicaSets."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from scenario_runner.lab.apiserver.api import NAME_ALPHABET, Api
from scenario_runner.lab.apiserver.objects import (
    Json,
    Key,
    annotations_of,
    clone,
    controlled_by,
    controller_of,
    dig,
    is_finished,
    is_going,
    owner_reference,
)
from scenario_runner.lab.apiserver.store import Change
from scenario_runner.lab.controllers.deployment_status import write_status
from scenario_runner.lab.controllers.events import Note, Recorder
from scenario_runner.lab.controllers.rollout import (
    Limits,
    Sizes,
    next_new_size,
    next_old_sizes,
    proportional_sizes,
)

_REVISION = "deployment.kubernetes.io/revision"
_HISTORY = "deployment.kubernetes.io/revision-history"
_DESIRED = "deployment.kubernetes.io/desired-replicas"
_MAXIMUM = "deployment.kubernetes.io/max-replicas"
_HASH = "pod-template-hash"
_NOT_COPIED = {"kubectl.kubernetes.io/last-applied-configuration", _REVISION, _HISTORY, _DESIRED, _MAXIMUM}


@dataclass(frozen=True)
class Deployments:
    """The Deployment controller."""

    api: Api
    recorder: Recorder

    def touched(self, change: Change) -> Iterable[Key]:
        if change.key.plural == "deployments":
            yield change.key
        elif change.key.plural == "replicasets":
            owner = controller_of(change.obj)
            if owner and owner["kind"] == "Deployment":
                yield Key("apps", "deployments", change.key.namespace, owner["name"])
        elif change.key.plural == "pods" and change.kind == "DELETED":
            yield from self._waiting_for(change)

    def _waiting_for(self, change: Change) -> Iterable[Key]:
        """A Recreate rollout waits until the last old pod is really gone."""
        for one in self.api.select("deployments", change.key.namespace):
            if one["spec"]["strategy"]["type"] == "Recreate":
                yield Key("apps", "deployments", change.key.namespace, one["metadata"]["name"])

    def reconcile(self, key: Key) -> float | None:
        deployment = self.api.store.get(key)
        if deployment is None or is_going(deployment):
            return None
        owned = self._owned(deployment)
        new = next((one for one in owned if _template(one) == _template(deployment)), None)
        if new is None and not deployment["spec"].get("paused") and self._may_create(deployment, owned):
            new = self._create(deployment, owned)
        elif new is not None:
            self._mark(deployment, new, [one for one in owned if one is not new])
        self._resize(deployment, new)
        self._forget_history(deployment, new)
        return write_status(self.api, key, self._owned(deployment), new["metadata"]["name"] if new else None)

    def _owned(self, deployment: Json) -> list[Json]:
        """The ReplicaSets of a deployment, oldest revision first."""
        found = self.api.select("replicasets", deployment["metadata"]["namespace"])
        return sorted(controlled_by(found, deployment), key=_revision)

    # The ReplicaSet of the current template

    def _may_create(self, deployment: Json, owned: list[Json]) -> bool:
        """Recreate: first no old pod may be left, neither wanted nor still going."""
        if deployment["spec"]["strategy"]["type"] != "Recreate":
            return True
        for one in owned:
            self._scale(deployment, one, 0)
        uids = {one["metadata"]["uid"] for one in owned}
        pods = self.api.select("pods", deployment["metadata"]["namespace"])
        return not any((controller_of(pod) or {}).get("uid") in uids and not is_finished(pod) for pod in pods)

    def _create(self, deployment: Json, owned: list[Json]) -> Json:
        template = clone(deployment["spec"]["template"])
        digest = _digest(deployment)
        template["metadata"].setdefault("labels", {})[_HASH] = digest
        selector = clone(deployment["spec"]["selector"])
        selector.setdefault("matchLabels", {})[_HASH] = digest
        meta, limits = deployment["metadata"], Limits.of(deployment)
        name = f"{meta['name']}-{digest}"
        sizes = [_sizes(one) for one in owned]
        size = next_new_size(Sizes(name, 0, 0), sizes, limits)
        spec = {"replicas": size, "selector": selector, "template": template}
        spec["minReadySeconds"] = deployment["spec"].get("minReadySeconds") or 0
        body = {
            "metadata": {
                "name": name,
                "labels": template["metadata"]["labels"],
                "annotations": self._annotations(deployment, owned),
                "ownerReferences": [owner_reference(deployment)],
            },
            "spec": spec,
        }
        created = self.api.create(self.api.at("replicasets", meta["namespace"]), body)
        self._set_revision(deployment, created)
        self._tell_scaled(deployment, created, 0, size)
        return created

    def _annotations(self, deployment: Json, others: list[Json]) -> dict[str, str]:
        limits = Limits.of(deployment)
        found = {name: value for name, value in annotations_of(deployment).items() if name not in _NOT_COPIED}
        found[_REVISION] = str(max((_revision(one) for one in others), default=0) + 1)
        return found | {_DESIRED: str(limits.replicas), _MAXIMUM: str(limits.replicas + limits.surge)}

    def _mark(self, deployment: Json, new: Json, others: list[Json]) -> None:
        """Keep the annotations and the revision of the current ReplicaSet; a rollback makes it the newest."""
        wanted = self._annotations(deployment, others)
        wanted[_REVISION] = str(max(int(wanted[_REVISION]), _revision(new)))
        if history := _history(new, wanted[_REVISION]):
            wanted[_HISTORY] = history
        wanted[_DESIRED] = annotations_of(new).get(_DESIRED, wanted[_DESIRED])
        if wanted != annotations_of(new):
            self._annotate(new, wanted)
        self._set_revision(deployment, {"metadata": {"annotations": wanted}})

    def _annotate(self, one: Json, annotations: dict[str, str]) -> None:
        def edit(obj: Json) -> Json:
            obj["metadata"].setdefault("annotations", {}).update(annotations)
            return obj

        self.api.change(self.api.at("replicasets", one["metadata"]["namespace"], one["metadata"]["name"]), edit)

    def _set_revision(self, deployment: Json, new: Json) -> None:
        revision = annotations_of(new)[_REVISION]
        if annotations_of(deployment).get(_REVISION) == revision:
            return
        meta = clone(deployment["metadata"])
        meta.setdefault("annotations", {})[_REVISION] = revision
        # Straight into the store: the controller's own annotation is no new generation.
        key = Key("apps", "deployments", meta["namespace"], meta["name"])
        current = self.api.store.get(key) or deployment
        self.api.store.put(key, {**clone(current), "metadata": meta})

    # Sizes

    def _resize(self, deployment: Json, new: Json | None) -> None:
        owned = self._owned(deployment)
        current = next((one for one in owned if new and one["metadata"]["uid"] == new["metadata"]["uid"]), None)
        old = [one for one in owned if one is not current]
        limits = Limits.of(deployment)
        active = [one for one in owned if one["spec"]["replicas"] > 0]
        is_rescaled = any(annotations_of(one).get(_DESIRED) != str(limits.replicas) for one in active)
        if is_rescaled:
            self._rescale(deployment, active, limits)
        elif current is not None and not deployment["spec"].get("paused"):
            self._roll(deployment, current, old, limits)

    def _rescale(self, deployment: Json, active: list[Json], limits: Limits) -> None:
        sizes = proportional_sizes([_sizes(one) for one in active], limits)
        if len(active) == 1:
            sizes = {active[0]["metadata"]["name"]: limits.replicas}
        for one in active:
            self._annotate(one, {_DESIRED: str(limits.replicas), _MAXIMUM: str(limits.replicas + limits.surge)})
            self._scale(deployment, one, sizes[one["metadata"]["name"]])

    def _roll(self, deployment: Json, current: Json, old: list[Json], limits: Limits) -> None:
        sizes = [_sizes(one) for one in old if one["spec"]["replicas"] > 0]
        wanted = next_new_size(_sizes(current), sizes, limits)
        if wanted != current["spec"]["replicas"]:
            self._scale(deployment, current, wanted)
            return
        smaller = next_old_sizes(_sizes(current), sizes, limits)
        for one in old:
            self._scale(deployment, one, smaller.get(one["metadata"]["name"], one["spec"]["replicas"]))

    def _scale(self, deployment: Json, one: Json, size: int) -> None:
        meta, before = one["metadata"], one["spec"]["replicas"]
        if size == before:
            return

        def edit(obj: Json) -> Json:
            obj["spec"]["replicas"] = size
            return obj

        self.api.change(self.api.at("replicasets", meta["namespace"], meta["name"]), edit)
        self._tell_scaled(deployment, one, before, size)

    def _tell_scaled(self, deployment: Json, one: Json, before: int, size: int) -> None:
        if size == before:
            return
        verb = "up" if size > before else "down"
        message = f"Scaled {verb} replica set {one['metadata']['name']} from {before} to {size}"
        self.recorder.record(deployment, Note("ScalingReplicaSet", message, "deployment-controller"))

    def _forget_history(self, deployment: Json, new: Json | None) -> None:
        old = [one for one in self._owned(deployment) if not new or one["metadata"]["uid"] != new["metadata"]["uid"]]
        idle = [one for one in old if not one["spec"]["replicas"] and not dig(one, "status.replicas")]
        for one in idle[: max(len(idle) - deployment["spec"]["revisionHistoryLimit"], 0)]:
            self.api.delete(self.api.at("replicasets", one["metadata"]["namespace"], one["metadata"]["name"]))


def _sizes(one: Json) -> Sizes:
    available = dig(one, "status.availableReplicas") or 0
    return Sizes(one["metadata"]["name"], one["spec"]["replicas"], min(available, one["spec"]["replicas"]))


def _revision(one: Json) -> int:
    return int(annotations_of(one).get(_REVISION, "0"))


def _history(one: Json, revision: str) -> str:
    """The revisions that a ReplicaSet was before, with the last one if it has another now."""
    past = annotations_of(one).get(_HISTORY, "")
    last = annotations_of(one).get(_REVISION, "")
    return ",".join(filter(None, (past, last))) if last and last != revision else past


def _template(owner: Json) -> Json:
    template: Json = clone(owner["spec"]["template"])
    labels = template["metadata"].get("labels") or {}
    template["metadata"]["labels"] = {name: value for name, value in labels.items() if name != _HASH}
    return template


def _digest(deployment: Json) -> str:
    """A name for a template, of letters that form no words."""
    text = json.dumps([deployment["metadata"]["uid"], _template(deployment)], sort_keys=True)
    digest = hashlib.sha256(text.encode()).digest()
    return "".join(NAME_ALPHABET[byte % len(NAME_ALPHABET)] for byte in digest[:10])
