"""Each check runs on the lab and, where the marker e2e is asked for, on a real cluster; known differences may fail."""

import itertools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.contract.kubernetes.backends import lab_server
from tests.contract.kubernetes.differences import known_differences
from tests.contract.kubernetes.objects import custom_resource
from tests.contract.kubernetes.puppet import Puppet, living
from tests.contract.kubernetes.server import Server, Space, eventually
from tests.contract.kubernetes.spaces import fresh_space
from tests.contract.kubernetes.table import Place, outcomes, write_table

_NUMBERS = itertools.count(1)
BACKENDS = ["lab", pytest.param("real", marks=pytest.mark.e2e)]


@pytest.fixture(scope="session")
def lab_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with lab_server(tmp_path_factory.mktemp("contract")) as server, _bystander(server):
        yield server


@contextmanager
def _bystander(server: Server) -> Iterator[None]:
    """A node that lives as long as the lab: where all nodes are lost none is evicted, and a real cluster has others."""
    puppet = Puppet(Space(server, "default"), "bystander")
    puppet.join()
    with living(puppet):
        yield


@pytest.fixture(scope="session")
def real_api(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The real cluster of the tests, or the server that a developer names."""
    named = os.environ.get("CONTRACT_KUBECONFIG")
    kubeconfig = Path(named) if named else request.getfixturevalue("real_cluster").kubeconfig
    server = Server("real", kubeconfig)
    yield server
    server.close()


@pytest.fixture(params=BACKENDS)
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(f"{request.param}_api")
    return found


@pytest.fixture
def space(server: Server) -> Iterator[Space]:
    """A namespace of its own, in which pods can be created."""
    with fresh_space(server, f"contract-{os.getpid()}-{next(_NUMBERS)}") as made:
        yield made


@pytest.fixture
def puppet_and_silence(space: Space) -> Iterator[tuple[Puppet, threading.Event]]:
    puppet = Puppet(space, f"{space.namespace}-node")
    puppet.join()
    with living(puppet) as silence:
        eventually(puppet.is_ready, "the node is ready")
        yield puppet, silence
    puppet.leave()


@pytest.fixture
def puppet(puppet_and_silence: tuple[Puppet, threading.Event]) -> Puppet:
    """A node that is alive, and says what the check tells it to."""
    return puppet_and_silence[0]


@pytest.fixture
def silence(puppet_and_silence: tuple[Puppet, threading.Event]) -> threading.Event:
    """Set, it ends the heartbeat of the node."""
    return puppet_and_silence[1]


@pytest.fixture
def widgets(space: Space) -> Iterator[str]:
    """The group of a custom resource that is served."""
    group = f"{space.namespace}.example.com"
    definition = space.made(custom_resource(group))["metadata"]["name"]
    path = f"/apis/{group}/v1/namespaces/{space.namespace}/widgets"
    eventually(lambda: space.server.call("GET", path).status == 200, f"{definition} is served")
    yield group
    space.delete("CustomResourceDefinition", definition)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is known to differ must fail on the lab: an entry whose check passes is stale and fails the suite."""
    known = known_differences()
    for item in items:
        place = Place.of(item.nodeid)
        if place and place.backend == "lab" and (entry := known.get(place.check)):
            item.add_marker(pytest.mark.xfail(strict=True, reason=entry.reason))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    told = outcomes(terminalreporter)
    if told:
        terminalreporter.section("checks per backend")
        for line in write_table(told):
            terminalreporter.write_line(line)
