"""Keeps the status of PodDisruptionBudgets; an eviction itself measures anew and never trusts it."""

from collections.abc import Iterable
from dataclasses import dataclass

from scenario_runner.lab.apiserver.api import Api
from scenario_runner.lab.apiserver.eviction import measure
from scenario_runner.lab.apiserver.objects import Json, Key, set_condition
from scenario_runner.lab.apiserver.store import Change


@dataclass(frozen=True)
class Budgets:
    """The disruption controller."""

    api: Api

    def touched(self, change: Change) -> Iterable[Key]:
        if change.key.plural == "poddisruptionbudgets":
            yield change.key
        elif change.key.plural in {"pods", "deployments", "replicasets"}:
            for one in self.api.select("poddisruptionbudgets", change.key.namespace):
                yield Key("policy", "poddisruptionbudgets", change.key.namespace, one["metadata"]["name"])

    def reconcile(self, key: Key) -> float | None:
        at = self.api.at("poddisruptionbudgets", key.namespace, key.name, "status")
        if pdb := self.api.find(at):
            self.api.change(at, lambda obj: self._with_status(obj, pdb))
        return None

    def _with_status(self, obj: Json, pdb: Json) -> Json:
        budget = measure(self.api, pdb)
        status = obj.setdefault("status", {})
        status |= {"currentHealthy": budget.healthy, "desiredHealthy": budget.desired}
        status |= {"expectedPods": budget.expected, "disruptionsAllowed": budget.allowed}
        status["observedGeneration"] = obj["metadata"]["generation"]
        allowed = {"status": "True", "reason": "SufficientPods"}
        refused = {"status": "False", "reason": "InsufficientPods"}
        verdict = allowed if budget.allowed else refused
        set_condition(obj, {"type": "DisruptionAllowed", "message": ""} | verdict, self.api.now())
        return obj
