import pytest

from tests.fakes import FakeWorld


@pytest.fixture
def world(tmp_path):
    """Three nodes, a workload and a platform, all in virtual time; the journal lies in `tmp_path`."""
    made = FakeWorld(tmp_path)
    yield made
    made.journal.close()
