"""Disruption budgets, and the eviction of pods that respects them."""

from dataclasses import dataclass

from scenario_runner.lab.apiserver import failures
from scenario_runner.lab.apiserver.api import Api
from scenario_runner.lab.apiserver.deletion import Deletion
from scenario_runner.lab.apiserver.objects import (
    Json,
    condition,
    controller_of,
    dig,
    is_active,
    is_finished,
    is_going,
    is_ready,
    set_condition,
    share_of,
)
from scenario_runner.lab.apiserver.resources import Target
from scenario_runner.lab.apiserver.selectors import by_selector

_REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."


@dataclass(frozen=True)
class Budget:
    """The figures of one PodDisruptionBudget at this moment, in pods."""

    name: str
    expected: int
    desired: int
    healthy: int

    @property
    def allowed(self) -> int:
        return max(self.healthy - self.desired, 0) if self.expected else 0


def measure(api: Api, pdb: Json) -> Budget:
    """Count the pods that a budget guards."""
    namespace, spec = pdb["metadata"]["namespace"], pdb["spec"]
    matches = by_selector(spec.get("selector"))
    pods = [pod for pod in api.select("pods", namespace) if matches(pod) and not is_finished(pod)]
    healthy = sum(is_ready(pod) and not is_going(pod) for pod in pods)
    least = spec.get("minAvailable")
    if isinstance(least, int):
        return Budget(pdb["metadata"]["name"], len(pods), least, healthy)
    expected = _expected(api, namespace, pods)
    if least is not None:
        desired = share_of(least, expected, up=True)
    else:
        desired = max(expected - share_of(spec.get("maxUnavailable", 0), expected, up=True), 0)
    return Budget(pdb["metadata"]["name"], expected, desired, healthy)


def _expected(api: Api, namespace: str, pods: list[Json]) -> int:
    """How many pods there should be: the scale of their controllers, plus those that have none."""
    scales: dict[str, int] = {}
    for pod in pods:
        owner = controller_of(pod)
        workload = owner and _workload(api, namespace, owner)
        if workload:
            scales[workload["metadata"]["uid"]] = workload["spec"]["replicas"]
        else:
            scales[pod["metadata"]["uid"]] = 1
    return sum(scales.values())


def _workload(api: Api, namespace: str, owner: Json) -> Json | None:
    plural = {"ReplicaSet": "replicasets", "Deployment": "deployments"}.get(owner["kind"])
    found = api.find(api.at(plural, namespace, owner["name"])) if plural else None
    above = found and controller_of(found)
    return _workload(api, namespace, above) if above else found


def evict(api: Api, at: Target, body: Json) -> None:
    """Delete a pod if its disruption budget allows it.

    Raises ApiError: 404, 409 (precondition), 429 with the cause DisruptionBudget, 500 (more than one budget).
    """
    pod = api.get(Target(at.resource, at.namespace, at.name))
    options = body.get("deleteOptions") or {}
    preconditions = options.get("preconditions") or {}
    dry_run = "All" in (options.get("dryRun") or [])
    wanted = Deletion(
        options.get("gracePeriodSeconds"),
        preconditions.get("uid"),
        preconditions.get("resourceVersion"),
        dry_run=dry_run,
    )
    if is_active(pod) and dig(pod, "status.phase") != "Pending":
        _require_budget(api, pod)
    if not dry_run:
        mark_disrupted(api, pod, "EvictionByEvictionAPI", "Eviction API: evicting")
    api.delete(Target(at.resource, at.namespace, at.name), wanted)


def mark_disrupted(api: Api, pod: Json, reason: str, message: str) -> None:
    """Write down on the pod why it is about to be deleted."""
    if condition(pod, "DisruptionTarget"):
        return

    def edit(obj: Json) -> Json:
        new = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}
        set_condition(obj, new, api.now())
        return obj

    api.change(api.at("pods", pod["metadata"]["namespace"], pod["metadata"]["name"], "status"), edit)


def _require_budget(api: Api, pod: Json) -> None:
    budgets = [
        pdb
        for pdb in api.select("poddisruptionbudgets", pod["metadata"]["namespace"])
        if by_selector(pdb["spec"].get("selector"))(pod)
    ]
    if len(budgets) > 1:
        message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        raise failures.ApiError(500, "", message)
    for pdb in budgets:
        budget = measure(api, pdb)
        if not is_ready(pod) and _spares_unhealthy(pdb, budget):
            return
        if budget.allowed < 1:
            text = f"The disruption budget {budget.name} needs {budget.desired} healthy pods"
            text += f" and has {budget.healthy} currently"
            causes = [{"reason": "DisruptionBudget", "message": text}]
            raise failures.ApiError(429, "TooManyRequests", _REFUSED, {"causes": causes})


def _spares_unhealthy(pdb: Json, budget: Budget) -> bool:
    if pdb["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    return budget.healthy >= budget.desired > 0
