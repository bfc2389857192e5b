"""Events that a kubelet writes about its node and its pods; a repeated one is counted, not written again."""

import asyncio
import uuid
from dataclasses import dataclass

from scenario_runner.lab.kube import Json, Kube, KubeError
from scenario_runner.lab.kubelet import stamps
from scenario_runner.lab.saying import say

_REMEMBERED = 500


@dataclass(frozen=True)
class News:
    """One thing that happened to one object (a reference with kind, name, uid and maybe namespace)."""

    about: tuple[tuple[str, str], ...]
    kind: str
    reason: str
    message: str


def reference(obj: Json, kind: str) -> tuple[tuple[str, str], ...]:
    meta = obj["metadata"]
    fields = {"apiVersion": "v1", "kind": kind, "name": meta["name"], "uid": meta["uid"]}
    if "namespace" in meta:
        fields["namespace"] = meta["namespace"]
    return tuple(fields.items())


class Events:
    """Written one after the other by a task of their own; what happens never waits for them."""

    def __init__(self, kube: Kube, node: str) -> None:
        self._kube = kube
        self._node = node
        self._queue: asyncio.Queue[News] = asyncio.Queue()
        self._written: dict[News, tuple[str, int]] = {}

    def add(self, news: News) -> None:
        self._queue.put_nowait(news)

    async def run(self) -> None:
        while True:
            news = await self._queue.get()
            try:
                await self._write(news)
            except KubeError as error:  # an event is worth no second try
                say(f"event {news.reason} was lost: {error}")

    async def _write(self, news: News) -> None:
        about = dict(news.about)
        folder = f"/api/v1/namespaces/{about.get('namespace', 'default')}/events"
        name, count = self._written.get(news, ("", 0))
        if name:
            await self._kube.patch(f"{folder}/{name}", {"count": count + 1, "lastTimestamp": stamps.now()})
        else:
            name = f"{about['name']}.{uuid.uuid4().hex[:16]}"
            await self._kube.create(folder, self._event(news, name, about))
        self._written[news] = (name, count + 1)
        if len(self._written) > _REMEMBERED:
            del self._written[next(iter(self._written))]

    def _event(self, news: News, name: str, about: dict[str, str]) -> Json:
        now = stamps.now()
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": about.get("namespace", "default")},
            "involvedObject": about,
            "type": news.kind,
            "reason": news.reason,
            "message": news.message,
            "source": {"component": "kubelet", "host": self._node},
            "reportingComponent": "kubelet",
            "reportingInstance": self._node,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
