"""Whether a pod fits on a node: taints, selectors, affinity, resources. Pure functions."""

from collections.abc import Iterable, Mapping

from scenario_runner.lab.apiserver.objects import Json, dig, labels_of
from scenario_runner.lab.apiserver.quantities import quantity

Amounts = dict[str, float]


def requests_of(pod: Json) -> Amounts:
    """What a pod asks for: the sum over its containers, or its largest init container."""
    total: Amounts = {"pods": 1.0}
    for container in pod["spec"]["containers"]:
        for name, value in (dig(container, "resources.requests") or {}).items():
            total[name] = total.get(name, 0.0) + quantity(value)
    for container in pod["spec"].get("initContainers") or []:
        for name, value in (dig(container, "resources.requests") or {}).items():
            total[name] = max(total.get(name, 0.0), quantity(value))
    return total


def tolerates(pod: Json, taint: Json) -> Json | None:
    """The toleration of a pod that covers a taint, None where there is none."""
    return next((one for one in pod["spec"].get("tolerations") or [] if _covers(one, taint)), None)


def _covers(toleration: Json, taint: Json) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    if toleration.get("operator") == "Exists":
        return True
    return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")


def taints_of(node: Json) -> list[Json]:
    taints: list[Json] = node["spec"].get("taints") or []
    return taints


def why_not(pod: Json, node: Json, running: Iterable[Json]) -> list[str]:
    """The reasons, in the scheduler's words, for which a pod can not go to a node; empty if it can."""
    cordon = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    if dig(node, "spec.unschedulable") and not tolerates(pod, cordon):
        return ["node(s) were unschedulable"]
    for taint in taints_of(node):
        if taint["effect"] != "PreferNoSchedule" and not tolerates(pod, taint):
            return [f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value') or ''}}}"]
    if not _selected(pod, node):
        return ["node(s) didn't match Pod's node affinity/selector"]
    return _lacking(pod, node, running)


def _lacking(pod: Json, node: Json, running: Iterable[Json]) -> list[str]:
    free = free_on(node, running)
    lacking = [name for name, amount in requests_of(pod).items() if amount > free.get(name, 0.0)]
    return ["Too many pods" if name == "pods" else f"Insufficient {name}" for name in sorted(lacking)]


def free_on(node: Json, running: Iterable[Json]) -> Amounts:
    """What is left of a node's allocatable amounts."""
    allocatable = dig(node, "status.allocatable") or dig(node, "status.capacity") or {}
    free = {name: quantity(value) for name, value in allocatable.items()}
    for pod in running:
        for name, amount in requests_of(pod).items():
            free[name] = free.get(name, 0.0) - amount
    return free


def _selected(pod: Json, node: Json) -> bool:
    wanted = pod["spec"].get("nodeSelector") or {}
    if any(labels_of(node).get(name) != value for name, value in wanted.items()):
        return False
    required = dig(pod, "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution")
    return not required or any(_term(one, node) for one in required.get("nodeSelectorTerms") or [])


def _term(term: Json, node: Json) -> bool:
    fields = {"metadata.name": node["metadata"]["name"]}
    expressions = [(one, labels_of(node)) for one in term.get("matchExpressions") or []]
    expressions += [(one, fields) for one in term.get("matchFields") or []]
    return bool(expressions) and all(_expression(one, values) for one, values in expressions)


def _expression(one: Json, values: Mapping[str, str]) -> bool:
    name, wanted = one["key"], one.get("values") or []
    has = name in values
    if one["operator"] in {"Gt", "Lt"}:
        return has and (int(values[name]) > int(wanted[0])) == (one["operator"] == "Gt")
    answers = {
        "In": has and values.get(name) in wanted,
        "NotIn": values.get(name) not in wanted,
        "Exists": has,
        "DoesNotExist": not has,
    }
    return answers[one["operator"]]
