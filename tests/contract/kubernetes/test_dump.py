"""The lab's schema is that of the real server, whose version it names."""

import gzip
import json

import pytest

from tests.contract.kubernetes.dump import COMMITTED, gather
from tests.contract.kubernetes.server import Server


@pytest.mark.e2e
def test_the_schema_of_the_lab_is_up_to_date(real_api: Server) -> None:
    committed = json.loads(gzip.decompress(COMMITTED.read_bytes()))
    is_same = gather(real_api) == committed  # a difference is too long to be shown
    assert is_same, "python -m tests.contract.kubernetes.dump KUBECONFIG writes it anew"
