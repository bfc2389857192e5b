"""A small asyncio client of the Kubernetes API for the lab's own processes: raw JSON in and out."""

import json
from asyncio import sleep
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml

from scenario_runner.adapters.http_library import httpx
from scenario_runner.lab.saying import say

Json = dict[str, Any]

_STRATEGIC = "application/strategic-merge-patch+json"
_WATCH_SECONDS = 240
_PAUSE = 0.1  # seconds before a list is tried again


@dataclass(frozen=True)
class Access:
    """Where the API server is and how to be let in."""

    server: str
    token: str


def read_kubeconfig(path: Path) -> Access:
    """The first cluster and user of a kubeconfig with a token."""
    document = yaml.safe_load(path.read_text())
    return Access(document["clusters"][0]["cluster"]["server"], document["users"][0]["user"]["token"])


class KubeError(Exception):
    """The API server refused, or (status 0) could not be reached."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Change:
    """`kind` is SYNC (`obj` is a whole list), ADDED, MODIFIED or DELETED."""

    kind: str
    obj: Json


class Kube:
    """All methods raise KubeError."""

    def __init__(self, access: Access) -> None:
        self._http = httpx.AsyncClient(
            base_url=access.server,
            headers={"Authorization": f"Bearer {access.token}", "User-Agent": "lab"},
            timeout=10,
            verify=False,  # plain HTTP on the loopback device; loading certificates would cost memory
            trust_env=False,
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def get(self, path: str, params: dict[str, str] | None = None) -> Json:
        return await self._send("GET", path, params=params)

    async def find(self, path: str) -> Json | None:
        """None when it does not exist."""
        try:
            return await self.get(path)
        except KubeError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    async def create(self, path: str, obj: Json) -> Json:
        return await self._send("POST", path, obj)

    async def patch(self, path: str, patch: Json) -> Json:
        """A strategic merge patch."""
        return await self._send("PATCH", path, patch, content_type=_STRATEGIC)

    async def delete(self, path: str, options: Json) -> None:
        await self._send("DELETE", path, options)

    async def follow(self, path: str, params: dict[str, str] | None = None) -> AsyncGenerator[Change, None]:
        """The whole list first and after each interruption, changes in between; never ends by itself."""
        while True:
            try:
                found = await self.get(path, params)
                yield Change("SYNC", found)
                version = found["metadata"]["resourceVersion"]
                async with aclosing(self._watch(path, {**(params or {}), "resourceVersion": version})) as changes:
                    async for change in changes:
                        yield change
            except KubeError as error:
                if error.status:
                    say(f"watch of {path}: {error}")
            await sleep(_PAUSE)

    async def _watch(self, path: str, params: dict[str, str]) -> AsyncGenerator[Change, None]:
        query = {**params, "watch": "true", "timeoutSeconds": str(_WATCH_SECONDS)}
        timeout = httpx.Timeout(10, read=_WATCH_SECONDS + 30)
        try:
            async with self._http.stream("GET", path, params=query, timeout=timeout) as answer:
                if answer.status_code != HTTPStatus.OK:
                    raise KubeError(answer.status_code, (await answer.aread()).decode(errors="replace"))
                async for line in answer.aiter_lines():
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise KubeError(int(event["object"].get("code", 500)), str(event["object"].get("message")))
                    if event["type"] != "BOOKMARK":
                        yield Change(event["type"], event["object"])
        except (httpx.HTTPError, ValueError) as error:
            raise KubeError(0, f"{path}: {error!r}") from error

    async def _send(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        params: dict[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Json:
        content = None if body is None else json.dumps(body).encode()
        try:
            answer = await self._http.request(
                method, path, params=params, content=content, headers={"Content-Type": content_type}
            )
        except httpx.HTTPError as error:
            raise KubeError(0, f"{method} {path}: {error!r}") from error
        document: Json = answer.json() if answer.content else {}
        if answer.is_error:
            raise KubeError(answer.status_code, f"{method} {path}: {document.get('message', answer.text)}")
        return document
