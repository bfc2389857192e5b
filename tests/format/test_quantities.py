"""Durations, rates and comparisons: what is read, what is refused, and in which words."""

import re
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from scenario_runner.core.quantities import (
    Count,
    Limit,
    RatePerSecond,
    Ratio,
    Seconds,
    format_seconds,
    parse_rate,
    parse_seconds,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("30s", 30.0), ("2m", 120.0), ("1h30m", 5400.0), ("1.5s", 1.5), ("1m 30s", 90.0), ("0s", 0.0)],
)
def test_a_duration_is_read_as_seconds(text, seconds):
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (30, "a duration needs a unit: write 30s"),
        (0.5, "a duration needs a unit: write 0.5s"),
        ("30", "a duration needs a unit: write 30s"),
        ("1:30", "'1:30' is no duration: write 250ms, 30s, 2m or 1h30m"),
        ("30 seconds", "'30 seconds' is no duration: write 250ms, 30s, 2m or 1h30m"),
        ("30m1h", "'30m1h' is no duration: write 250ms, 30s, 2m or 1h30m"),
        ("-5s", "'-5s' is no duration: write 250ms, 30s, 2m or 1h30m"),
        ("", "'' is no duration: write 250ms, 30s, 2m or 1h30m"),
        (True, "true is no duration: write 250ms, 30s, 2m or 1h30m"),
        (None, "null is no duration: write 250ms, 30s, 2m or 1h30m"),
        (["30s"], "a list is no duration: write 250ms, 30s, 2m or 1h30m"),
        ("999h", "'999h' is too long: a duration is at most 720h"),
    ],
)
def test_what_is_no_duration_is_told_in_a_sentence(value, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        parse_seconds(value)


@pytest.mark.parametrize(("text", "rate"), [("5/s", 5.0), ("300/min", 5.0), ("7200/h", 2.0), ("0.5 / s", 0.5)])
def test_a_rate_is_read_as_requests_per_second(text, rate):
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (5, "a rate needs a unit: write 5/s"),
        ("5 per second", "'5 per second' is no rate: write 5/s or 300/min"),
        ("0/s", "'0/s' sends nothing: write 5/s or 300/min"),
        ("9999999/s", "'9999999/s' is too fast: a rate is at most 1000000/s"),
    ],
)
def test_what_is_no_rate_is_told_in_a_sentence(value, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        parse_rate(value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (0.00025, "0.25ms"),
        (0.25, "250ms"),
        (0.9996, "1s"),
        (3.4712938, "3.47s"),
        (34.71, "34.7s"),
        (59.96, "1m"),
        (90.4, "1m 30s"),
        (3900.0, "1h 5m"),
        (-2.0, "-2s"),
    ],
)
def test_a_duration_is_printed_rounded_to_what_matters(seconds, text):
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("text", "canonical", "yes", "no"),
    [
        ("at least 0.7", "at least 0.7", (7, 10), (69, 100)),
        ("at least 70%", "at least 0.7", (7, 10), (69, 100)),
        (">= 0.7", "at least 0.7", (7, 10), (69, 100)),
        ("above 0.7", "above 0.7", (71, 100), (7, 10)),
        ("at most 0.3", "at most 0.3", (3, 10), (31, 100)),
        ("< 0.3", "below 0.3", (29, 100), (3, 10)),
        ("between 0.5 and 0.9", "between 0.5 and 0.9", (9, 10), (91, 100)),
        ("exactly 0.5", "exactly 0.5", (5, 10), (6, 10)),
        ("at least 1", "at least 1", (10, 10), (9, 10)),
        ("7 of 10", "7 of 10", (70, 100), (69, 100)),
    ],
)
def test_a_ratio_is_judged_exactly(text, canonical, yes, no):
    ratio = Ratio.parse(text)
    assert (str(ratio), ratio.judge(*yes), ratio.judge(*no), ratio.vacuous) == (canonical, True, False, False)


