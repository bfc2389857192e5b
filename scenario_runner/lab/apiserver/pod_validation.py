"""Refuses pods, and workloads that make pods, as the real server does."""

import re
from collections.abc import Iterator
from typing import Any

from scenario_runner.lab.apiserver.objects import Json, dig, labels_of
from scenario_runner.lab.apiserver.problems import (
    Problem,
    forbidden,
    invalid,
    not_negative,
    number_or_share,
    required,
    unsupported,
)
from scenario_runner.lab.apiserver.quantities import quantity
from scenario_runner.lab.apiserver.selectors import by_selector

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL_RULE = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-'"
_POD_FIELDS = re.compile(
    r"metadata\.(name|namespace|uid|labels|annotations)(\['.+'\])?|spec\.(nodeName|serviceAccountName)"
    r"|status\.(hostIPs?|podIPs?)"
)
_FROZEN = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_MUTABLE = {"activeDeadlineSeconds", "tolerations", "containers", "initContainers"}
_COUNTED = ("containers", "initContainers")


def check_pod(obj: Json) -> Iterator[Problem]:
    yield from _pod_spec(obj["spec"], "spec")


def check_workload(obj: Json) -> Iterator[Problem]:
    """A Deployment or ReplicaSet: its numbers, its selector, its strategy, its pods."""
    spec, template = obj["spec"], obj["spec"]["template"]
    for name in ("replicas", "minReadySeconds"):
        yield from not_negative(f"spec.{name}", spec.get(name))
    if not spec.get("selector"):
        yield required("spec.selector")
    if not by_selector(spec.get("selector"))({"metadata": template["metadata"]}):
        labels = labels_of(template)
        yield invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
    yield from _strategy(spec)
    inner = template["spec"]
    yield from _pod_spec(inner, "spec.template.spec")
    if inner["restartPolicy"] in {"OnFailure", "Never"}:
        yield unsupported("spec.template.spec.restartPolicy", inner["restartPolicy"], "Always")
    if "activeDeadlineSeconds" in inner:
        yield forbidden(
            "spec.template.spec.activeDeadlineSeconds", "activeDeadlineSeconds in ReplicaSet is not Supported"
        )


def _strategy(spec: Json) -> Iterator[Problem]:
    path, rolling = "spec.strategy.rollingUpdate", dig(spec, "strategy.rollingUpdate")
    kind = dig(spec, "strategy.type")
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= max(spec.get("minReadySeconds", 0), 0):
        yield invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")
    if kind == "Recreate" and rolling is not None:
        yield forbidden(path, "may not be specified when strategy `type` is 'Recreate'")
    elif rolling and kind == "RollingUpdate":
        yield from number_or_share(f"{path}.maxUnavailable", rolling["maxUnavailable"], 100)
        yield from number_or_share(f"{path}.maxSurge", rolling["maxSurge"])
        if {rolling["maxSurge"], rolling["maxUnavailable"]} <= {0, "0%"}:
            yield invalid(f"{path}.maxUnavailable", rolling["maxUnavailable"], "may not be 0 when `maxSurge` is 0")


def _pod_spec(spec: Json, path: str) -> Iterator[Problem]:
    if not spec.get("containers"):
        yield required(f"{path}.containers")
    volumes = {volume.get("name") for volume in spec.get("volumes") or []}
    names: set[str] = set()
    for kind in _COUNTED:
        for index, container in enumerate(spec.get(kind) or []):
            at = f"{path}.{kind}[{index}]"
            yield from _container(container, at, volumes)
            if container.get("name") in names:
                yield f"{at}.name", "FieldValueDuplicate", f'Duplicate value: "{container["name"]}"'
            names.add(container.get("name", ""))
    if spec.get("activeDeadlineSeconds", 1) < 1:
        yield invalid(
            f"{path}.activeDeadlineSeconds", spec["activeDeadlineSeconds"], "must be between 1 and 2147483647"
        )


def _container(container: Json, at: str, volumes: set[Any]) -> Iterator[Problem]:
    name = container.get("name", "")
    if not name:
        yield required(f"{at}.name")
    elif not _LABEL.fullmatch(name):
        yield invalid(f"{at}.name", name, _LABEL_RULE)
    if not container.get("image"):
        yield required(f"{at}.image")
    yield from _parts(container, at, volumes)
    yield from _resources(container["resources"], f"{at}.resources")


def _parts(container: Json, at: str, volumes: set[Any]) -> Iterator[Problem]:
    for index, port in enumerate(container.get("ports") or []):
        if not port.get("containerPort"):
            yield required(f"{at}.ports[{index}].containerPort")
    for index, one in enumerate(container.get("env") or []):
        path = dig(one, "valueFrom.fieldRef.fieldPath")
        if path is not None and not _POD_FIELDS.fullmatch(path):
            why = "error converting fieldPath: field label not supported"
            yield invalid(f"{at}.env[{index}].valueFrom.fieldRef.fieldPath", path, why)
    for index, mount in enumerate(container.get("volumeMounts") or []):
        if mount.get("name") not in volumes:
            yield f"{at}.volumeMounts[{index}].name", "FieldValueNotFound", f'Not found: "{mount.get("name")}"'


def _resources(resources: Json, at: str) -> Iterator[Problem]:
    limits = resources.get("limits") or {}
    for name, value in (resources.get("requests") or {}).items():
        if "/" in name and name not in limits:
            yield required(f"{at}.limits", "Limit must be set for non overcommitable resources")
        elif name in limits and quantity(value) > quantity(limits[name]):
            yield invalid(f"{at}.requests", value, f"must be less than or equal to {name} limit of {limits[name]}")


def compare_pods(obj: Json, old: Json) -> Iterator[Problem]:
    """What may not change in a pod."""
    new_spec, old_spec = obj["spec"], old["spec"]
    for kind in _COUNTED:
        if len(new_spec.get(kind) or []) != len(old_spec.get(kind) or []):
            yield forbidden(f"spec.{kind}", "pod updates may not add or remove containers")
            return
    tolerations = new_spec.get("tolerations") or []
    if any(one not in tolerations for one in old_spec.get("tolerations") or []):
        yield forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")
    if _fixed_part(new_spec) != _fixed_part(old_spec):
        yield forbidden("spec", _FROZEN)


def _fixed_part(spec: Json) -> Json:
    fixed = {name: value for name, value in spec.items() if name not in _MUTABLE}
    for kind in _COUNTED:
        fixed[kind] = [{name: value for name, value in one.items() if name != "image"} for one in spec.get(kind) or []]
    return fixed
