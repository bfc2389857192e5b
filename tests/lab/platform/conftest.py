"""A quiet lab of three nodes."""

from pathlib import Path

import pytest

from tests.lab.platform.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.pass_time(0.5)
    return world
