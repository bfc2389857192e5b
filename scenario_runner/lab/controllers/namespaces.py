"""Gives each namespace its default service account, and empties those that are being deleted."""

from collections.abc import Iterable
from dataclasses import dataclass

from scenario_runner.lab.apiserver.api import Api
from scenario_runner.lab.apiserver.objects import Json, Key, is_going
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
        return None


def _finalized(namespace: Json) -> Json:
    namespace["spec"]["finalizers"] = []
    return namespace
