"""Gives each namespace its default service account, and empties those that are being deleted."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from scenario_runner.lab.apiserver.api import Api
from scenario_runner.lab.apiserver.objects import Json, Key, is_going, set_condition
from scenario_runner.lab.apiserver.store import Change


@dataclass(frozen=True)
class Namespaces:
    """The namespace and service account controllers."""

    api: Api

    def touched(self, change: Change) -> Iterable[Key]:
        if change.key.plural == "namespaces":
            yield change.key
        elif change.kind == "DELETED" and change.key.namespace:
            yield Key("", "namespaces", "", change.key.namespace)

    def reconcile(self, key: Key) -> float | None:
        namespace = self.api.store.get(key)
        if namespace is None:
            return None
        if not is_going(namespace):
            if self.api.find(self.api.at("serviceaccounts", key.name, "default")) is None:
                self.api.create(self.api.at("serviceaccounts", key.name), {"metadata": {"name": "default"}})
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
