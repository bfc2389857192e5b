"""Fetches a container's log from the kubelet of the pod's node, and streams it on."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from urllib.parse import urlencode

import httptools
from starlette.responses import Response, StreamingResponse

from scenario_runner.lab.apiserver.api import Api
from scenario_runner.lab.apiserver.failures import ApiError, bad_request
from scenario_runner.lab.apiserver.objects import Json, dig
from scenario_runner.lab.apiserver.resources import Target

_PASSED_ON = ("follow", "previous", "sinceSeconds", "sinceTime", "timestamps", "tailLines", "limitBytes")


async def log_response(api: Api, at: Target, query: dict[str, str]) -> Response:
    """Answer `GET pods/NAME/log`.

    Raises ApiError: 400 (no such container, no node yet, the kubelet's own refusal), 404, 500 (no kubelet).
    """
    pod = api.get(Target(at.resource, at.namespace, at.name))
    container = _container(pod, query.get("container"))
    host, port = _kubelet(api, pod)
    passed = {name: query[name] for name in _PASSED_ON if name in query}
    path = f"/containerLogs/{at.namespace}/{at.name}/{container}?{urlencode(passed)}"
    try:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
    except OSError as error:
        raise ApiError(500, "InternalError", f'Get "http://{host}:{port}{path}": {error}') from error
    answer = _Answer(reader, writer)
    await answer.read_head()
    if answer.status != HTTPStatus.OK:
        text = "".join([part.decode(errors="replace") async for part in answer.body()])
        raise ApiError(answer.status, "NotFound" if answer.status == HTTPStatus.NOT_FOUND else "BadRequest", text)
    return StreamingResponse(answer.body(), media_type="text/plain")


def _container(pod: Json, wanted: str | None) -> str:
    names = [str(one["name"]) for one in pod["spec"]["containers"]]
    name = pod["metadata"]["name"]
    if wanted is None:
        if len(names) > 1:
            choices = " ".join(names)
            raise bad_request(f"a container name must be specified for pod {name}, choose one of: [{choices}]")
        return names[0]
    if wanted not in names:
        raise bad_request(f"container {wanted} is not valid for pod {name}")
    return wanted


def _kubelet(api: Api, pod: Json) -> tuple[str, int]:
    if not (node_name := pod["spec"].get("nodeName")):
        raise bad_request(f'pod "{pod["metadata"]["name"]}" does not have a host assigned')
    node = api.get(api.at("nodes", name=node_name))
    addresses = {one["type"]: one["address"] for one in dig(node, "status.addresses") or []}
    host = addresses.get("InternalIP") or addresses.get("Hostname") or "127.0.0.1"
    return host, int(dig(node, "status.daemonEndpoints.kubeletEndpoint.Port") or 10250)


class _Answer:
    """One HTTP answer read as it comes; plain and chunked bodies alike."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._parser = httptools.HttpResponseParser(self)
        self._parts: list[bytes] = []
        self._has_head = self._is_complete = False

    # Called by the parser.
    def on_headers_complete(self) -> None:
        self._has_head = True

    def on_body(self, part: bytes) -> None:
        self._parts.append(part)

    def on_message_complete(self) -> None:
        self._is_complete = True

    @property
    def status(self) -> int:
        return int(self._parser.get_status_code())

    async def _feed(self) -> bool:
        data = await self._reader.read(65536)
        if data:
            self._parser.feed_data(data)
        return bool(data)

    async def read_head(self) -> None:
        while not self._has_head:
            if not await self._feed():
                raise ApiError(500, "InternalError", "the kubelet closed the connection before it answered")

    async def body(self) -> AsyncIterator[bytes]:
        try:
            while True:
                parts, self._parts = self._parts, []
                for part in parts:
                    yield part
                if self._is_complete or not await self._feed():
                    break
            for part in self._parts:
                yield part
        finally:
            self._writer.close()
