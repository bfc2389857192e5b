"""A drill of real time against a real agent: `python -m tests.engine.suspended_run FOLDER AGENT_URL`, to be stopped."""

import json
import sys
from pathlib import Path

from scenario_runner.adapters.http_agent import HttpAgent
from scenario_runner.core.clock import Bell, Stop
from scenario_runner.core.undo import UNDOS
from scenario_runner.engine.beats import ThreadBeats
from scenario_runner.engine.journal import Journal
from scenario_runner.engine.runner import run
from scenario_runner.engine.world import Clocks, Settings, World
from tests.engine.kinds import Claim, Inject, Pause
from tests.fakes import FakeWorld, plan_of

TTL = 2.0  # seconds


def main(folder: Path, url: str) -> int:
    """Inject, pause, assert; print the verdict as JSON."""
    bell = Bell()
    stop = Stop(bell)
    agent = HttpAgent(url)
    journal = Journal.own(folder / "undo.jsonl", "run", UNDOS)
    fake = FakeWorld(folder, journal=journal)
    world = World(
        run_id="run", backend="a fake", clocks=Clocks.system(bell, stop), bell=bell, stop=stop, cluster=fake.cluster,
        agent=agent, loads=fake.loads, journal=journal, run_dir=folder, beats=ThreadBeats(),
    )  # fmt: skip
    plan = plan_of(Inject(xid=94, expect="written", ttl=TTL), Pause(seconds=4.0), Claim(), settle_timeout=0.0)
    report = run(plan, world, Settings(ttl=TTL, tick=0.05))
    journal.close()
    agent.close()
    verdict = report.verdict
    print(json.dumps({"exit": verdict.exit_code, "reason": verdict.reason, "undo": report.undo[0].detail}), flush=True)
    return verdict.exit_code


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), sys.argv[2]))
