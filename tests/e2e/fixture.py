"""The real cluster for tests: the one that a person keeps, or one that lives as long as the tests."""

import os
from collections.abc import Iterator

import pytest

from tests.e2e import ending, owner, starting
from tests.e2e.cluster import Cluster
from tests.e2e.command import DEFAULT_NAME
from tests.e2e.place import Place, Trouble


@pytest.fixture(scope="session")
def real_cluster() -> Iterator[Cluster]:
    """
    Leave it as you found it: all tests share it.

    Its name is in E2E_CLUSTER. A cluster that `cluster up` made is used, with new images of the project, and stays.
    """
    place = Place(os.environ.get("E2E_CLUSTER", DEFAULT_NAME))
    if ending.is_orphaned(place):
        ending.down(place)
    if place.state.exists():
        yield _kept(place)
        return
    try:
        yield starting.up(place.name, kept=False, say=print)
    finally:
        ending.down(place)


def _kept(place: Place) -> Cluster:
    found = owner.read(place)
    if found is None or not found.kept or not place.ready.exists():
        raise Trouble(f"Cluster {place.name} is in use by process {found.process if found else 'unknown'}.")
    cluster = Cluster.attach(place.name)
    if not all(map(cluster.is_ready, cluster.nodes)):
        down = f"python -m tests.e2e.cluster down --name {place.name}"
        raise Trouble(f"Cluster {place.name} is kept, and its nodes are not ready; `{down}` takes it away.")
    cluster.load_images()
    return cluster
