"""Keeps the Endpoints and the one EndpointSlice of each Service in step with its pods."""

from collections.abc import Iterable
from dataclasses import dataclass

from scenario_runner.lab.apiserver.api import Api
from scenario_runner.lab.apiserver.objects import Json, Key, dig, is_finished, is_going, is_ready, owner_reference
from scenario_runner.lab.apiserver.selectors import by_selector
from scenario_runner.lab.apiserver.store import Change

_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_SERVICE = "kubernetes.io/service-name"


@dataclass(frozen=True)
class EndpointsOfServices:
    """The endpoints and endpoint slice controllers; a service without a selector is its owner's business."""

    api: Api

    def touched(self, change: Change) -> Iterable[Key]:
        if change.key.plural == "services":
            yield change.key
        elif change.key.plural == "pods":
            for service in self.api.select("services", change.key.namespace):
                matches = by_selector({"matchLabels": service["spec"].get("selector") or {}})
                if matches(change.obj) or (change.before and matches(change.before)):
                    yield Key("", "services", change.key.namespace, service["metadata"]["name"])

    def reconcile(self, key: Key) -> float | None:
        service = self.api.store.get(key)
        if service is None:
            if self.api.find(self.api.at("endpoints", key.namespace, key.name)):
                self.api.delete(self.api.at("endpoints", key.namespace, key.name))
            return None
        selector = service["spec"].get("selector")
        if is_going(service) or not selector:
            return None
        matches = by_selector({"matchLabels": selector})
        pods = [pod for pod in self.api.select("pods", key.namespace) if matches(pod) and _is_reachable(pod)]
        self._put("endpointslices", f"{key.name}-{service['metadata']['uid'][:5]}", service, _slice(service, pods))
        self._put("endpoints", key.name, service, {"subsets": _subsets(service, pods)})
        return None

    def _put(self, plural: str, name: str, service: Json, content: Json) -> None:
        at = self.api.at(plural, service["metadata"]["namespace"], name)
        if self.api.find(at):
            self.api.change(at, lambda obj: obj | content)
            return
        meta: Json = {"name": name}
        if plural == "endpointslices":
            meta["labels"] = {_SERVICE: service["metadata"]["name"], _MANAGED_BY: "endpointslice-controller.k8s.io"}
            meta["ownerReferences"] = [owner_reference(service)]
        self.api.create(self.api.at(plural, at.namespace), {"metadata": meta} | content)


def _is_reachable(pod: Json) -> bool:
    return bool(dig(pod, "status.podIP")) and not is_finished(pod)


def _slice(service: Json, pods: list[Json]) -> Json:
    ports = [
        {"name": port.get("name", ""), "port": number, "protocol": port["protocol"]}
        for port, number in _ports(service, pods)
    ]
    return {"addressType": "IPv4", "endpoints": [_endpoint(service, pod) for pod in pods], "ports": ports}


def _endpoint(service: Json, pod: Json) -> Json:
    going, ready = is_going(pod), is_ready(pod) or bool(service["spec"].get("publishNotReadyAddresses"))
    endpoint = {"addresses": [pod["status"]["podIP"]], "targetRef": _reference(pod)}
    endpoint["conditions"] = {"ready": ready and not going, "serving": is_ready(pod), "terminating": going}
    return endpoint | ({"nodeName": pod["spec"]["nodeName"]} if pod["spec"].get("nodeName") else {})


def _reference(pod: Json) -> Json:
    meta = pod["metadata"]
    return {"kind": "Pod", "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]}


def _ports(service: Json, pods: list[Json]) -> list[tuple[Json, int]]:
    """Each port of a service with the number behind it; a name is looked up in the first pod that has it."""
    named = {
        port.get("name"): port["containerPort"]
        for pod in reversed(pods)
        for container in pod["spec"]["containers"]
        for port in container.get("ports") or []
    }
    found: list[tuple[Json, int]] = []
    for port in service["spec"].get("ports") or []:
        target = port["targetPort"]
        number = target if isinstance(target, int) else named.get(target)
        if number is not None:
            found.append((port, number))
    return found


def _subsets(service: Json, pods: list[Json]) -> list[Json]:
    ready: list[Json] = []
    others: list[Json] = []
    for pod in pods:
        endpoint = _endpoint(service, pod)
        address = {"ip": endpoint["addresses"][0], "targetRef": endpoint["targetRef"]}
        if "nodeName" in endpoint:
            address["nodeName"] = endpoint["nodeName"]
        (ready if endpoint["conditions"]["ready"] else others).append(address)
    if not pods:
        return []
    subset: Json = {"ports": [{"port": number, "protocol": port["protocol"]} for port, number in _ports(service, pods)]}
    subset |= {"addresses": ready} if ready else {}
    return [subset | ({"notReadyAddresses": others} if others else {})]
