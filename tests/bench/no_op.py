"""
A thousand steps that do nothing, through the real engine: `python -m tests.bench.no_op FOLDER` tells seconds as JSON.

The world is a fake, everything else is what a user gets: the file read, linted and planned, real clocks and threads,
the journal and the event log in files, the lines of the console, all reports. Imports are over when the time begins.
"""

import json
import sys
import time
from pathlib import Path
from typing import ClassVar

from scenario_runner.app.record import EventFile, write_reports
from scenario_runner.core.clock import Bell, Stop
from scenario_runner.core.outcome import Finding, Role, Status
from scenario_runner.core.plan import Plan
from scenario_runner.core.report import Report
from scenario_runner.core.step import Context, Step
from scenario_runner.core.undo import UNDOS
from scenario_runner.engine.journal import Journal
from scenario_runner.engine.runner import run
from scenario_runner.engine.world import Clocks, World
from scenario_runner.format.loader import load
from scenario_runner.format.plan import make_plan
from scenario_runner.format.variables import VariableSources
from scenario_runner.reporters.console import console
from tests.fakes import FakeWorld

STEPS = 1000
HEAD = "version: 1\nname: nothing\nnamespace: dynamo\ncontrol: true\nsteps:\n"


class NoOp(Step):
    """Do nothing, and be right about it."""

    role: ClassVar[Role] = Role.ASSERTION
    reads_only: ClassVar[bool] = True
    example: ClassVar[str] = "no_op: {}"

    @classmethod
    def kind(cls) -> str:
        return "no_op"  # this module is also run, and has another name then

    def run(self, ctx: Context) -> Finding:
        del ctx
        return Finding("nothing was done")


def timed(folder: Path, count: int) -> dict[str, float]:
    """Seconds of the engine alone, and of everything from the file to the reports."""
    folder.mkdir(parents=True)
    file = folder / "scenario.yaml"
    file.write_text(HEAD + "- no_op: {}\n" * count)
    begun = time.perf_counter()
    journal = Journal.own(folder / "undo.jsonl", "nothing", UNDOS)
    fake = FakeWorld(folder, journal=journal)
    scenario = load(file, VariableSources(), {"no_op": NoOp})
    plan = make_plan(scenario, fake.cluster, fake.agent, seed=1)
    started = time.perf_counter()
    report = _carried_out(plan, fake)
    ended = time.perf_counter()
    write_reports(folder, report)
    journal.close()
    over = time.perf_counter()
    passed = sum(one.status is Status.PASSED for one in report.outcomes)
    if passed != count or report.verdict.status is not Status.PASSED:
        raise SystemExit(f"{passed} of {count} steps passed: {report.verdict.reason}")
    return {"engine": ended - started, "whole": over - begun}


def _carried_out(plan: Plan, fake: FakeWorld) -> Report:
    bell = Bell()
    stop = Stop(bell)
    with EventFile(fake.folder / "events.ndjson") as events:
        world = World(
            run_id="nothing",
            backend="a fake",
            clocks=Clocks.system(bell, stop),
            bell=bell,
            stop=stop,
            cluster=fake.cluster,
            agent=fake.agent,
            loads=fake.loads,
            journal=fake.journal,
            run_dir=fake.folder,
            listeners=(events, console(sys.stderr)),
        )
        return run(plan, world)


def main(folder: Path) -> None:
    timed(folder / "warm-up", 2)  # lazy imports
    print(json.dumps(timed(folder / "measured", STEPS)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
