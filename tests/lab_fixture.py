"""A real lab for tests, started once for all of them and always ended; and a plain client of its API server."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from scenario_runner.lab.lab import Lab, LabInfo, LabOptions, up

Json = dict[str, Any]

_PATIENCE = 40.0  # seconds; only a broken lab needs them


class LabClient:
    """Raw JSON over HTTP, with the lab's token."""

    def __init__(self, info: LabInfo) -> None:
        self.info = info
        self._headers = {"Authorization": f"Bearer {Path(info.token_file).read_text().strip()}"}

    def call(self, method: str, path: str, body: Json | None = None) -> Json:
        """Raises urllib.error.HTTPError."""
        return json.loads(self.text(method, path, body))

    def text(self, method: str, path: str, body: Json | None = None) -> str:
        kind = "application/strategic-merge-patch+json" if method == "PATCH" else "application/json"
        data = None if body is None else json.dumps(body).encode()
        url = path if path.startswith("http") else self.info.api_url + path
        request = urllib.request.Request(url, data, {**self._headers, "Content-Type": kind}, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read().decode()

    def get(self, path: str) -> Json | None:
        """None when it does not exist."""
        try:
            return self.call("GET", path)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404:
                    return None
            raise


T = TypeVar("T")


def eventually(look: Callable[[], T | None], what: str) -> T:
    """What `look` returns as soon as it is neither None nor False."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        found = look()
        if found is not None and found is not False:
            return found
        time.sleep(0.03)
    raise AssertionError(f"never happened: {what}")


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The lab as a user gets it, with its sample service; shared, so leave it as it was."""
    with up(LabOptions(name="shared"), owned=True, folder=tmp_path_factory.mktemp("labs")) as running:
        yield running


@pytest.fixture(scope="session")
def client(lab: Lab) -> LabClient:
    return LabClient(lab.info)
