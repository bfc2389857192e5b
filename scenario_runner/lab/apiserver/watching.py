"""Streams changes to one client: replay, live changes, selectors, bookmarks, and a clean end."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from scenario_runner.lab.apiserver.failures import ApiError
from scenario_runner.lab.apiserver.objects import Json
from scenario_runner.lab.apiserver.resources import Target
from scenario_runner.lab.apiserver.selectors import Predicate
from scenario_runner.lab.apiserver.store import Change, Store

_BOOKMARK_EVERY = 30.0  # seconds; the real server sends one about once a minute


@dataclass(frozen=True)
class Wish:
    """What a client wants to watch; `version` None means: everything there is, then the changes."""

    at: Target
    matches: Predicate
    version: int | None
    seconds: float
    bookmarks: bool
    initial_events: bool
    show: Callable[[Json], Json]


class Watches:
    """All open watches of a server, so that it can end them when it stops."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._queues: set[asyncio.Queue[Change | None]] = set()

    @property
    def count(self) -> int:
        return len(self._queues)

    def close(self) -> None:
        for queue in self._queues:
            queue.put_nowait(None)

    def open(self) -> asyncio.Queue[Change | None]:
        queue: asyncio.Queue[Change | None] = asyncio.Queue()
        self._queues.add(queue)
        return queue

    def forget(self, queue: asyncio.Queue[Change | None]) -> None:
        self._queues.discard(queue)


class WatchResponse(Response):
    """The response of one watch. It notices when its client leaves, also while nothing changes."""

    def __init__(self, watches: Watches, wish: Wish) -> None:
        super().__init__()
        self.watches, self.wish = watches, wish

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-cache, private")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        streaming = asyncio.ensure_future(self._stream(send))
        leaving = asyncio.ensure_future(_until_disconnected(receive))
        try:
            await asyncio.wait({streaming, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (streaming, leaving):
                task.cancel()
            await asyncio.gather(streaming, leaving, return_exceptions=True)

    async def _stream(self, send: Send) -> None:
        at, store = self.wish.at, self.watches.store
        queue = self.watches.open()
        stop = store.follow(at.key.group, at.key.plural, queue.put_nowait)
        try:
            # No await between following and replaying: a change is in exactly one of the two.
            await self._send(send, list(self._past()))
            await self._live(send, queue)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            stop()
            self.watches.forget(queue)

    def _past(self) -> Iterator[Json]:
        wish, store, key = self.wish, self.watches.store, self.wish.at.key
        if wish.version is None:
            for obj in store.select(key.group, key.plural, key.namespace):
                if wish.matches(obj):
                    yield {"type": "ADDED", "object": wish.show(obj)}
            if wish.initial_events:
                yield self._bookmark({"k8s.io/initial-events-end": "true"})
            return
        changes = store.since(key.group, key.plural, wish.version)
        if changes is None:
            oldest = store.oldest(key.group, key.plural)
            error = ApiError(410, "Expired", f"too old resource version: {wish.version} ({oldest})")
            yield {"type": "ERROR", "object": error.status()}
            return
        for change in changes:
            yield from self._events(change)

    async def _live(self, send: Send, queue: asyncio.Queue[Change | None]) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + self.wish.seconds
        while (left := end - loop.time()) > 0:
            try:
                change = await asyncio.wait_for(queue.get(), min(left, _BOOKMARK_EVERY))
            except TimeoutError:
                if self.wish.bookmarks:
                    await self._send(send, [self._bookmark()])
                continue
            if change is None:
                return
            await self._send(send, list(self._events(change)))

    def _events(self, change: Change) -> Iterator[Json]:
        """Turn a store's change into what a selector makes of it."""
        wish = self.wish
        if wish.at.namespace and change.key.namespace != wish.at.namespace:
            return
        is_in = wish.matches(change.obj)
        was_in = change.before is not None and wish.matches(change.before)
        if change.kind == "DELETED" or (was_in and not is_in):
            if was_in:
                yield {"type": "DELETED", "object": wish.show(_at_version(change))}
        elif is_in:
            yield {"type": "MODIFIED" if was_in else "ADDED", "object": wish.show(change.obj)}

    def _bookmark(self, annotations: dict[str, str] | None = None) -> Json:
        meta: dict[str, Any] = {"resourceVersion": str(self.watches.store.version)}
        if annotations:
            meta["annotations"] = annotations
        resource = self.wish.at.resource
        obj = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta}
        return {"type": "BOOKMARK", "object": obj}

    async def _send(self, send: Send, events: list[Json]) -> None:
        if events:
            body = b"".join(json.dumps(event, separators=(",", ":")).encode() + b"\n" for event in events)
            await send({"type": "http.response.body", "body": body, "more_body": True})


def _at_version(change: Change) -> Json:
    """The state that a leaving object had, under the version of the change."""
    if change.kind == "DELETED" or change.before is None:
        return change.obj
    return {**change.before, "metadata": {**change.before["metadata"], "resourceVersion": str(change.version)}}


async def _until_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
