"""A group is data: the planner puts its steps in its place."""

import pytest
from pydantic import ValidationError

from tests.steps.entry import step_of


def test_a_group_holds_its_steps_as_they_were_written():
    assert step_of("group", {"steps": [{"pause": "1s"}]}).steps == ({"pause": "1s"},)


def test_a_group_without_steps_is_a_mistake():
    with pytest.raises(ValidationError, match="at least 1 item"):
        step_of("group", {"steps": []})
