"""One pod of the node, from its first sight until nothing of it is left; a task of its own."""

import asyncio
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from scenario_runner.lab.kube import Json, Kube, KubeError
from scenario_runner.lab.kubelet import pod_status
from scenario_runner.lab.kubelet.addresses import AddressPool
from scenario_runner.lab.kubelet.container import Container, Surroundings, log_file
from scenario_runner.lab.kubelet.environment import ConfigError
from scenario_runner.lab.kubelet.events import Events, News, reference
from scenario_runner.lab.kubelet.gpus import GpuPool, Holder
from scenario_runner.lab.kubelet.logs import LogSource, NoLog
from scenario_runner.lab.kubelet.sandbox import PodFiles, gather, make_command
from scenario_runner.lab.kubelet.settings import Settings
from scenario_runner.lab.kubelet.stamps import now
from scenario_runner.lab.saying import say

_NOT_OURS = {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}  # deleted, or deleted and made anew
_RETRY = 0.2  # seconds before the API server is asked again


@dataclass(frozen=True)
class NodeParts:
    """What the pods of a node share."""

    settings: Settings
    kube: Kube
    events: Events
    gpus: GpuPool
    addresses: AddressPool


@dataclass
class _Going:
    """A pod that was told to end; `now` is set when its grace is over."""

    now: asyncio.Event = field(default_factory=asyncio.Event)


