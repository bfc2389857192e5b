"""Fills in what the real server fills in, as far as clients and controllers look at it."""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scenario_runner.lab.apiserver.objects import Json, dig

_UNHEALTHY = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


@dataclass(frozen=True)
class Defaults:
    """Defaulting with the one value that is a setting: how long pods tolerate an ill node, in seconds."""

    eviction_after: int

    def fill(self, kind: str, obj: Json) -> None:
        """Set absent fields in place."""
        if fill := _FILL.get(kind):
            fill(obj)
        if kind == "Pod":
            self._tolerate(obj["spec"])

    def admit(self, kind: str, obj: Json) -> None:
        """What admission and strategies add to a new object only."""
        if kind == "Pod":
            account = obj["spec"].get("serviceAccountName") or "default"
            _set(obj["spec"], serviceAccountName=account, serviceAccount=account)
            obj["status"] = {"phase": "Pending", "qosClass": _qos(obj["spec"])}
        elif kind == "Node":
            _distrust(obj["spec"])
        elif kind == "Namespace":
            obj["spec"].setdefault("finalizers", ["kubernetes"])
            obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = obj["metadata"]["name"]
            obj["status"] = {"phase": "Active"}

    def _tolerate(self, spec: Json) -> None:
        tolerations = spec.setdefault("tolerations", [])
        for key in _UNHEALTHY:
            if not any(one.get("key") in {key, None} and _covers_no_execute(one) for one in tolerations):
                seconds = {"tolerationSeconds": self.eviction_after}
                tolerations.append({"key": key, "operator": "Exists", "effect": "NoExecute"} | seconds)


def _distrust(spec: Json) -> None:
    """A new node takes no pods before a controller has seen that it is ready."""
    taint = {"key": _UNHEALTHY[0], "effect": "NoSchedule"}
    if taint not in spec.setdefault("taints", []):
        spec["taints"].append(taint)


def _covers_no_execute(toleration: Json) -> bool:
    return toleration.get("effect") in {None, "", "NoExecute"}


def _set(obj: Json, **values: Any) -> None:
    for name, value in values.items():
        obj.setdefault(name, value)


def _section(obj: Json, name: str) -> Json:
    """A nested object that is there afterwards, also where a client wrote null."""
    if not isinstance(obj.get(name), dict):
        obj[name] = {}
    found: Json = obj[name]
    return found


def containers_of(spec: Json) -> Iterator[Json]:
    for name in ("initContainers", "containers"):
        for container in spec.get(name) or []:
            if isinstance(container, dict):
                yield container


def _pod_spec(spec: Json) -> None:
    _set(spec, restartPolicy="Always", dnsPolicy="ClusterFirst", schedulerName="default-scheduler")
    _set(spec, securityContext={}, terminationGracePeriodSeconds=30)
    for container in containers_of(spec):
        _container(container)
    for volume in spec.get("volumes") or []:
        if set(volume) == {"name"}:
            volume["emptyDir"] = {}
        for source in ("configMap", "secret", "downwardAPI", "projected"):
            if source in volume:
                _set(volume[source], defaultMode=0o644)
        if "hostPath" in volume:
            _set(volume["hostPath"], type="")


def _container(container: Json) -> None:
    image = str(container.get("image") or "")
    is_latest = bool(image) and (":" not in image.rsplit("/", 1)[-1] or image.endswith(":latest"))
    _set(container, imagePullPolicy="Always" if is_latest else "IfNotPresent", resources={})
    _set(container, terminationMessagePath="/dev/termination-log", terminationMessagePolicy="File")
    for port in container.get("ports") or []:
        _set(port, protocol="TCP")
    for name in ("readinessProbe", "livenessProbe", "startupProbe"):
        if name in container:
            probe = container[name]
            _set(probe, timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
            if "httpGet" in probe:
                _set(probe["httpGet"], path="/", scheme="HTTP")
    for variable in container.get("env") or []:
        if reference := dig(variable, "valueFrom.fieldRef"):
            _set(reference, apiVersion="v1")
    limits = dig(container, "resources.limits") or {}
    if limits:
        _set(_section(container["resources"], "requests"), **limits)


def _qos(spec: Json) -> str:
    resources = [container.get("resources") or {} for container in containers_of(spec)]
    pairs = [(one.get("requests") or {}, one.get("limits") or {}) for one in resources]
    counted = ("cpu", "memory")
    if not any(name in part for pair in pairs for part in pair for name in counted):
        return "BestEffort"
    if all(name in limits and requests.get(name) == limits[name] for requests, limits in pairs for name in counted):
        return "Guaranteed"
    return "Burstable"


def _pod(obj: Json) -> None:
    spec = _section(obj, "spec")
    _pod_spec(spec)
    if account := spec.get("serviceAccountName"):
        _set(spec, serviceAccount=account)
    _set(spec, enableServiceLinks=True, priority=0, preemptionPolicy="PreemptLowerPriority")


def _replica_set(obj: Json) -> None:
    spec = _section(obj, "spec")
    _set(spec, replicas=1)
    _section(_section(spec, "template"), "metadata")
    _pod_spec(_section(spec["template"], "spec"))


def _deployment(obj: Json) -> None:
    _replica_set(obj)
    spec = obj["spec"]
    _set(spec, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    strategy = _section(spec, "strategy")
    _set(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _set(_section(strategy, "rollingUpdate"), maxSurge="25%", maxUnavailable="25%")


def _service(obj: Json) -> None:
    spec = _section(obj, "spec")
    _set(spec, type="ClusterIP", sessionAffinity="None", internalTrafficPolicy="Cluster")
    if spec["type"] != "ExternalName":
        _set(spec, ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack")
    if spec["sessionAffinity"] == "ClientIP":
        _set(_section(spec, "sessionAffinityConfig"), clientIP={"timeoutSeconds": 10800})
    _set(obj, status={"loadBalancer": {}})
    for port in spec.get("ports") or []:
        _set(port, protocol="TCP", targetPort=port.get("port"))


def _endpoint_slice(obj: Json) -> None:
    """The one kind whose empty lists are written: as null."""
    obj |= {name: obj.get(name) or None for name in ("endpoints", "ports")}


def _crd(obj: Json) -> None:
    names = _section(_section(obj, "spec"), "names")
    kind = str(names.get("kind") or "")
    _set(names, singular=kind.lower(), listKind=f"{kind}List")
    _set(obj["spec"], conversion={"strategy": "None"})


def _secret(obj: Json) -> None:
    _set(obj, type="Opaque")
    for name, text in (obj.pop("stringData", None) or {}).items():
        _section(obj, "data")[name] = b64encode(text.encode()).decode()


def _empty_spec(obj: Json) -> None:
    _section(obj, "spec")


_FILL: Mapping[str, Callable[[Json], None]] = {
    "Pod": _pod,
    "ReplicaSet": _replica_set,
    "Deployment": _deployment,
    "Service": _service,
    "CustomResourceDefinition": _crd,
    "EndpointSlice": _endpoint_slice,
    "Secret": _secret,
    "Namespace": _empty_spec,
    "Node": _empty_spec,
    "Lease": _empty_spec,
}
