"""The process of one kubelet: follows the pods of its node, and gives each a worker."""

import asyncio
import contextlib
import signal
from collections.abc import Sequence

from scenario_runner.lab.kube import Change, Json, Kube, read_kubeconfig
from scenario_runner.lab.kubelet.addresses import AddressPool
from scenario_runner.lab.kubelet.events import Events
from scenario_runner.lab.kubelet.gpus import GpuPool
from scenario_runner.lab.kubelet.logs import LogServer, LogSource, NoLog
from scenario_runner.lab.kubelet.node import Node
from scenario_runner.lab.kubelet.pod import NodeParts, Pod
from scenario_runner.lab.kubelet.process import reap_remains
from scenario_runner.lab.kubelet.settings import Settings, parser, settings_of
from scenario_runner.lab.saying import say, say_ready


class Kubelet:
    """All pods of one node."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kube = Kube(read_kubeconfig(settings.kubeconfig))
        self._events = Events(self._kube, settings.node)
        self._parts = NodeParts(
            settings,
            self._kube,
            self._events,
            GpuPool(tuple(one.uuid for one in settings.gpus), settings.files.allocations),
            AddressPool(settings.pod_prefix),
        )
        self._pods: dict[str, Pod] = {}
        self._workers: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Until SIGTERM; ends every pod's processes before it returns."""
        told = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, told.set)
        for name in reap_remains(self._settings.files.pods):
            say(f"{name} was left by an earlier kubelet and is ended")
        port = await LogServer(self._find_log).start(self._settings.address)
        node = Node(self._kube, self._settings, self._events, port)
        duties = [asyncio.ensure_future(self._events.run())]
        await node.register()
        duties += [asyncio.ensure_future(node.keep_alive()), asyncio.ensure_future(self._follow())]
        say_ready()
        stop = asyncio.ensure_future(told.wait())
        done, _ = await asyncio.wait({*duties, stop}, return_when=asyncio.FIRST_COMPLETED)
        for pod in self._pods.values():
            pod.kill()
        for duty in done - {stop}:
            duty.result()  # a duty never ends by itself: raise what ended it

    async def _follow(self) -> None:
        selector = {"fieldSelector": f"spec.nodeName={self._settings.node}"}
        async for change in self._kube.follow("/api/v1/pods", selector):
            self._take(change)

    def _take(self, change: Change) -> None:
        if change.kind == "SYNC":
            items = change.obj["items"]
            present = {one["metadata"]["uid"] for one in items}
            for uid in set(self._pods) - present:
                self._pods[uid].vanish()
            for one in sorted(items, key=lambda one: str(one["metadata"]["name"])):
                self._apply(one)
        elif change.kind == "DELETED":
            if pod := self._pods.get(change.obj["metadata"]["uid"]):
                pod.vanish()
        else:
            self._apply(change.obj)

    def _apply(self, obj: Json) -> None:
        uid = obj["metadata"]["uid"]
        if pod := self._pods.get(uid):
            pod.update(obj)
            return
        self._pods[uid] = Pod(self._parts, obj)
        self._workers[uid] = asyncio.ensure_future(self._pods[uid].run())
        self._workers[uid].add_done_callback(lambda task: self._forget(uid, task))

    def _forget(self, uid: str, task: asyncio.Task[None]) -> None:
        del self._pods[uid], self._workers[uid]
        if not task.cancelled() and (error := task.exception()):
            say(f"the worker of pod {uid} broke: {error!r}")

    def _find_log(self, namespace: str, name: str, container: str, previous: bool) -> LogSource:  # noqa: FBT001 - as `logs.Find`
        for pod in reversed(self._pods.values()):
            if (pod.namespace, pod.name) == (namespace, name):
                return pod.log(container, previous=previous)
        raise NoLog(404, f'pod "{name}" is not on node {self._settings.node}')


def main(argv: Sequence[str] | None = None) -> int:
    """Run one kubelet until SIGTERM."""
    settings = settings_of(parser().parse_args(argv))
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(Kubelet(settings).run())
    return 0
