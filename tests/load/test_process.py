"""A load that can not be trusted says so, and nothing of a load outlives its owner."""

import math
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from scenario_runner.adapters.load_process import LoadProcess
from scenario_runner.core.clock import Bell, SystemClock
from scenario_runner.core.faults import Interval
from scenario_runner.core.samples import LoadOrder, Samples
from scenario_runner.load.protocol import Decoder, Statistics, Trouble, encode_order
from tests.load.conftest import WORKER, Loads, trouble, worker_says
from tests.load.service import OK, Asked, Service, always

NOWHERE = "http://127.0.0.1:1/"


def test_a_killed_worker_makes_the_load_broken(loads: Loads) -> None:
    with Service(always(OK)) as service:
        run = loads.start(LoadOrder("traffic", service.url, rate=50.0))
        loads.until("some answers", lambda: len(run.samples) >= 5)
        assert trouble(run) == ""
        os.kill(run.process_id, signal.SIGKILL)
        loads.until("the end of the worker", lambda: run.finished)

    assert run.broken == "the load worker died (killed by SIGKILL)"
    assert run.samples.select().succeeded >= 5
    run.stop()
    run.close()


@pytest.mark.parametrize(
    ("order", "why"),
    [
        (
            LoadOrder("x", "nowhere", rate=1.0),
            "'nowhere' is not the URL of an HTTP service: write http://host:port/path",
        ),
        (LoadOrder("x", NOWHERE), "the order needs either a rate or a time between starts"),
        (LoadOrder("x", NOWHERE, rate=1.0, every=1.0), "the order needs either a rate or a time between starts"),
        (LoadOrder("x", NOWHERE, rate=0.0), "the rate, or the time between starts, must be above zero"),
        (LoadOrder("x", NOWHERE, rate=1.0, api="soap"), "unknown api 'soap': write http, chat or completions"),
        (
            LoadOrder("x", NOWHERE, rate=1.0, api="chat", body=b"hello"),
            "the body of a request for completions is not a JSON object: Expecting value: line 1 column 1 (char 0)",
        ),
    ],
)
def test_an_order_that_can_not_be_carried_out_makes_the_load_broken(loads: Loads, order: LoadOrder, why: str) -> None:
    run = loads.start(order)
    loads.until("the end of the worker", lambda: run.finished)

    assert run.broken == f"the load worker can not carry out its order: {why}"


def test_a_line_that_is_no_order_is_answered_with_a_sentence() -> None:
    (said,) = worker_says(b"{broken\n")

    assert isinstance(said, Trouble)
    assert said.text.startswith("the load worker can not carry out its order: the line is not an order: Expecting")


def test_a_worker_that_stood_still_says_that_it_started_late(loads: Loads) -> None:
    with Service(always(OK)) as service:
        run = loads.start(LoadOrder("traffic", service.url, rate=500.0, count=400))
        loads.until("some answers", lambda: len(run.samples) >= 50)
        os.kill(run.process_id, signal.SIGSTOP)
        resume = loads.clock.monotonic() + 0.2
        loads.until("a while", lambda: loads.clock.monotonic() > resume)
        os.kill(run.process_id, signal.SIGCONT)
        selection = loads.finish(run)

    assert run.statistics is not None
    assert run.statistics.late == selection.late > 50
    assert run.broken == (
        f"{selection.late} of 400 requests started more than 5ms after their schedule for want of our own CPU,"
        " at most 1% may"
    )


def test_late_starts_count_once_no_others_can_make_up_for_them(loads: Loads) -> None:
    with Service(always(OK)) as service:
        run = loads.start(LoadOrder("traffic", service.url, rate=500.0))
        loads.until("an answer", lambda: len(run.samples) >= 1)
        os.kill(run.process_id, signal.SIGSTOP)
        resume = loads.clock.monotonic() + 0.2
        loads.until("a while", lambda: loads.clock.monotonic() > resume)
        os.kill(run.process_id, signal.SIGCONT)
        loads.until("what was late has started", lambda: run.samples.select().late > 50)
        while_it_went_on = run.broken
        run.stop()
        loads.finish(run)

    assert while_it_went_on == ""
    assert "after their schedule for want of our own CPU" in run.broken


@pytest.mark.parametrize(
    ("order", "starts"),
    [
        (LoadOrder("l", "", rate=5.0), math.inf),
        (LoadOrder("l", "", rate=5.0, duration=30.0), 150),
        (LoadOrder("l", "", every=0.5, duration=30.0, count=40), 40),
        (LoadOrder("l", "", every=0.5, count=40), 40),
    ],
    ids=["endless", "for", "for and count", "count"],
)
def test_how_many_starts_are_planned(order: LoadOrder, starts: float) -> None:
    assert order.planned_starts == starts