def test_only_a_counted_ratio_brings_its_own_minimum():
    assert (Ratio.parse("7 of 10").minimum, Ratio.parse("at least 0.7").minimum) == (10, None)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (0.7, "0.7 alone does not say how to compare: write at least 0.7"),
        ("at least 0", "'at least 0' holds whatever happens: ask for more, or leave it out"),
        ("at most 1", "'at most 1' holds whatever happens: ask for more, or leave it out"),
        ("between 0 and 1", "'between 0 and 1' holds whatever happens: ask for more, or leave it out"),
        ("0 of 10", "'0 of 10' holds whatever happens: ask for more, or leave it out"),
        ("above 1", "'above 1' can never hold: ask for less"),
        ("below 0", "'below 0' can never hold: ask for less"),
        ("11 of 10", "'11 of 10' can never hold: ask for less"),
        ("between 0.9 and 0.5", "'between 0.9 and 0.5' is the wrong way round: write between 0.5 and 0.9"),
        ("at least 70", "70 is more than 1, and a ratio lies between 0 and 1: write 0.7 or 70%"),
        ("at least half", "'half' is no number: a ratio compares with a number from 0 to 1, like 0.7"),
        ("about 0.7", "'about 0.7' is no ratio: write at least 0.7, at most 0.3, between 0.5 and 0.9 or 7 of 10"),
    ],
)
def test_what_is_no_ratio_is_told_in_a_sentence(value, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        Ratio.parse(value)


@pytest.mark.parametrize(
    ("text", "canonical", "baseline", "bounds"),
    [
        ("at most 500ms", "at most 500ms", None, (None, 0.5)),
        ("<= 2s", "at most 2s", None, (None, 2.0)),
        ("between 100ms and 2s", "between 100ms and 2s", None, (0.1, 2.0)),
        ("at most 5 x calm", "at most 5 x calm", "calm", (None, 1.0)),
        ("between 1.2 and 5 x calm", "between 1.2 and 5 x calm", "calm", (0.24, 1.0)),
        ("between 1.2 x calm and 5 x calm", "between 1.2 and 5 x calm", "calm", (0.24, 1.0)),
    ],
)
def test_a_limit_has_bounds_in_seconds(text, canonical, baseline, bounds):
    limit = Limit.parse(text)
    assert (str(limit), limit.baseline, limit.bounds(0.2)) == (canonical, baseline, bounds)


def test_a_limit_includes_its_bound_and_below_does_not():
    limits = [Limit.parse(text) for text in ("at most 100ms", "below 100ms", "at most 2 x calm")]
    assert [limit.judge(0.1, 0.05) for limit in limits] == [True, False, True]


def test_a_limit_of_a_baseline_needs_the_baseline():
    with pytest.raises(ValueError, match="the limit 'at most 5 x calm' needs a latency of calm"):
        Limit.parse("at most 5 x calm").bounds(None)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (5, "5 alone does not say how to compare: write at most 5s"),
        (
            "at most 5",
            "a latency needs a unit: write 5s or 5 x calm (calm being the id of another load)",
        ),
        ("at least 0s", "'at least 0s' holds whatever happens: ask for more, or leave it out"),
        ("at most 0s", "'at most 0s' can never hold: ask for less"),
        ("between 1 x calm and 5 x peak", "'between 1 x calm and 5 x peak' compares with two loads: name one"),
        ("at most 5 x", "'5 x' does not say of what: write 5 x calm (calm being the id of another load)"),
        ("between 10ms and 5 x calm", "'10ms' is no factor: write a number, as in between 1.2 and 5 x calm"),
        ("fast", "'fast' is no limit: write at most 500ms, between 100ms and 2s or at most 5 x calm"),
    ],
)
def test_what_is_no_limit_is_told_in_a_sentence(value, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        Limit.parse(value)


def test_a_count_is_judged():
    texts = ("at least 3", "exactly 2", "between 1 and 3", "below 3")
    assert [Count.parse(text).judge(2) for text in texts] == [False, True, True, True]


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (3, "3 alone does not say how to compare: write at least 3 or exactly 3"),
        ("at least 0", "'at least 0' holds whatever happens: ask for more, or leave it out"),
        ("below 0", "'below 0' can never hold: ask for less"),
        ("at least 1.5", "'1.5' is no whole number"),
        ("some", "'some' is no count: write at least 3, at most 3, exactly 2 or between 1 and 3"),
    ],
)
def test_what_is_no_count_is_told_in_a_sentence(value, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        Count.parse(value)


class Example(BaseModel):
    """One field of each quantity."""

    span: Seconds
    rate: RatePerSecond
    ratio: Ratio
    limit: Limit
    count: Count


def test_a_model_with_quantities_survives_json():
    example = Example.model_validate(
        {"span": "1h30m", "rate": "5/s", "ratio": "7 of 10", "limit": "at most 5 x calm", "count": "at least 3"}
    )
    assert Example.model_validate_json(example.model_dump_json()) == example


@settings(deadline=None)
@given(st.decimals(min_value=0, max_value=Decimal(3600 * 700), places=3).map(float))
def test_a_duration_survives_json(seconds):
    class Span(BaseModel):
        span: Seconds

    span = Span.model_construct(span=seconds)
    assert Span.model_validate_json(span.model_dump_json()) == span


_shares = st.decimals(min_value=Decimal("0.001"), max_value=Decimal("0.999"), places=3)
_words = st.sampled_from(["at least", "at most", "above", "below", ">=", "<=", ">", "<"])


@settings(deadline=None)
@given(_words, _shares, st.integers(0, 50), st.integers(1, 50))
def test_a_ratio_prints_what_it_was_read_from(word, share, succeeded, total):
    ratio = Ratio.parse(f"{word} {share}")
    again = Ratio.parse(str(ratio))
    assert again == ratio
    assert again.judge(succeeded, total) == ratio.judge(succeeded, total)


@settings(deadline=None)
@given(
    _words, st.decimals(min_value=Decimal("0.001"), max_value=1000, places=3), st.sampled_from(["s", "m", " x calm"])
)
def test_a_limit_prints_what_it_was_read_from(word, number, unit):
    limit = Limit.parse(f"{word} {number}{unit}")
    assert Limit.parse(str(limit)) == limit
