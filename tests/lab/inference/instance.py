"""A running instance of the service for tests."""

import http.client
import json
import os
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from typing import Any


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Instance:
    """One process; `port` is known as soon as it listens."""

    def __init__(self, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "scenario_runner.lab.inference"],
            env={**os.environ, "POD_IP": "127.0.0.1", "PORT": "0", "TOKEN_SECONDS": "0", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline().rpartition(":")[2])

    def wait_until_loaded(self) -> "Instance":
        assert self.process.stdout is not None
        assert self.process.stdout.readline().startswith("model loaded")
        return self

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def get(self, path: str) -> Answer:
        with closing(self.connect()) as connection:
            return exchange(connection, "GET", path)

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        with closing(self.connect()) as connection:
            return exchange(connection, "POST", path, body, **headers)

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


def exchange(
    connection: http.client.HTTPConnection, method: str, path: str, body: Any = None, **headers: str
) -> Answer:
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(method, path, data, {name.replace("_", "-"): value for name, value in headers.items()})
    reply = connection.getresponse()
    answer = Answer(reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read())
    if reply.will_close:
        connection.close()
    return answer
