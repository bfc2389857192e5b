"""Random calls to the lab and to a real server: `make fuzz`. A difference is printed as an example to keep."""

import itertools
import os

import pytest
import yaml
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.contract.kubernetes.calls import calls
from tests.contract.kubernetes.plays import differences, play
from tests.contract.kubernetes.server import Json, Server
from tests.contract.kubernetes.spaces import fresh_space

_NUMBERS = itertools.count(1)
_HOW_MANY = int(os.environ.get("FUZZ_EXAMPLES", "200"))


@pytest.mark.timeout(0)
@pytest.mark.e2e
@settings(max_examples=_HOW_MANY, deadline=None, suppress_health_check=list(HealthCheck), print_blob=False)
@given(st.lists(calls(), min_size=1, max_size=8))
def test_the_lab_answers_as_a_real_server_does(lab_api: Server, real_api: Server, sequence: list[Json]) -> None:
    found = []
    for server in (real_api, lab_api):
        with fresh_space(server, f"fuzz-{os.getpid()}-{next(_NUMBERS)}") as space:
            found.append(play(space, sequence))
    lines = list(differences(*found))
    if lines:
        note("real | lab:\n" + "\n".join(lines))
        note("as an example:\n" + yaml.safe_dump({"why": "...", "calls": sequence}, sort_keys=False))
    assert not lines
