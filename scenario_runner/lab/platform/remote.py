"""A node that is seen through its outpost: its kernel log, its boot id, and the order to reboot it."""

import http.client
import json
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from scenario_runner.lab.platform.kernel_log import Record

_SECONDS = 2.0  # for one answer; a node that is down answers nothing


@dataclass(frozen=True)
class Remote:
    """`url` is that of the outpost. Every method raises OSError while the outpost does not answer."""

    url: str
    token: str

    def get(self, path: str) -> object:
        return self._ask("GET", path, None)

    def post(self, path: str, body: object) -> object:
        return self._ask("POST", path, json.dumps(body).encode())

    def read_text(self) -> str:
        """The boot id, as its file would read."""
        return str(self.get("/boot-id"))

    def _ask(self, method: str, path: str, body: bytes | None) -> object:
        headers = {"authorization": f"Bearer {self.token}"}
        with closing(http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=_SECONDS)) as connection:
            try:
                connection.request(method, path, body, headers)
                reply = connection.getresponse()
                answer: object = json.loads(reply.read())
            except (http.client.HTTPException, ValueError) as error:
                raise OSError(f"{self.url}{path}: {error or type(error).__name__}") from error
        if reply.status != HTTPStatus.OK:
            raise OSError(f"{self.url}{path}: {reply.status} {answer}")
        return answer


class RemoteLog:
    """The kernel log behind an outpost."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._cursor = -1

    def read(self) -> list[Record]:
        found = self._records(self._cursor)
        if found:
            self._cursor = found[-1].sequence
        return found

    def write(self, level: int, text: str) -> None:
        self._remote.post("/line", {"level": level, "text": text})

    def rebooted(self) -> bool:
        """Several nodes may share the ring of one machine, which then outlives them: its numbers tell."""
        everything = self._records(-1)
        anew = not everything or everything[-1].sequence < self._cursor
        if anew:
            self._cursor = -1
        return anew

    def _records(self, after: int) -> list[Record]:
        rows = self._remote.get(f"/records?after={after}")
        assert isinstance(rows, list)
        return [Record(*row) for row in rows]


class RemoteReboot:
    """An order that was answered at once."""

    def __init__(self, remote: Remote) -> None:
        try:
            self._answer = str(remote.post("/reboot", {}))
        except OSError as error:
            self._answer = f"the node can not be asked: {error}"

    def answer(self) -> str | None:
        return self._answer
