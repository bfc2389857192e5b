"""Requests start on schedule, whatever became of those before."""

from dataclasses import replace

import pytest

from scenario_runner.core.samples import LoadOrder
from scenario_runner.load.protocol import Due, encode_order
from scenario_runner.load.schedule import number_of, period_of
from tests.load.conftest import Loads, trouble, worker_says
from tests.load.service import OK, Asked, Service, always


def order(url: str, **changes: object) -> LoadOrder:
    return replace(LoadOrder("traffic", url), **changes)  # type: ignore[arg-type]


def test_a_hung_service_does_not_stop_the_clock(loads: Loads) -> None:
    with Service(Asked.hang) as service:
        run = loads.start(order(service.url, rate=50.0, request_timeout=30.0))
        loads.until("40 requests in flight", lambda: run.samples.select().pending >= 40)
        run.stop()

        assert len(run.samples) == 0
        assert trouble(run) == ""


def test_a_service_that_hangs_for_a_while_shows_in_the_latency_of_what_was_scheduled_meanwhile(loads: Loads) -> None:
    def answer(asked: Asked) -> bool:
        if asked.head.startswith("GET /slow"):
            asked.over.wait(0.3)
        asked.sock.sendall(OK)
        return True

    with Service(answer) as service:
        slow = loads.carry_out(f"{service.url}/slow", rate=50.0, count=10)

    assert slow.succeeded == 10
    assert slow.latencies[0] >= 0.3


def test_starts_are_scheduled_at_equal_distances() -> None:
    with Service(always(OK)) as service:
        messages = worker_says(encode_order(order(service.url, every=0.05, count=6)))
    due = [message for message in messages if isinstance(message, Due)]

    assert [each.scheduled - due[0].scheduled for each in due] == pytest.approx([k * 0.05 for k in range(6)], abs=1e-6)
    assert all(each.started >= each.scheduled for each in due)


@pytest.mark.parametrize(
    ("changes", "period", "number"),
    [
        ({"rate": 5.0}, 0.2, None),
        ({"every": 1.0, "count": 10}, 1.0, 10),
        ({"rate": 10.0, "duration": 0.3}, 0.1, 3),
        ({"rate": 10.0, "duration": 0.35}, 0.1, 4),
        ({"rate": 3.0, "duration": 60.0}, 1 / 3, 180),
        ({"rate": 10.0, "duration": 60.0, "count": 7}, 0.1, 7),
        ({"rate": 10.0, "count": 0}, 0.1, 0),
    ],
)
def test_the_number_of_starts_follows_from_the_order(
    changes: dict[str, float], period: float, number: int | None
) -> None:
    wanted = order("http://x", **changes)

    assert period_of(wanted) == period
    assert number_of(wanted, period) == number


def test_a_load_without_requests_ends(loads: Loads) -> None:
    assert loads.carry_out("http://127.0.0.1:1/", count=0).total == 0


def test_more_than_the_allowed_requests_in_flight_fail_and_say_why(loads: Loads) -> None:
    with Service(Asked.hang) as service:
        run = loads.start(order(service.url, rate=200.0, count=20, max_outstanding=5, request_timeout=1.0))
        selection = loads.finish(run)

    assert selection.failures == {"too many outstanding": 15, "timed out": 5}
    assert trouble(run) == ""


def test_a_stopped_load_lets_the_requests_in_flight_end(loads: Loads) -> None:
    release = [False]

    def answer(asked: Asked) -> bool:
        while not release[0] and not asked.over.wait(0.01):
            pass
        asked.sock.sendall(OK)
        return True

    with Service(answer) as service:
        run = loads.start(order(service.url, rate=50.0))
        loads.until("10 requests in flight", lambda: len(service.requests) >= 10)
        run.stop()
        run.stop()
        held = loads.clock.monotonic() + 0.3
        loads.until("0.3 s to pass", lambda: loads.clock.monotonic() > held)
        in_flight = run.samples.select().pending
        finished_early = run.finished
        release[0] = True
        selection = loads.finish(run)

    assert not finished_early
    assert selection.total == selection.succeeded == len(service.requests) == in_flight
    assert trouble(run) == ""
    assert run.statistics is not None
    assert (run.statistics.due, run.statistics.abandoned) == (in_flight, 0)


def test_a_load_that_is_stopped_with_nothing_in_flight_ends(loads: Loads) -> None:
    with Service(always(OK)) as service:
        run = loads.start(order(service.url, every=60.0))
        loads.until("the first answer", lambda: len(run.samples) == 1)
        run.stop()

        assert loads.finish(run).total == 1
