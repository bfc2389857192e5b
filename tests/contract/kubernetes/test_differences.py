"""The known differences: each names a check, and what is left out by decision is refused."""

import re
from pathlib import Path

import pytest

from tests.contract.kubernetes.differences import known_differences, left_out
from tests.contract.kubernetes.server import Answer, Server

HERE = Path(__file__).parent


def test_every_difference_is_one_of_a_check_that_there_is() -> None:
    checks = {
        name for file in HERE.glob("test_*.py") for name in re.findall(r"^def (test_\w+)", file.read_text(), re.M)
    }
    assert {check.partition("[")[0] for check in known_differences()} <= checks


@pytest.mark.parametrize("what", left_out())
def test_what_the_lab_leaves_out_is_refused_and_named_where_it_could_be_mistaken(lab_api: Server, what: str) -> None:
    known = left_out()[what]
    method, path, media = (*known.call, "application/json")[:3]
    answer: Answer = lab_api.call(method, path, {}, media)
    assert answer.status == known.answer
    if known.answer == 501:
        assert f"the embedded lab does not implement {what}" in answer.body["message"]
