"""A run with real time, threads and signals in a process of its own: `python -m tests.engine.living_run FOLDER`."""

import json
import os
import sys
from pathlib import Path

from scenario_runner.core.clock import Bell, Stop
from scenario_runner.core.outcome import Phase
from scenario_runner.core.undo import UNDOS
from scenario_runner.engine.beats import ThreadBeats
from scenario_runner.engine.journal import Journal
from scenario_runner.engine.runner import run
from scenario_runner.engine.signals import LeftAtOnce, Signals, supervise
from scenario_runner.engine.world import Clocks, Settings, World
from tests.engine.kinds import Inject, Pause, Retouch
from tests.fakes import FakeWorld, plan_of, planned


def main(folder: Path) -> int:
    """Inject, wait for the signal, take back (after `linger` seconds of always), print what came of it as JSON."""
    linger = float(os.environ.get("LINGER", "0"))
    bell = Bell()
    stop = Stop(bell)
    clocks = Clocks.system(bell, stop)
    with Signals(clocks.undo) as signals:
        journal = Journal.own(folder / "undo.jsonl", "run", UNDOS)
        fake = FakeWorld(folder, folder / "world.json", journal=journal)
        fake.platform.blind = True
        world = World(
            run_id="run", backend="a fake", clocks=clocks, bell=bell, stop=stop, cluster=fake.cluster,
            agent=fake.agent, loads=fake.loads, journal=journal, run_dir=folder, beats=ThreadBeats(),
        )  # fmt: skip
        plan = plan_of(
            Inject(expect="written"), Retouch(), Pause(seconds=float(os.environ.get("PAUSE", "30"))),
            planned(Pause(seconds=linger), "linger", phase=Phase.ALWAYS), settle_timeout=0.0,
        )  # fmt: skip
        print("ready", flush=True)
        try:
            report = supervise(signals, stop, lambda: run(plan, world, Settings(tick=0.02)))
        except LeftAtOnce as exc:
            print(json.dumps({"left": str(exc), "open": len(journal.outstanding)}), flush=True)
            os._exit(130)
    told = {
        "outcomes": [str(one.status) for one in report.outcomes],
        "reason": report.verdict.reason,
        "snapshot": fake.snapshot(),
        "open": len(journal.outstanding),
    }
    print(json.dumps(told), flush=True)
    return report.verdict.exit_code


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
