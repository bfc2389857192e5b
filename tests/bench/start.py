"""How fast commands start, beside an interpreter that only imports what every command needs."""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from tests.bench.rows import Row, against, below

ROOT = Path(__file__).parents[2]
RUNNER = str(Path(sys.executable).with_name("scenario-runner"))
FLOOR = (sys.executable, "-c", "import click, yaml")
VERSION = (RUNNER, "--version")
HELP = (RUNNER, "--help")
LINT = (RUNNER, "lint", "scenarios/xid79-gpu-fell-off-bus.yaml")
ROUNDS = 21


def measure() -> Iterator[Row]:
    """Every round runs every command once, in alternating order; the floor runs twice, which shows the noise."""
    commands = (FLOOR, VERSION, FLOOR, HELP, LINT)
    for command in commands:  # what is not in the page cache yet
        took(command)
    rounds = [_round(commands, backwards=number % 2 == 1) for number in range(ROUNDS)]
    floor, version, again, page, lint = zip(*rounds, strict=True)
    yield against("noise: import click, yaml against itself", list(zip(again, floor, strict=True)), None)
    yield against("start: scenario-runner --version", list(zip(version, floor, strict=True)), 1.3)
    yield against("start: scenario-runner --help", list(zip(page, again, strict=True)), 1.3)
    yield below("lint of one scenario, whole command", median(lint), 0.35, remark=f"{ROUNDS} rounds")


def took(command: Sequence[str]) -> float:
    """Seconds until the command has ended; it must succeed."""
    begun = time.perf_counter()
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def _round(commands: Sequence[Sequence[str]], *, backwards: bool) -> list[float]:
    figures = [took(command) for command in (reversed(commands) if backwards else commands)]
    return figures[::-1] if backwards else figures