class Pod:
    """Identified by its uid: a new pod of the same name is another one."""

    def __init__(self, parts: NodeParts, obj: Json) -> None:
        self._parts = parts
        self._obj = obj
        meta = obj["metadata"]
        self.namespace: str = meta["namespace"]
        self.name: str = meta["name"]
        self._path = f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"
        self._folder = parts.settings.files.pods / meta["uid"]
        self._address = parts.addresses.take()
        self._since = (obj.get("status") or {}).get("startTime") or now()
        self._conditions: list[Json] = list((obj.get("status") or {}).get("conditions") or [])
        self._containers: list[Container] = []
        self._runners: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()
        self._sent: Json = {}
        self._is_gone = False
        self._is_overruled = False

    def update(self, obj: Json) -> None:
        """Somebody who thought the node lost may have said that the pod is not ready: it is to be told again."""
        self._obj = obj
        self._is_overruled = pod_status.is_ready(self._sent) and not pod_status.is_ready(obj.get("status") or {})
        self._wake.set()

    def vanish(self) -> None:
        """The object is deleted already: end at once."""
        self._is_gone = True
        self._wake.set()

    def kill(self) -> None:
        """End every process now, tell nobody."""
        for container in self._containers:
            container.kill()

    async def run(self) -> None:
        """Returns when nothing is left of the pod."""
        try:
            if not self._is_finished() and not self._is_ending():
                await self._begin()
            while not self._is_ending():
                await self._publish()
                self._release_if_over()
                await self._wait()
            await self._end()
        finally:
            self._parts.gpus.give_back(self.namespace, self.name)
            self._parts.addresses.give_back(self._address)
            shutil.rmtree(self._folder, ignore_errors=True)

    def _is_finished(self) -> bool:
        return (self._obj.get("status") or {}).get("phase") in {"Succeeded", "Failed"}

    def _is_ending(self) -> bool:
        return self._is_gone or "deletionTimestamp" in self._obj["metadata"]

    async def _wait(self, seconds: float | None = None) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except TimeoutError:
            return
        self._wake.clear()

    async def _begin(self) -> None:
        """Admit the pod and start its containers."""
        spec = self._obj["spec"]
        wanted = {Holder(self.namespace, self.name, one["name"]): _gpus(one) for one in spec["containers"]}
        taken = self._parts.gpus.take(wanted)
        if taken is None:
            why = f"Node didn't have enough resource: nvidia.com/gpu, requested: {sum(wanted.values())}"
            await self._patch({"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": why})
            return
        files = await self._files(taken)
        if files is None:
            return
        before = {one["name"]: one for one in (self._obj.get("status") or {}).get("containerStatuses") or []}
        around = Surroundings(
            lambda container, argv: make_command(files, container, self._restarts(container["name"]), argv),
            self._address,
            self._parts.settings.times,
            self._wake.set,
            self._event,
        )
        policy = spec.get("restartPolicy") or "Always"
        self._containers = [Container(one, policy, around, before.get(one["name"])) for one in spec["containers"]]
        self._runners = [asyncio.ensure_future(one.run()) for one in self._containers]

    async def _files(self, gpus: Mapping[Holder, tuple[str, ...]]) -> PodFiles | None:
        """Volumes and objects of the pod, waited for until they exist; None if the pod ends before."""
        held = {holder.container: uuids for holder, uuids in gpus.items()}
        while not self._is_ending():
            try:
                return await gather(self._parts.kube, self._parts.settings, self._obj, self._address, held)
            except (ConfigError, KubeError) as error:
                self._event("Warning", "FailedMount", str(error))
                await self._wait(_RETRY * 5)
        return None

    def _restarts(self, name: str) -> int:
        return next((one.restarts for one in self._containers if one.name == name), 0)

    def _release_if_over(self) -> None:
        if self._containers and all(one.is_over for one in self._containers):
            self._parts.gpus.give_back(self.namespace, self.name)

    async def _end(self) -> None:
        if self._containers:
            self._event("Normal", "Killing", "Stopping containers")
        await self._stop()
        self._parts.gpus.give_back(self.namespace, self.name)
        while not self._is_gone:
            try:
                await self._publish()
                meta = self._obj["metadata"]
                options = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
                await self._parts.kube.delete(self._path, options | {"preconditions": {"uid": meta["uid"]}})
                return
            except KubeError as error:
                if error.status in _NOT_OURS:
                    return
                say(f"{self.name}: {error}")
                await self._wait(_RETRY)

    async def _stop(self) -> None:
        """TERM, then KILL after the grace, which may be shortened meanwhile."""
        going = _Going()
        pairs = zip(self._containers, self._runners, strict=True)
        stops = [asyncio.ensure_future(one.stop(going.now, runner)) for one, runner in pairs]
        loop = asyncio.get_running_loop()
        begun = loop.time()
        done = asyncio.gather(*stops)
        while not done.done():
            left = begun + self._grace() - loop.time()
            if left <= 0:
                going.now.set()
            waker = asyncio.ensure_future(self._wake.wait())
            waited: set[asyncio.Future[Any]] = {done, waker}
            await asyncio.wait(waited, timeout=max(left, 0.05), return_when=asyncio.FIRST_COMPLETED)
            waker.cancel()
            self._wake.clear()
        await asyncio.gather(*self._runners, return_exceptions=True)

    def _grace(self) -> float:
        return 0.0 if self._is_gone else float(self._obj["metadata"].get("deletionGracePeriodSeconds") or 0)

    async def _publish(self) -> None:
        """Tell the API server what has changed, if anything has; tries until it is told or the pod is gone."""
        if not self._containers:
            return
        status = self._status()
        while (status != self._sent or self._is_overruled) and not self._is_gone:
            self._is_overruled = False
            try:
                await self._patch(status)
            except KubeError as error:
                if error.status in _NOT_OURS:
                    self._is_gone = True
                    return
                say(f"{self.name}: {error}")
                await asyncio.sleep(_RETRY)
                continue
            self._sent = status
            status = self._status()

    def _status(self) -> Json:
        rows = [one.status() for one in self._containers]
        phase = pod_status.phase_of(rows)
        self._conditions = pod_status.conditions_of(rows, phase, self._conditions)
        return {
            "phase": phase,
            "hostIP": self._parts.settings.address,
            "hostIPs": [{"ip": self._parts.settings.address}],
            "podIP": self._address,
            "podIPs": [{"ip": self._address}],
            "startTime": self._since,
            "containerStatuses": rows,
            "conditions": self._conditions,
        }

    async def _patch(self, status: Json) -> None:
        uid = self._obj["metadata"]["uid"]
        await self._parts.kube.patch(f"{self._path}/status", {"metadata": {"uid": uid}, "status": status})

    def _event(self, kind: str, reason: str, message: str) -> None:
        self._parts.events.add(News(reference(self._obj, "Pod"), kind, reason, message))

    def log(self, container: str, *, previous: bool) -> LogSource:
        """Where the output of a container is. Raises NoLog."""
        found = next((one for one in self._containers if one.name == container), None)
        if found is None:
            raise NoLog(400, f'container "{container}" in pod "{self.name}" is waiting to start: ContainerCreating')
        run = found.restarts - (1 if previous else 0)
        file: Path = log_file(self._folder, container, run)
        if previous and (run < 0 or not file.exists()):
            raise NoLog(400, f'previous terminated container "{container}" in pod "{self.name}" not found')
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        return LogSource(file, lambda: found.restarts == run and not found.is_over)


def _gpus(container: Json) -> int:
    resources = container.get("resources") or {}
    asked = (resources.get("limits") or {}) | (resources.get("requests") or {})
    return int(asked.get("nvidia.com/gpu") or 0)
