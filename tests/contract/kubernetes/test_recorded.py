"""The lab's answers to hundreds of small plays are those that a real server gave when they were recorded."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contract.kubernetes.conftest import BACKENDS
from tests.contract.kubernetes.plays import differences, play
from tests.contract.kubernetes.record import AT_ONCE, examples, recorded
from tests.contract.kubernetes.spaces import Spaces
from tests.contract.kubernetes.sweep import Play, plays

SWEEP = plays()
PLAYS = {**SWEEP, **examples()}


def _group(name: str) -> str:
    """`Pod 3 strategic` is one of `Pod strategic`, an example one of `examples`."""
    words = name.split() if name in SWEEP else ["examples"]
    return " ".join(word for word in words if not word.isdecimal())


GROUPS = sorted({_group(name) for name in PLAYS})


@pytest.fixture(scope="module", params=BACKENDS)
def spaces(request: pytest.FixtureRequest) -> Iterator[Spaces]:
    with Spaces(request.getfixturevalue(f"{request.param}_api"), f"play-{os.getpid()}") as made:
        yield made


def _differing(spaces: Spaces, group: str) -> Iterator[str]:
    """Several plays go on at a time: a new namespace takes a moment until pods can be made in it."""
    known, names = recorded(), [name for name in PLAYS if _group(name) == group]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        played = pool.map(lambda name: _played(spaces, PLAYS[name]), names)
        for name, answers in zip(names, played, strict=True):
            yield from (f"{name}: {line}" for line in differences(known[name], answers))


def _played(spaces: Spaces, calls: Play) -> object:
    with spaces.empty(calls) as space:
        return json.loads(json.dumps(play(space, calls)))


def test_every_play_is_recorded() -> None:
    assert set(recorded()) == set(PLAYS)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("group", GROUPS)
def test_the_answers_are_those_of_a_real_server(spaces: Spaces, group: str) -> None:
    assert list(_differing(spaces, group)) == []
