"""Refuses what the real server refuses with 422: names, missing parts, selectors, immutable fields."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from scenario_runner.lab.apiserver import failures
from scenario_runner.lab.apiserver.objects import Json, annotations_of, dig, is_going, labels_of
from scenario_runner.lab.apiserver.pod_validation import check_pod, check_workload, compare_pods
from scenario_runner.lab.apiserver.problems import (
    Problem,
    forbidden,
    invalid,
    not_negative,
    number_or_share,
    required,
)
from scenario_runner.lab.apiserver.resources import Resource

_LONGEST_NAME, _LONGEST_VALUE = 253, 63
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_KEY = re.compile(
    r"([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]"
)
_KEY_RULE = "name part must consist of alphanumeric characters, '-', '_' or '.'"
_CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_PLAIN_FINALIZERS = frozenset({"kubernetes", "orphan", "foregroundDeletion"})
_LAST_PORT = 65535
_SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character"
)


def validate(resource: Resource, obj: Json, old: Json | None = None, found: Sequence[Problem] = ()) -> None:
    """Raise ApiError (422) with all problems of an object, `old` being what it replaces; some were `found` before."""
    problems = [*_metadata(obj), *_labels(obj), *(_as_told(problem) for problem in found)]
    if check := _CHECKS.get(resource.kind):
        problems += check(obj)
    if old is not None:
        problems += _kept_finalizers(obj, old)
        if compare := _COMPARISONS.get(resource.kind):
            problems += compare(obj, old)
    if problems:
        raise failures.invalid(resource.kind, resource.group, obj["metadata"].get("name", ""), problems)


def _as_told(problem: Problem) -> Problem:
    """The real server looks at the one field of a strategy when it looks at the whole."""
    return ("spec.strategy", *problem[1:]) if problem[0] == "spec.strategy.type" else problem


def _metadata(obj: Json) -> Iterator[Problem]:
    meta = obj["metadata"]
    name = meta.get("name", "")
    if not name:
        yield required("metadata.name", "name or generateName is required")
    elif not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        yield invalid("metadata.name", name, _SUBDOMAIN)
    for index, one in enumerate(meta.get("finalizers") or []):
        if "/" not in one and one not in _PLAIN_FINALIZERS:
            why = "name is neither a standard finalizer name nor is it fully qualified"
            yield invalid(f"metadata.finalizers[{index}]", one, why)


def _labels(obj: Json) -> Iterator[Problem]:
    for label, value in labels_of(obj).items():
        if not _KEY.fullmatch(label):
            yield invalid("metadata.labels", label, _KEY_RULE)
        if not isinstance(value, str) or len(value) > _LONGEST_VALUE or not _LABEL_VALUE.fullmatch(value):
            yield invalid("metadata.labels", value, f"not a valid value of {label}")
    for key in annotations_of(obj):
        if not _KEY.fullmatch(key.lower()):
            yield invalid("metadata.annotations", key, _KEY_RULE)


def _kept_finalizers(obj: Json, old: Json) -> Iterator[Problem]:
    known = old["metadata"].get("finalizers") or []
    added = [one for one in obj["metadata"].get("finalizers") or [] if one not in known]
    if added and is_going(old):
        found = ", ".join(f'"{one}"' for one in added)
        why = "no new finalizers can be added if the object is being deleted, found new finalizers"
        yield forbidden("metadata.finalizers", f"{why} []string{{{found}}}")


def _config(obj: Json) -> Iterator[Problem]:
    for name in ("data", "binaryData"):
        for key in obj.get(name) or {}:
            if not _CONFIG_KEY.fullmatch(key):
                why = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
                yield invalid(f"{name}[{key}]", key, why)
            if name == "binaryData" and key in (obj.get("data") or {}):
                yield invalid(f"data[{key}]", key, "duplicate of key present in binaryData")


def _lease(obj: Json) -> Iterator[Problem]:
    duration = obj["spec"].get("leaseDurationSeconds")
    if duration is not None and duration <= 0:
        yield invalid("spec.leaseDurationSeconds", duration, "must be greater than 0")
    yield from not_negative("spec.leaseTransitions", obj["spec"].get("leaseTransitions"))


def _service(obj: Json) -> Iterator[Problem]:
    spec = obj["spec"]
    ports = spec.get("ports") or []
    if not ports and spec.get("clusterIP") != "None" and spec["type"] != "ExternalName":
        yield required("spec.ports")
    for index, port in enumerate(ports):
        at = f"spec.ports[{index}]"
        if len(ports) > 1 and not port.get("name"):
            yield required(f"{at}.name")
        for name in ("port", "targetPort"):
            if isinstance(port.get(name), int) and not 0 < port[name] <= _LAST_PORT:
                yield invalid(f"{at}.{name}", port[name], "must be between 1 and 65535, inclusive")


def _budget(obj: Json) -> Iterator[Problem]:
    spec = obj["spec"]
    if "minAvailable" in spec and "maxUnavailable" in spec:
        yield invalid("spec", "", "minAvailable and maxUnavailable cannot be both set")
    for name in ("minAvailable", "maxUnavailable"):
        yield from number_or_share(f"spec.{name}", spec.get(name), 100)


def _crd(obj: Json) -> Iterator[Problem]:
    spec = obj["spec"]
    expected = f"{dig(spec, 'names.plural')}.{spec.get('group')}"
    if obj["metadata"].get("name") != expected:
        yield invalid("metadata.name", obj["metadata"].get("name"), 'must be spec.names.plural+"."+spec.group')
    if spec.get("scope") not in {"Namespaced", "Cluster"}:
        yield required("spec.scope")


def _same(*paths: str) -> Callable[[Json, Json], Iterator[Problem]]:
    def compare(obj: Json, old: Json) -> Iterator[Problem]:
        for path in paths:
            if dig(old, path) is not None and dig(obj, path) != dig(old, path):
                yield invalid(path, dig(obj, path), "field is immutable")

    return compare


def _frozen_config(obj: Json, old: Json) -> Iterator[Problem]:
    same_data = all(obj.get(name) == old.get(name) for name in ("data", "binaryData"))
    if old.get("immutable") and not (same_data and obj.get("immutable")):
        yield forbidden("data", "field is immutable when `immutable` is set")


def _frozen_secret(obj: Json, old: Json) -> Iterator[Problem]:
    yield from _same("type")(obj, old)
    yield from _frozen_config(obj, old)


_CHECKS: Mapping[str, Callable[[Json], Iterator[Problem]]] = {
    "Pod": check_pod,
    "Deployment": check_workload,
    "ReplicaSet": check_workload,
    "ConfigMap": _config,
    "Secret": _config,
    "Lease": _lease,
    "Service": _service,
    "PodDisruptionBudget": _budget,
    "CustomResourceDefinition": _crd,
}
_COMPARISONS: Mapping[str, Callable[[Json, Json], Iterator[Problem]]] = {
    "Pod": compare_pods,
    "Deployment": _same("spec.selector"),
    "ReplicaSet": _same("spec.selector"),
    "Service": _same("spec.clusterIP"),
    "Secret": _frozen_secret,
    "ConfigMap": _frozen_config,
    "EndpointSlice": _same("addressType"),
    "CustomResourceDefinition": _same("spec.group", "spec.scope", "spec.names.plural", "spec.names.kind"),
}