class Ahead(SystemClock):
    """A clock that can be set forward."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


def test_a_worker_that_says_nothing_any_more_makes_the_load_broken() -> None:
    clock = Ahead(Bell())
    loads = Loads(clock)
    with Service(always(OK)) as service:
        run = loads.start(LoadOrder("traffic", service.url, every=60.0))
        loads.until("the first answer", lambda: len(run.samples) == 1)
        os.kill(run.process_id, signal.SIGSTOP)
        clock.ahead = 10.0
        loads.until("the silence to be noticed", lambda: bool(run.broken))
        said = run.broken
        run.close()  # the worker does not hear it

    assert said.startswith("the load worker has been silent for 1")
    assert run.finished
    assert not _alive(run.process_id)


def test_closing_ends_a_load_at_once_and_is_safe_twice(loads: Loads) -> None:
    with Service(Asked.hang) as service:
        run = loads.start(LoadOrder("traffic", service.url, rate=50.0))
        loads.until("requests in flight", lambda: run.samples.select().pending >= 5)
        run.close()
        run.close()

    assert run.finished
    assert trouble(run) == ""
    assert run.statistics is not None
    assert run.statistics.abandoned >= 5
    assert not _alive(run.process_id)


def test_ctrl_c_is_for_the_engine_alone(loads: Loads) -> None:
    run = loads.start(LoadOrder("traffic", NOWHERE, every=60.0))

    assert os.getpgid(run.process_id) != os.getpgid(0)


def test_loads_leave_no_process_no_file_and_no_thread_behind(loads: Loads) -> None:
    before = (_open_files(), threading.active_count())
    for _ in range(3):
        run = LoadProcess(loads.clock).start(LoadOrder("traffic", NOWHERE, rate=100.0, count=2))
        loads.finish(run)
        assert not _alive(run.process_id)
    killed = LoadProcess(loads.clock).start(LoadOrder("traffic", NOWHERE, rate=100.0))
    os.kill(killed.process_id, signal.SIGKILL)
    loads.until("the end of the worker", lambda: killed.finished)
    loads.until("the threads to be gone", lambda: threading.active_count() <= before[1])

    assert (_open_files(), threading.active_count()) == before


OWNER = """
import sys, time
from scenario_runner.adapters.load_process import LoadProcess
from scenario_runner.core.clock import Bell, SystemClock
from scenario_runner.core.samples import LoadOrder
run = LoadProcess(SystemClock(Bell())).start(LoadOrder("traffic", sys.argv[1], rate=50.0))
print(run.process_id, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_load_dies_with_its_owner(loads: Loads, how: signal.Signals) -> None:
    with Service(Asked.hang) as service:
        owner = subprocess.Popen(
            [sys.executable, "-c", OWNER, service.url], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        with owner:
            assert owner.stdout is not None
            worker = int(owner.stdout.readline())
            loads.until("requests", lambda: len(service.requests) >= 3)
            owner.send_signal(how)
            owner.wait()
        loads.until("the end of the worker", lambda: not _alive(worker))


def test_the_end_of_stdin_is_the_end_of_the_worker_and_it_says_what_it_left() -> None:
    with Service(Asked.hang) as service:
        line = encode_order(LoadOrder("x", service.url, rate=10.0))
        done = subprocess.run(WORKER, input=line, capture_output=True, timeout=30, check=False)

    assert (done.returncode, done.stderr) == (0, b"")
    assert isinstance(_last(done.stdout), Statistics)


def test_a_worker_that_nobody_reads_ends() -> None:
    with subprocess.Popen(WORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(encode_order(LoadOrder("x", NOWHERE, rate=100.0)))
        process.stdin.flush()
        process.stdout.read(1)
        process.stdout.close()

        assert process.wait(30) == 3


def test_samples_are_in_the_clock_of_the_engine(loads: Loads) -> None:
    before = loads.clock.monotonic()
    run = loads.start(LoadOrder("traffic", NOWHERE, rate=100.0, count=3))
    loads.finish(run)

    assert _scheduled_between(run.samples, before, loads.clock.monotonic()) == 3


def _scheduled_between(samples: Samples, start: float, end: float) -> int:
    return samples.select([Interval(start, end)]).total


def _last(records: bytes) -> object:
    return Decoder().feed(records)[-1]


def _alive(pid: int) -> bool:
    """Whether the process runs or waits to be reaped by us; one that init has to reap is gone for our purpose."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    state, parent = status.rpartition(")")[2].split()[:2]
    return state != "Z" or int(parent) == os.getpid()


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
