import signal

import pytest

from tests.e2e.fixture import real_cluster  # noqa: F401 - for every folder of tests, so that there is only one
from tests.fakes import FakeWorld


def pytest_configure(config):
    """Started with nohup or `&`, the suite inherits ignored signals, and so would processes that tests interrupt."""
    del config
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def world(tmp_path):
    """Three nodes, a workload and a platform, all in virtual time; the journal lies in `tmp_path`."""
    made = FakeWorld(tmp_path)
    yield made
    made.journal.close()
