"""A lab's start, a whole drill in it, and what both weigh."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from scenario_runner.lab.lab import LabOptions, up
from scenario_runner.lab.processes import descendants
from tests.bench import waits
from tests.bench.rows import Row, below, not_measured
from tests.bench.start import ROOT, RUNNER

STARTS = 3
DRILL = ("run", "--lab", "--vars-file", "scenarios/vars/lab.yaml", "scenarios/xid79-gpu-fell-off-bus.yaml")
DRILLS = 2
LOOK_EVERY = 1.0  # seconds between two looks at the memory; a look costs some milliseconds of one core
PATIENCE = 180.0
MIB = 1024.0  # KiB


@dataclass(frozen=True)
class Weight:
    """Memory at one moment: KiB as each page counts once (PSS), and of how many processes."""

    kib: int
    processes: int


@dataclass(frozen=True)
class Drilled:
    """What one drill took."""

    seconds: float
    code: int
    heaviest: Weight
    words: str  # the end of its output


def measure() -> Iterator[Row]:
    """One lab after the other; the last of the short ones also serves for the waits."""
    with tempfile.TemporaryDirectory() as name:
        yield from _short_labs(Path(name))
    drills = [drill() for _ in range(DRILLS)]
    wrong = [one for one in drills if one.code != 0]
    if wrong:
        yield not_measured("XID 79 drill in the lab", f"it ended with {wrong[0].code}: {wrong[0].words}")
        return
    took = median(one.seconds for one in drills)
    yield below("XID 79 drill, whole command with its lab", took, 25.0, remark=f"{DRILLS} drills, lab's variables")
    heaviest = max((one.heaviest for one in drills), key=lambda weight: weight.kib)
    remark = f"most of all looks, PSS of {heaviest.processes} processes"
    yield below("memory of lab and runner during it", heaviest.kib / MIB, 450.0, "MiB", remark)


def _short_labs(folder: Path) -> Iterator[Row]:
    starts: list[float] = []
    waited: list[Row] = []
    for number in range(STARTS):
        begun = time.perf_counter()
        with up(LabOptions(name=f"bench-{number}"), owned=True, folder=folder) as lab:
            starts.append(time.perf_counter() - begun)
            if number == STARTS - 1:
                waited = list(waits.measure(lab.info))
    yield below("lab ready, its service too", median(starts), 3.0, remark=f"{STARTS} starts")
    yield from waited


def drill() -> Drilled:
    """Run the drill as a user does, in a state folder of its own, and weigh it and everything below it."""
    with tempfile.TemporaryDirectory() as name, Path(name, "output").open("w+") as output:
        home = {**os.environ, "SCENARIO_RUNNER_STATE": str(Path(name, "state"))}
        begun = time.perf_counter()
        process = subprocess.Popen(
            [RUNNER, *DRILL, "--report-dir", str(Path(name, "reports"))], cwd=ROOT, env=home,
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            heaviest = _watch(process)
        finally:
            _end(process)
        took = time.perf_counter() - begun
        output.seek(0)
        return Drilled(took, process.returncode, heaviest, output.read()[-500:].replace("\n", " | "))


def _watch(process: "subprocess.Popen[bytes]") -> Weight:
    """The heaviest moment until the process ended."""
    heaviest = Weight(0, 0)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            process.wait(LOOK_EVERY)
            return heaviest
        except subprocess.TimeoutExpired:
            heaviest = max(heaviest, weigh(process.pid), key=lambda weight: weight.kib)
    raise RuntimeError(f"the drill did not end within {PATIENCE:g}s")


def weigh(ancestor: int) -> Weight:
    """A process and all its descendants."""
    each = [_pss(pid) for pid in {ancestor} | descendants(ancestor)]
    return Weight(sum(each), sum(kib > 0 for kib in each))


def _pss(pid: int) -> int:
    """KiB; 0 for a process that has ended."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")), 0)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """A drill that is still there is asked to take back what it did; its lab ends with it."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        print("the drill did not end when it was asked to", file=sys.stderr)
        process.kill()
        process.wait()
