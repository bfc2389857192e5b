"""Letting time pass."""

import pytest
from pydantic import ValidationError

from tests.steps.entry import step_of
from tests.steps.running import carry_out, last


def test_a_pause_takes_as_long_as_it_says(world):
    assert last(carry_out(world, "- pause: 2m")) == ("passed", "paused for 2m")
    assert world.time.elapsed >= 120


def test_a_pause_needs_a_unit():
    with pytest.raises(ValidationError, match="a duration needs a unit: write 30s"):
        step_of("pause", 30)


def test_no_timeout_is_shorter_than_the_pause():
    assert step_of("pause", "5m").longest(10.0) == 300.0
