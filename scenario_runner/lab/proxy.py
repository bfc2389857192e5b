"""Stands in for kube-proxy: listens on the addresses of Services, and connects clients to ready endpoints only."""

import argparse
import asyncio
import contextlib
import signal
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scenario_runner.lab.kube import Change, Json, Kube, read_kubeconfig
from scenario_runner.lab.saying import say, say_ready

_SERVICES = "/api/v1/services"
_SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
_SERVICE_LABEL = "kubernetes.io/service-name"
_PART = 65536
_CONNECT = 2.0  # seconds that an endpoint has to accept a connection
_RETRY = 1.0  # seconds before an address that could not be listened on is tried again


@dataclass(frozen=True)
class Address:
    """Where something listens."""

    host: str
    port: int


def routes(services: Sequence[Json], slices: Sequence[Json]) -> dict[Address, tuple[Address, ...]]:
    """Each address of a Service with its ready endpoints, in a fixed order."""
    found: dict[Address, tuple[Address, ...]] = {}
    for service in services:
        host = service["spec"].get("clusterIP")
        if host in {None, "", "None"}:
            continue
        meta = service["metadata"]
        mine = [one for one in slices if _belongs(one, meta["namespace"], meta["name"])]
        for port in service["spec"].get("ports") or []:
            ends = {end for one in mine for end in _ends(one, port.get("name") or "")}
            found[Address(host, int(port["port"]))] = tuple(sorted(ends, key=lambda end: (end.host, end.port)))
    return found


def _belongs(one: Json, namespace: str, service: str) -> bool:
    meta = one["metadata"]
    return meta["namespace"] == namespace and (meta.get("labels") or {}).get(_SERVICE_LABEL) == service


def _ends(one: Json, port_name: str) -> Iterator[Address]:
    for port in one.get("ports") or []:
        if (port.get("name") or "") != port_name or not port.get("port"):
            continue
        for endpoint in one.get("endpoints") or []:
            conditions = endpoint.get("conditions") or {}
            if conditions.get("ready", True) and not conditions.get("terminating"):
                yield from (Address(host, int(port["port"])) for host in endpoint["addresses"])


class Listener:
    """One address of a Service while it has ready endpoints; without any, nothing listens and clients are refused."""

    def __init__(self, ends: tuple[Address, ...]) -> None:
        self.ends = ends
        self._turn = 0
        self._server: asyncio.Server | None = None

    async def listen(self, at: Address) -> None:
        self._server = await asyncio.start_server(self._accept, at.host, at.port)

    def close(self) -> None:
        """Take no new connections; those that exist go on."""
        if self._server is not None:
            self._server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        end = self.ends[self._turn % len(self.ends)]
        self._turn += 1
        try:
            there_in, there_out = await asyncio.wait_for(asyncio.open_connection(end.host, end.port), _CONNECT)
        except OSError:  # a TimeoutError is one
            _reset(writer)
            return
        try:
            await asyncio.gather(_pump(reader, there_out), _pump(there_in, writer))
        finally:
            there_out.close()
            writer.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Copy one direction; its end is passed on, and a reset of one side becomes a reset of the other."""
    try:
        while data := await source.read(_PART):
            sink.write(data)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
    except OSError:
        _reset(sink)


def _reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Proxy:
    """All Services of the lab."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._seen: dict[str, dict[str, Json]] = {_SERVICES: {}, _SLICES: {}}
        self._synced: set[str] = set()
        self._changed = asyncio.Event()
        self._listeners: dict[Address, Listener] = {}

    async def run(self) -> None:
        following = [asyncio.ensure_future(self._follow(path)) for path in self._seen]
        is_told = False
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _RETRY)
            self._changed.clear()
            for one in following:
                if one.done():
                    one.result()
            if self._synced == set(self._seen):
                await self._apply(routes([*self._seen[_SERVICES].values()], [*self._seen[_SLICES].values()]))
                if not is_told:
                    say_ready()
                    is_told = True

    async def _follow(self, path: str) -> None:
        async for change in self._kube.follow(path):
            self._take(path, change)
            self._changed.set()

    def _take(self, path: str, change: Change) -> None:
        seen = self._seen[path]
        if change.kind == "SYNC":
            seen.clear()
            seen |= {one["metadata"]["uid"]: one for one in change.obj["items"]}
            self._synced.add(path)
        elif change.kind == "DELETED":
            seen.pop(change.obj["metadata"]["uid"], None)
        else:
            seen[change.obj["metadata"]["uid"]] = change.obj

    async def _apply(self, wanted: Mapping[Address, tuple[Address, ...]]) -> None:
        for at in [at for at in self._listeners if not wanted.get(at)]:
            self._listeners.pop(at).close()
        for at, ends in wanted.items():
            if at in self._listeners:
                self._listeners[at].ends = ends
            elif ends:
                await self._open(at, ends)

    async def _open(self, at: Address, ends: tuple[Address, ...]) -> None:
        listener = Listener(ends)
        try:
            await listener.listen(at)
        except OSError as error:
            say(f"{at.host}:{at.port} can not be listened on: {error}")
        else:
            self._listeners[at] = listener


async def _run(kubeconfig: Path) -> None:
    loop = asyncio.get_running_loop()
    running = asyncio.ensure_future(Proxy(Kube(read_kubeconfig(kubeconfig))).run())
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await running


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM; prints `ready` when all Services that exist are served."""
    options = argparse.ArgumentParser(prog="proxy", description="Serves the addresses of Services.")
    options.add_argument("--kubeconfig", required=True, type=Path, metavar="FILE")
    chosen = options.parse_args(argv)
    asyncio.run(_run(chosen.kubeconfig))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
