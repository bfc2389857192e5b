"""A real server process per test session, a namespace of its own per test, and a world in virtual time."""

import itertools
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.lab.apiserver.calls import Calls
from tests.lab.apiserver.world import World

_NUMBERS = itertools.count(1)


@pytest.fixture
def world() -> World:
    """Two nodes with eight GPUs each."""
    world = World()
    world.add_node("gpu-1")
    world.add_node("gpu-2")
    return world


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    command = [sys.executable, "-m", "scenario_runner.lab.apiserver", "--listen", "127.0.0.1:0", "--history", "500"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process.stdout.readline().removeprefix("ready ").strip()
    process.terminate()
    assert process.wait(10) == 0
    process.stdout.close()


@pytest.fixture
def calls(server: str) -> Iterator[Calls]:
    """Calls into a namespace that no other test uses."""
    namespace = f"t{next(_NUMBERS)}"
    with Calls(server, namespace) as calls:
        assert calls.post("/api/v1/namespaces", {"metadata": {"name": namespace}}).status_code == 201
        yield calls
