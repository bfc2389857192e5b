"""Fixtures for the agent's tests: a server that starts agents, a node, and everything gone afterwards."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.agent.cluster import Cluster
from tests.agent.world import ForkServer, NodeProgram, node_program


@pytest.fixture(scope="session")
def server() -> Iterator[ForkServer]:
    started = ForkServer()
    yield started
    started.close()


@pytest.fixture
def node_at(server: ForkServer, tmp_path: Path) -> Iterator[Callable[..., NodeProgram]]:
    """Makes nodes by name and PCI domain; they are not started."""
    made: list[NodeProgram] = []

    def make(name: str = "gpu-1", domain: str = "4001") -> NodeProgram:
        made.append(node_program(server, tmp_path / name, name, domain))
        return made[-1]

    yield make
    for program in made:
        program.leave_nothing()


@pytest.fixture
def node(node_at: Callable[..., NodeProgram]) -> NodeProgram:
    """One node, not started yet."""
    return node_at()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A Kubernetes API server behind TLS."""
    started = Cluster(tmp_path / "cluster")
    yield started
    started.close()
