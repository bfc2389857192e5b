"""Serves the logs of the node's containers over HTTP, in the way in which the API server asks a kubelet for them."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

_FOLLOW_EVERY = 0.1  # seconds between two looks at a log that is followed
_PART = 65536


@dataclass(frozen=True)
class LogSource:
    """The output of one run of a container; `is_growing` tells whether more may come."""

    file: Path
    is_growing: Callable[[], bool]


class NoLog(Exception):
    """There is no such log: HTTP status and a sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


Find = Callable[[str, str, str, bool], LogSource]  # namespace, pod, container, previous; raises NoLog


class LogServer:
    """`GET /containerLogs/NAMESPACE/POD/CONTAINER?previous&follow&tailLines&limitBytes` and `GET /healthz`."""

    def __init__(self, find: Find) -> None:
        self._find = find

    async def start(self, address: str) -> int:
        """Listen; returns the port."""
        server = await asyncio.start_server(self._serve, address, 0)
        return int(server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await self._answer(head.split(b" ")[1].decode(), writer)
        except (OSError, EOFError, IndexError, asyncio.LimitOverrunError):
            pass  # whoever asked has left, or did not speak HTTP
        finally:
            writer.close()

    async def _answer(self, target: str, writer: asyncio.StreamWriter) -> None:
        url = urlsplit(target)
        query = dict(parse_qsl(url.query))
        parts = url.path.strip("/").split("/")
        if parts == ["healthz"]:
            _head(writer, 200, "ok")
        else:
            try:
                source = self._source(parts, is_previous=query.get("previous") in {"true", "1"})
            except NoLog as error:
                _head(writer, error.status, str(error))
            else:
                await _send(source, query, writer)
        await writer.drain()

    def _source(self, path: list[str], *, is_previous: bool) -> LogSource:
        match path:
            case ["containerLogs", namespace, pod, container]:
                return self._find(namespace, pod, container, is_previous)
        raise NoLog(404, "not found")


def _head(writer: asyncio.StreamWriter, status: int, body: str = "") -> None:
    text = f"HTTP/1.1 {status} x\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    if body:
        text += f"Content-Length: {len(body.encode())}\r\n"
    writer.write(f"{text}\r\n{body}".encode())


async def _send(source: LogSource, query: Mapping[str, str], writer: asyncio.StreamWriter) -> None:
    _head(writer, 200)
    left = int(query.get("limitBytes") or -1)
    with source.file.open("rb") as log:
        data = _tail(log.read(), query.get("tailLines"))
        while True:
            may_grow = source.is_growing()
            data = data[:left] if left >= 0 else data
            left = left - len(data) if left >= 0 else left
            writer.write(data)
            await writer.drain()
            data = log.read(_PART)
            if data and left != 0:
                continue
            if query.get("follow") not in {"true", "1"} or left == 0 or not may_grow:
                return
            await asyncio.sleep(_FOLLOW_EVERY)


def _tail(data: bytes, lines: str | None) -> bytes:
    if lines is None or int(lines) < 0:
        return data
    rows = data.splitlines(keepends=True)
    return b"".join(rows[max(0, len(rows) - int(lines)) :])
