"""Gives each namespace what every one has, and empties those that are being deleted."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from scenario_runner.lab.apiserver.api import Api
from scenario_runner.lab.apiserver.objects import Json, Key, is_going, set_condition
from scenario_runner.lab.apiserver.store import Change

_AUTHORITY = "kube-root-ca.crt"
_DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)
_BUNDLE = {"ca.crt": ""}  # this API server speaks plain HTTP: there is nothing to verify it by


@dataclass(frozen=True)
class Namespaces:
    """The namespace, service account and root CA publishing controllers."""

    api: Api

    def touched(self, change: Change) -> Iterable[Key]:
        if change.key.plural == "namespaces":
            yield change.key
        elif change.key.namespace and (change.kind == "DELETED" or change.key.name == _AUTHORITY):
            yield Key("", "namespaces", "", change.key.namespace)

    def reconcile(self, key: Key) -> float | None:
        namespace = self.api.store.get(key)
        if namespace is None:
            return None
        if not is_going(namespace):
            self._furnish(key.name)
            return None
        content = [(one, obj) for one, obj in self.api.store.everything() if one.namespace == key.name]
        for one, obj in content:
            if not is_going(obj) and self.api.store.get(one):
                self.api.delete(self.api.target_of(one))
        if not content:
            self.api.change(self.api.at("namespaces", name=key.name, sub="finalize"), _finalized)
        elif left := [found for one, _ in content if (found := self.api.store.get(one))]:
            self.api.change(self.api.at("namespaces", name=key.name, sub="status"), lambda obj: self._told(obj, left))
        return None

    def _furnish(self, namespace: str) -> None:
        if self.api.find(self.api.at("serviceaccounts", namespace, "default")) is None:
            self.api.create(self.api.at("serviceaccounts", namespace), {"metadata": {"name": "default"}})
        bundle = self.api.find(self.api.at("configmaps", namespace, _AUTHORITY))
        if bundle is None:
            content = {
                "metadata": {"name": _AUTHORITY, "annotations": {"kubernetes.io/description": _DESCRIPTION}},
                "data": dict(_BUNDLE),
            }
            self.api.create(self.api.at("configmaps", namespace), content)
        elif bundle.get("data") != _BUNDLE:
            self.api.change(self.api.at("configmaps", namespace, _AUTHORITY), lambda obj: obj | {"data": dict(_BUNDLE)})

    def _told(self, namespace: Json, left: list[Json]) -> Json:
        """Say what the namespace waits for."""
        counted = Counter(finalizer for obj in left for finalizer in obj["metadata"].get("finalizers") or [])
        held = ", ".join(f"{name} in {count} resource instances" for name, count in sorted(counted.items()))
        message = f"Some content in the namespace has finalizers remaining: {held}"
        new = {"type": "NamespaceFinalizersRemaining", "status": "True", "reason": "SomeFinalizersRemain"}
        if held:
            set_condition(namespace, new | {"message": message}, self.api.now())
        return namespace


def _finalized(namespace: Json) -> Json:
    namespace["spec"]["finalizers"] = []
    return namespace
