"""Runs one scenario: plan, claim, life, reports."""

import platform
import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path

from scenario_runner.adapters.load_process import LoadProcess
from scenario_runner.app.backend import Backend
from scenario_runner.app.files import state_folder
from scenario_runner.app.record import EventFile
from scenario_runner.core.clock import Bell, Stop, SystemClock
from scenario_runner.core.events import Event
from scenario_runner.core.plan import Plan
from scenario_runner.core.report import Report
from scenario_runner.core.targets import GpuTarget, NodesTarget, NodeTarget
from scenario_runner.core.undo import UNDOS
from scenario_runner.engine import claim, runner
from scenario_runner.engine.run_card import RunCard
from scenario_runner.engine.signals import Signals, supervise
from scenario_runner.engine.world import Clocks, World
from scenario_runner.format.plan import make_plan
from scenario_runner.format.scenario import Scenario


@dataclass(frozen=True)
class Desk:
    """What all drills of one command share; signals are latched from before the first thread exists."""

    signals: Signals
    report_dir: Path
    seed: int | None
    show: Callable[[Event], None]


def drill(scenario: Scenario, where: Backend, desk: Desk) -> Report:
    """
    Run one scenario; its folder holds the events and the undo journal.

    Raise Refused, Orphaned or StepBroken when it may not begin, LeftAtOnce when a person insists on leaving.
    """
    claim.refuse_orphans(state_folder(), where.cluster.identity(), UNDOS)
    chosen = random.SystemRandom().randrange(2**31) if desk.seed is None else desk.seed
    plan = make_plan(scenario, where.cluster, where.agent, seed=chosen)
    bell = Bell()
    stop = Stop(bell)
    clocks = Clocks.system(bell, stop)
    run_id = f"{clocks.undo.now().astimezone(UTC):%Y%m%d-%H%M%S}-{plan.scenario}-{secrets.token_hex(2)}"
    run_dir = (desk.report_dir / run_id).absolute()
    held = claim.take(state_folder(), run_dir, _card(run_id, plan, where), UNDOS)
    try:
        with EventFile(run_dir / "events.ndjson") as events:
            world = World(
                run_id=run_id,
                backend=where.words,
                clocks=clocks,
                bell=bell,
                stop=stop,
                cluster=where.cluster,
                agent=where.agent,
                loads=LoadProcess(SystemClock(bell)),
                journal=held.journal,
                run_dir=run_dir,
                listeners=(events, desk.show),
            )
            report = supervise(desk.signals, stop, lambda: runner.run(plan, world))
        return replace(report, host=platform.node())
    finally:
        held.release()


def _card(run_id: str, plan: Plan, where: Backend) -> RunCard:
    return RunCard(
        run_id=run_id,
        scenario=plan.scenario,
        file=str(plan.file),
        digest=plan.digest,
        identity=where.cluster.identity(),
        backend=where.words,
        kubeconfig=str(where.info.kubeconfig),
        agent_url=where.info.gateway_url,
        token_file=str(where.info.token_file),
        targets=_nodes(plan),
        undo_budget=plan.undo_budget,
    )


def _nodes(plan: Plan) -> tuple[str, ...]:
    """The nodes that the run may change, each once."""
    names: set[str] = set()
    for target in plan.targets.values():
        if isinstance(target, GpuTarget):
            names.add(target.node.name)
        elif isinstance(target, NodeTarget):
            names.add(target.name)
        elif isinstance(target, NodesTarget):
            names.update(node.name for node in target.nodes)
    return tuple(sorted(names))
