"""Signals to a real process: what ends a run, what ends it at once, and what does not."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from scenario_runner.core.clock import Bell, Stop
from scenario_runner.engine.signals import Signals, supervise
from tests.fakes import FakeClock, FakeTime


class Living:
    """A run in a process of its own that has made its changes and waits."""

    def __init__(self, folder, *, ignored="", **environment):
        self.folder = folder
        command = [sys.executable, "-m", "tests.engine.living_run", str(folder)]
        if ignored:
            command = ["/bin/sh", "-c", f"trap '' {ignored}; exec \"$@\"", "sh", *command]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        assert self.process.stdout.readline() == "ready\n"
        self._until(lambda: self._journal().count(b'"done"') == 2)

    def send(self, number):
        self.process.send_signal(number)
        return self

    def wait_for_outcome(self):
        """Until the interrupted step has ended and the `always` step lingers."""
        self._until(lambda: (self.folder / "evidence").exists() or self._lingers())

    def end(self):
        out, err = self.process.communicate(timeout=50)
        assert err == ""
        return self.process.returncode, json.loads(out) if out else None

    def _journal(self):
        return (self.folder / "undo.jsonl").read_bytes()

    def _lingers(self):
        time.sleep(1.3)  # a second SIGINT within a second is not meant
        return True

    def _until(self, holds):
        end = time.monotonic() + 50
        while not holds():
            assert time.monotonic() < end
            assert self.process.poll() is None, self.process.stderr.read()
            time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run_takes_everything_back_and_exits_130(tmp_path, number):
    code, told = Living(tmp_path).send(number).end()

    assert (code, told["reason"]) == (130, f"interrupted by {number.name}")
    assert told["outcomes"] == ["passed", "passed", "interrupted", "passed", "passed", "passed"]
    assert (told["snapshot"]["faults in force"], told["open"]) == ([], 0)
    assert '"value": "tiny"' in json.dumps(told["snapshot"])


def test_a_second_interrupt_after_a_second_leaves_at_once_and_recovery_is_still_possible(tmp_path):
    run = Living(tmp_path, LINGER="30").send(signal.SIGINT)
    run.wait_for_outcome()

    code, told = run.send(signal.SIGINT).end()

    assert code == 130
    assert told == {"left": "left at once: what was changed is not taken back", "open": 2}


def test_two_interrupts_within_a_second_are_one(tmp_path):
    code, told = Living(tmp_path).send(signal.SIGINT).send(signal.SIGINT).end()

    assert (code, told["open"]) == (130, 0)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGHUP])
def test_term_and_hup_are_never_a_second_interrupt(tmp_path, second):
    run = Living(tmp_path, LINGER="2").send(signal.SIGINT)
    run.wait_for_outcome()

    code, told = run.send(second).send(second).end()

    assert (code, told["reason"], told["open"]) == (130, "interrupted by SIGINT", 0)


def test_an_inherited_ignore_stays(tmp_path):
    """As under nohup: the signal was meant for somebody else."""
    run = Living(tmp_path, ignored="HUP INT", PAUSE="1.5")

    code, told = run.send(signal.SIGHUP).send(signal.SIGINT).end()

    assert (code, told["outcomes"][:3]) == (3, ["passed", "passed", "passed"])


def test_a_process_that_is_killed_leaves_its_promises_for_recovery(tmp_path):
    run = Living(tmp_path).send(signal.SIGKILL)

    assert run.end() == (-9, None)
    from scenario_runner.core.undo import UNDOS
    from scenario_runner.engine.records import replay

    assert [one.subject() for one in replay(tmp_path / "undo.jsonl", UNDOS).outstanding] == [
        "edits of Deployment dynamo/vllm-decode", "XID 79 on gpu-1",
    ]  # fmt: skip


def test_the_latch_only_latches_and_the_first_signal_wins():
    time_ = FakeTime()
    signals = Signals(FakeClock(time_))
    signals._handle(signal.SIGTERM, None)
    signals._handle(signal.SIGINT, None)
    time_.elapsed = 0.9
    signals._handle(signal.SIGINT, None)
    assert (signals.caught, signals.insists) == (signal.SIGTERM, False)

    time_.elapsed = 1.0
    signals._handle(signal.SIGINT, None)

    assert (signals.caught, signals.insists) == (signal.SIGTERM, True)


def test_handlers_are_put_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with Signals(FakeClock()):
        assert signal.getsignal(signal.SIGTERM) not in before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_what_the_work_returns_or_raises_comes_out_of_the_worker():
    signals, stop = Signals(FakeClock()), Stop(Bell())

    assert supervise(signals, stop, lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        supervise(signals, stop, lambda: 1 / 0)
