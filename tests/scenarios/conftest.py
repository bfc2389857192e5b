"""One lab for the tests of whole drills of a worker; those that send requests run one after the other."""

import pytest

from tests.scenarios.drill import Bench


@pytest.fixture(scope="session")
def bench(tmp_path_factory):
    made = Bench(tmp_path_factory.mktemp("drills"))
    up = made.call("lab", "up", "--lab-name", made.lab, "--kernel-log", "auto")
    assert up.code == 0, up
    try:
        yield made
    finally:
        assert made.call("lab", "down", "--lab-name", made.lab).code == 0
