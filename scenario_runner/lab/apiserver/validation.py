"""Refuses what the real server refuses with 422: names, missing parts, selectors, immutable fields."""

import re
from collections.abc import Callable, Iterator, Mapping

from scenario_runner.lab.apiserver.failures import invalid
from scenario_runner.lab.apiserver.objects import Json, dig, is_going
from scenario_runner.lab.apiserver.resources import Resource
from scenario_runner.lab.apiserver.selectors import by_selector

Problem = tuple[str, str, str]
"""(field, reason, message), as in the causes of a Status."""

_LONGEST_NAME, _LONGEST_VALUE = 253, 63
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character"
)
_POD_FROZEN = (
    "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_POD_MUTABLE = {"activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "containers", "initContainers"}


def validate(resource: Resource, obj: Json, old: Json | None = None) -> None:
    """Raise ApiError (422) with all problems of an object, `old` being what it replaces."""
    problems = list(_metadata(obj))
    if check := _CHECKS.get(resource.kind):
        problems += check(obj)
    if old is not None:
        problems += _kept_finalizers(obj, old)
        if compare := _COMPARISONS.get(resource.kind):
            problems += compare(obj, old)
    if problems:
        raise invalid(resource.kind, resource.group, obj["metadata"].get("name", ""), problems)


def _metadata(obj: Json) -> Iterator[Problem]:
    meta = obj["metadata"]
    name = meta.get("name", "")
    if not name:
        yield "metadata.name", "FieldValueRequired", "Required value: name or generateName is required"
    elif not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        yield "metadata.name", "FieldValueInvalid", f'Invalid value: "{name}": {_SUBDOMAIN}'
    for label, value in (meta.get("labels") or {}).items():
        if not isinstance(value, str) or len(value) > _LONGEST_VALUE or not _LABEL_VALUE.fullmatch(value):
            yield "metadata.labels", "FieldValueInvalid", f'Invalid value: "{value}": not a valid value of {label}'


def _kept_finalizers(obj: Json, old: Json) -> Iterator[Problem]:
    known = old["metadata"].get("finalizers") or []
    added = [one for one in obj["metadata"].get("finalizers") or [] if one not in known]
    if added and is_going(old):
        found = ", ".join(f'"{one}"' for one in added)
        why = "no new finalizers can be added if the object is being deleted"
        yield (
            "metadata.finalizers",
            "FieldValueForbidden",
            f"Forbidden: {why}, found new finalizers []string{{{found}}}",
        )


def _pod(obj: Json) -> Iterator[Problem]:
    yield from _containers(obj["spec"], "spec")


def _containers(spec: Json, path: str) -> Iterator[Problem]:
    containers = spec.get("containers") or []
    if not containers:
        yield f"{path}.containers", "FieldValueRequired", "Required value"
    names: set[str] = set()
    for index, container in enumerate(containers):
        if not container.get("image"):
            yield f"{path}.containers[{index}].image", "FieldValueRequired", "Required value"
        if container.get("name") in names:
            message = f'Duplicate value: "{container["name"]}"'
            yield f"{path}.containers[{index}].name", "FieldValueDuplicate", message
        names.add(container.get("name", ""))
    yield from _mounts(spec, path)


def _mounts(spec: Json, path: str) -> Iterator[Problem]:
    volumes = {volume.get("name") for volume in spec.get("volumes") or []}
    for index, container in enumerate(spec.get("containers") or []):
        for at, mount in enumerate(container.get("volumeMounts") or []):
            if mount.get("name") not in volumes:
                field = f"{path}.containers[{index}].volumeMounts[{at}].name"
                yield field, "FieldValueNotFound", f'Not found: "{mount.get("name")}"'


def _replicas(obj: Json) -> Iterator[Problem]:
    spec = obj["spec"]
    if spec["replicas"] < 0:
        message = f"Invalid value: {spec['replicas']}: must be greater than or equal to 0"
        yield "spec.replicas", "FieldValueInvalid", message
    template = spec["template"]
    if not spec.get("selector"):
        yield "spec.selector", "FieldValueRequired", "Required value"
    elif not by_selector(spec["selector"])({"metadata": template["metadata"]}):
        labels = template["metadata"].get("labels")
        message = f"Invalid value: {labels}: `selector` does not match template `labels`"
        yield "spec.template.metadata.labels", "FieldValueInvalid", message
    yield from _containers(template["spec"], "spec.template.spec")


def _service(obj: Json) -> Iterator[Problem]:
    spec = obj["spec"]
    if not spec.get("ports") and spec.get("clusterIP") != "None" and spec["type"] != "ExternalName":
        yield "spec.ports", "FieldValueRequired", "Required value"


def _budget(obj: Json) -> Iterator[Problem]:
    if "minAvailable" in obj["spec"] and "maxUnavailable" in obj["spec"]:
        message = "Invalid value: minAvailable and maxUnavailable cannot be both set"
        yield "spec", "FieldValueInvalid", message


def _crd(obj: Json) -> Iterator[Problem]:
    spec = obj["spec"]
    expected = f"{dig(spec, 'names.plural')}.{spec.get('group')}"
    if obj["metadata"].get("name") != expected:
        message = f'Invalid value: "{obj["metadata"].get("name")}": must be spec.names.plural+"."+spec.group'
        yield "metadata.name", "FieldValueInvalid", message
    if spec.get("scope") not in {"Namespaced", "Cluster"}:
        yield "spec.scope", "FieldValueRequired", "Required value"


def _same(*paths: str) -> Callable[[Json, Json], Iterator[Problem]]:
    def compare(obj: Json, old: Json) -> Iterator[Problem]:
        for path in paths:
            if dig(old, path) is not None and dig(obj, path) != dig(old, path):
                yield path, "FieldValueInvalid", f"Invalid value: {dig(obj, path)}: field is immutable"

    return compare


def _frozen_pod(obj: Json, old: Json) -> Iterator[Problem]:
    if _fixed_part(obj["spec"]) != _fixed_part(old["spec"]):
        yield "spec", "FieldValueForbidden", _POD_FROZEN


def _fixed_part(spec: Json) -> Json:
    fixed = {name: value for name, value in spec.items() if name not in _POD_MUTABLE}
    for name in ("containers", "initContainers"):
        fixed[name] = [
            {field: value for field, value in container.items() if field != "image"}
            for container in spec.get(name) or []
        ]
    return fixed


def _frozen_config(obj: Json, old: Json) -> Iterator[Problem]:
    same_data = all(obj.get(name) == old.get(name) for name in ("data", "binaryData"))
    if old.get("immutable") and not (same_data and obj.get("immutable")):
        yield "data", "FieldValueForbidden", "Forbidden: field is immutable when `immutable` is set"


_CHECKS: Mapping[str, Callable[[Json], Iterator[Problem]]] = {
    "Pod": _pod,
    "Deployment": _replicas,
    "ReplicaSet": _replicas,
    "Service": _service,
    "PodDisruptionBudget": _budget,
    "CustomResourceDefinition": _crd,
}
_COMPARISONS: Mapping[str, Callable[[Json, Json], Iterator[Problem]]] = {
    "Pod": _frozen_pod,
    "Deployment": _same("spec.selector"),
    "ReplicaSet": _same("spec.selector"),
    "Service": _same("spec.clusterIP"),
    "Secret": _frozen_config,
    "ConfigMap": _frozen_config,
    "EndpointSlice": _same("addressType"),
    "CustomResourceDefinition": _same("spec.group", "spec.scope", "spec.names.plural", "spec.names.kind"),
}
