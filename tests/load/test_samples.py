"""Samples in columns say the same as a list of samples would."""

import threading
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenario_runner.core.faults import Interval
from scenario_runner.core.samples import LATE, OTHER_REASON, LoadOrder, Sample, Samples, Selection, percentile, starved

MOMENTS = st.integers(0, 40).map(lambda quarter: quarter / 4)  # few, so that equal ones and borders are met
SAMPLES = st.builds(
    lambda scheduled, late, latency, first, reason: Sample(
        scheduled, scheduled + late, scheduled + latency, scheduled + latency / 2 if first else None, 200, reason
    ),
    MOMENTS,
    st.sampled_from([0.0, LATE, LATE * 2]),
    st.floats(0.001, 30),
    st.booleans(),
    st.sampled_from(["", "", "HTTP 503", "timed out"]),
)
WINDOWS = st.none() | st.lists(st.builds(Interval, MOMENTS, st.none() | MOMENTS), max_size=4)


def ok(scheduled: float, latency: float = 0.1) -> Sample:
    return Sample(scheduled, scheduled, scheduled + latency, None, 200, "")


def naive(samples: list[Sample], pending: list[float], windows: list[Interval] | None) -> Selection:
    def inside(at: float) -> bool:
        return windows is None or any(window.holds(at) for window in windows)

    chosen = [sample for sample in samples if inside(sample.scheduled)]
    good = [sample for sample in chosen if not sample.reason]
    reasons = {sample.reason for sample in chosen if sample.reason}
    return Selection(
        total=len(chosen),
        succeeded=len(good),
        pending=sum(map(inside, pending)),
        failures={reason: sum(sample.reason == reason for sample in chosen) for reason in reasons},
        latencies=tuple(sorted(sample.latency for sample in good)),
        first_tokens=tuple(sorted(s.first_token - s.scheduled for s in good if s.first_token is not None)),
        late=sum(sample.started - sample.scheduled > LATE for sample in chosen),
        inter_tokens=tuple(sorted(s.inter_token for s in good if s.inter_token is not None)),
    )


@settings(deadline=None)  # no test depends on the speed of this machine
@given(st.lists(SAMPLES, max_size=30), st.lists(MOMENTS, max_size=5), WINDOWS, st.booleans())
def test_a_selection_equals_what_a_walk_over_all_samples_finds(
    given: list[Sample], pending: list[float], windows: list[Interval] | None, announced: bool
) -> None:
    samples = Samples()
    if announced:
        for at in sorted([*(sample.scheduled for sample in given), *pending]):
            samples.scheduled(at)
    for sample in given:
        samples.add(sample)
    if not announced:
        for at in pending:
            samples.scheduled(at)

    assert samples.select(windows) == naive(given, pending, windows)
    assert len(samples) == len(given)


@settings(deadline=None)  # no test depends on the speed of this machine
@given(st.lists(st.floats(0, 1e3), min_size=1), st.integers(0, 1000).map(lambda tenths: tenths / 10))
def test_a_percentile_is_the_smallest_value_with_that_share_at_or_below_it(values: list[float], q: float) -> None:
    ascending = sorted(values)
    rank = max(1, ceil(Fraction(str(q)) * len(values) / 100))

    assert percentile(ascending, q) == ascending[rank - 1]


def test_no_values_have_no_percentile_and_no_ratio() -> None:
    empty = Samples().select()

    assert empty == Selection(0, 0, 0, {}, (), (), 0)
    assert empty.ratio is None
    assert percentile(empty.latencies, 95) is None


@pytest.mark.parametrize("q", [-1, 100.5])
def test_a_percentile_beyond_all_values_is_refused(q: float) -> None:
    with pytest.raises(ValueError, match=f"^a percentile lies between 0 and 100, not at {q:g}$"):
        percentile([1.0], q)


def test_a_request_that_lies_in_two_windows_counts_once() -> None:
    samples = Samples()
    for at in range(10):
        samples.add(ok(float(at)))

    assert samples.select([Interval(2, 6), Interval(4, 8), Interval(2, 3)]).total == 6


def test_a_request_is_pending_until_its_sample_comes() -> None:
    samples = Samples()
    samples.scheduled(1.0)
    samples.scheduled(2.0)
    samples.add(ok(2.0))
    before = samples.select()
    samples.add(ok(1.0))

    assert (before.pending, before.total) == (1, 1)
    assert (samples.select().pending, samples.select().total) == (0, 2)


def test_a_selection_does_not_change_when_more_samples_come() -> None:
    samples = Samples()
    samples.add(ok(1.0, 0.5))
    selection = samples.select()
    samples.add(ok(2.0, 0.25))

    assert list(selection.latencies) == [0.5]


def test_a_service_that_fails_in_ever_new_words_is_counted_all_the_same() -> None:
    samples = Samples()
    for number in range(400):
        samples.add(Sample(number, number, number + 1, None, 200, f"error in body: request {number}"))
    failures = samples.select().failures

    assert sum(failures.values()) == 400
    assert len(failures) == 251
    assert failures[OTHER_REASON] == 150


def test_readers_see_whole_requests_while_one_thread_writes() -> None:
    samples = Samples()
    done = threading.Event()
    wrong: list[Selection] = []

    def read() -> None:
        while not done.is_set():
            seen = samples.select([Interval(0, None)])
            if seen.total != seen.succeeded or len(seen.latencies) != seen.succeeded or seen.pending > 1:
                wrong.append(seen)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(20_000):
        samples.scheduled(number / 1000)
        samples.add(ok(number / 1000))
    done.set()
    for reader in readers:
        reader.join()

    assert wrong == []
    assert len(samples) == 20_000


@pytest.mark.parametrize(
    ("late", "starts", "too_many"), [(3, 10, False), (4, 10, True), (10, 1000, False), (11, 1000, True)]
)
def test_a_load_is_starved_when_more_than_a_few_and_a_hundredth_of_its_starts_are_late(
    late: int, starts: int, too_many: bool
) -> None:
    assert starved(late, starts) is too_many


@pytest.mark.parametrize(("rate", "every", "seconds"), [(1000.0, None, LATE), (5.0, None, 0.1), (None, 4.0, 2.0)])
def test_a_start_is_late_after_half_the_time_to_the_next(
    rate: float | None, every: float | None, seconds: float
) -> None:
    assert LoadOrder("x", "http://x", rate=rate, every=every).late_after == seconds
