"""What the tests of the real cluster share: the cluster, and a namespace for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.namespace import Namespace

_SECONDS = 300  # for one test, or for the start of the cluster before the first one


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(_SECONDS))


@pytest.fixture
def cluster(real_cluster: Cluster) -> Cluster:
    return real_cluster


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[Namespace]:
    """A fresh one."""
    made = Namespace.make(cluster)
    yield made
    made.remove()
