"""Establishes CustomResourceDefinitions, and takes their objects away with them."""

from collections.abc import Iterable
from dataclasses import dataclass

from scenario_runner.lab.apiserver.api import Api
from scenario_runner.lab.apiserver.objects import Json, Key, set_condition
from scenario_runner.lab.apiserver.store import Change


@dataclass(frozen=True)
class CustomResources:
    """Serving starts with the write itself, so that no client sees a gap; conditions follow."""

    api: Api

    def touched(self, change: Change) -> Iterable[Key]:
        if change.key.plural != "customresourcedefinitions":
            return
        if change.kind == "DELETED":
            self.api.catalog.undefine(change.obj)
            for key, _obj in self.api.store.everything():
                if (key.group, key.plural) == (change.obj["spec"]["group"], change.obj["spec"]["names"]["plural"]):
                    yield key
            return
        if change.before is None or change.before["spec"] != change.obj["spec"]:
            self.api.catalog.define(change.obj)
            yield change.key

    def reconcile(self, key: Key) -> float | None:
        if key.plural != "customresourcedefinitions":
            if self.api.store.get(key):
                self.api.store.remove(key)
        elif self.api.store.get(key):
            self.api.change(self.api.at(key.plural, name=key.name, sub="status"), self._established)
        return None

    def _established(self, crd: Json) -> Json:
        status = crd.setdefault("status", {})
        status |= {"acceptedNames": crd["spec"]["names"]}
        status["storedVersions"] = [one["name"] for one in crd["spec"]["versions"] if one.get("storage")]
        accepted = {"reason": "NoConflicts", "message": "no conflicts found"}
        set_condition(crd, {"type": "NamesAccepted", "status": "True"} | accepted, self.api.now())
        ready = {"reason": "InitialNamesAccepted", "message": "the initial names have been accepted"}
        set_condition(crd, {"type": "Established", "status": "True"} | ready, self.api.now())
        return crd
