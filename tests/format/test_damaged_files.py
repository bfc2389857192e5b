"""Files that were damaged at random: read or refused in our own words, never a traceback; and the schema agrees."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from scenario_runner.errors import InvalidScenario
from scenario_runner.format.lint import lint
from scenario_runner.format.yaml_core import parse_yaml, plain
from tests.format.files import HEAD, scenario
from tests.format.test_loader import GOOD
from tests.format.test_schema import SMALL

PIECES = st.sampled_from(
    ["{", "}", "[", "]", ":", "- ", "\n", "\t", "'", '"', "{{ x }}", "null", "true", "79", "5s", ">= 0.7", "&a", "*a",
     "{}", "[]", "group:", "steps:", "id: x", "timeout: {}", "when: 3", "retry: x", "background: true"]
)  # fmt: skip
DAMAGE = st.tuples(st.integers(0, len(GOOD)), st.integers(0, 8), PIECES | st.just(""))
FOREIGN = ("Input should", "Value error", "validation error", "pydantic")


def damaged(damages: list[tuple[int, int, str]]) -> str:
    text = GOOD
    for at, length, piece in damages:
        text = text[:at] + piece + text[at + length :]
    return text


@settings(deadline=None, max_examples=150)
@given(st.lists(DAMAGE, min_size=1, max_size=3).map(damaged))
def test_a_damaged_file_is_read_or_refused_in_our_own_words(text):
    with tempfile.TemporaryDirectory() as folder:
        try:
            lint(scenario(Path(folder), text))
        except InvalidScenario as error:
            told = [problem.text for problem in error.problems]
        else:
            told = None
    if told is None:
        assert SMALL.is_valid(plain(parse_yaml((HEAD + text).encode(), "f.yaml")))
    else:
        assert told
        assert not [one for one in told if any(word in one for word in FOREIGN)]
