"""The node object: registered, kept up to date, and its lease renewed."""

import asyncio
import os
import platform
from http import HTTPStatus

from scenario_runner.lab.kube import Json, Kube, KubeError
from scenario_runner.lab.kubelet import stamps
from scenario_runner.lab.kubelet.events import Events, News, reference
from scenario_runner.lab.kubelet.settings import Settings
from scenario_runner.lab.saying import say

_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure")
_VERSION = "v1.37.0-process"
_LOOK_EVERY = 3  # heartbeats between two looks at what the API server thinks of the node


class Node:
    """One node as its kubelet reports it."""

    def __init__(self, kube: Kube, settings: Settings, events: Events, log_port: int) -> None:
        self._kube = kube
        self._settings = settings
        self._events = events
        self._log_port = log_port
        self._path = f"/api/v1/nodes/{settings.node}"
        self._boot_id = settings.boot_id

    async def register(self) -> None:
        """Until it is done: the API server may not be there yet."""
        while True:
            try:
                await self._register()
                return
            except KubeError as error:
                if error.status:
                    say(f"registering: {error}")
                await asyncio.sleep(0.05)

    async def _register(self) -> None:
        found = await self._kube.find(self._path)
        if found is None:
            status = self._status([])
            obj = {"apiVersion": "v1", "kind": "Node", "metadata": self._metadata(), "status": status}
            await self._renew_lease()
            found = await self._kube.create("/api/v1/nodes", obj)
        else:
            await self._renew_lease()
            await self._report(found)
        self._announce(found)

    def _announce(self, node: Json) -> None:
        about = reference(node, "Node")
        self._events.add(News(about, "Normal", "Starting", "Starting kubelet."))
        before = ((node.get("status") or {}).get("nodeInfo") or {}).get("bootID")
        if before and before != self._boot_id:
            text = f"Node {self._settings.node} has been rebooted, boot id: {self._boot_id}"
            self._events.add(News(about, "Warning", "Rebooted", text))

    async def keep_alive(self) -> None:
        """Heartbeats for ever."""
        beats = 0
        while True:
            await asyncio.sleep(self._settings.times.node_renewal)
            beats += 1
            try:
                await self._renew_lease()
                if beats % _LOOK_EVERY == 0:
                    await self._look()
            except KubeError as error:
                say(f"heartbeat: {error}")

    async def _look(self) -> None:
        """The control plane calls a node that was silent `Unknown`; the node itself takes that back."""
        found = await self._kube.find(self._path)
        if found is None:
            await self._register()
        elif not self._is_current(found):
            await self._report(found)

    def _is_current(self, node: Json) -> bool:
        wanted = self._conditions(node["status"].get("conditions") or [])
        have = {one["type"]: one["status"] for one in node["status"].get("conditions") or []}
        is_known = (node["status"].get("nodeInfo") or {}).get("bootID") == self._boot_id
        return is_known and all(have.get(one["type"]) == one["status"] for one in wanted)

    async def _report(self, node: Json) -> None:
        status = self._status(node["status"].get("conditions") or [])
        await self._kube.patch(f"{self._path}/status", {"status": status})

    async def _renew_lease(self) -> None:
        name = self._settings.node
        duration = max(1, round(self._settings.times.node_grace))
        spec = {"holderIdentity": name, "leaseDurationSeconds": duration, "renewTime": stamps.now_micro()}
        try:
            await self._kube.patch(f"{_LEASES}/{name}", {"spec": spec})
        except KubeError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            metadata = {"name": name, "namespace": "kube-node-lease"}
            obj = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
            await self._kube.create(_LEASES, obj)

    def _metadata(self) -> Json:
        count = str(len(self._settings.gpus))
        labels = {
            "kubernetes.io/hostname": self._settings.node,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": _architecture(),
            "node.kubernetes.io/instance-type": "lab",
            "accelerator": "nvidia",
            "nvidia.com/gpu.present": "true",
            "nvidia.com/gpu.count": count,
            "scenario-runner/allow": "true",
        }
        return {"name": self._settings.node, "labels": labels}

    def _status(self, before: list[Json]) -> Json:
        settings = self._settings
        room = {"cpu": "64", "memory": "512Gi", "pods": "110", "ephemeral-storage": "1Ti"}
        room["nvidia.com/gpu"] = str(len(settings.gpus))
        addresses = [("InternalIP", settings.address), ("Hostname", settings.node)]
        return {
            "capacity": room,
            "allocatable": room,
            "conditions": self._conditions(before),
            "addresses": [{"type": kind, "address": address} for kind, address in addresses],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._log_port}},
            "nodeInfo": self._info(),
        }

    def _info(self) -> Json:
        name = self._settings.node
        return {
            "machineID": name,
            "systemUUID": name,
            "bootID": self._boot_id,
            "kernelVersion": os.uname().release,
            "osImage": "lab",
            "operatingSystem": "linux",
            "architecture": _architecture(),
            "containerRuntimeVersion": "process://1",
            "kubeletVersion": _VERSION,
            "kubeProxyVersion": "",
        }

    def _conditions(self, before: list[Json]) -> list[Json]:
        wanted = [(kind, "False", "KubeletHasNoPressure", "") for kind in _PRESSURES]
        wanted.append(("Ready", "True", "KubeletReady", "the kubelet of the lab is posting ready status"))
        now = stamps.now()
        rows = []
        for kind, status, reason, message in wanted:
            old = next((one for one in before if one["type"] == kind and one["status"] == status), None)
            since = (old or {}).get("lastTransitionTime") or now
            row = {"type": kind, "status": status, "reason": reason, "message": message}
            rows.append(row | {"lastHeartbeatTime": now, "lastTransitionTime": since})
        return rows


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
