"""Runs one scenario: plan, claim, life, reports."""

import platform
import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path

from scenario_runner.adapters.cuda_library import CudaLibraryFiles
from scenario_runner.adapters.load_process import LoadProcess
from scenario_runner.app.backend import Backend
from scenario_runner.app.claiming import Waiting, claimed, refuse_orphans, scope_of, seat_in
from scenario_runner.app.consent import Consent
from scenario_runner.app.files import state_folder
from scenario_runner.app.preflight import refuse_what_is_not_permitted, refuse_what_steps_object_to
from scenario_runner.app.record import EventFile
from scenario_runner.core.clock import Bell, Stop, SystemClock
from scenario_runner.core.events import Event
from scenario_runner.core.plan import Plan
from scenario_runner.core.report import Report
from scenario_runner.core.targets import GpuTarget, NodesTarget, NodeTarget
from scenario_runner.engine import runner
from scenario_runner.engine.run_card import RunCard
from scenario_runner.engine.signals import Signals, supervise
from scenario_runner.engine.world import Clocks, World
from scenario_runner.format.plan import make_plan
from scenario_runner.format.rechoice import Rechoice
from scenario_runner.format.scenario import Scenario


@dataclass(frozen=True)
class Desk:
    """What all drills of one command share; signals are latched from before the first thread exists."""

    signals: Signals
    report_dir: Path
    seed: int | None
    show: Callable[[Event], None]
    consent: Consent


def drill(scenario: Scenario, where: Backend, desk: Desk) -> Report:
    """
    Run one scenario; its folder holds the events and the undo journal.

    Raise Refused, Orphaned or StepBroken when it may not begin, LeftAtOnce when a person insists on leaving.
    """
    bell = Bell()
    stop = Stop(bell)
    clocks = Clocks.system(bell, stop)
    waiting = Waiting(desk.signals, stop, seat_in(where, clocks.steps, desk.consent.say))
    refuse_orphans(where.identity, waiting)
    chosen = random.SystemRandom().randrange(2**31) if desk.seed is None else desk.seed
    plan = make_plan(scenario, where.cluster, where.agent, seed=chosen)
    refuse_what_is_not_permitted(plan, where)
    libraries = CudaLibraryFiles(state_folder())
    refuse_what_steps_object_to(plan, where, libraries)
    desk.consent.obtain(plan, where)
    run_id = f"{clocks.undo.now().astimezone(UTC):%Y%m%d-%H%M%S}-{plan.scenario}-{secrets.token_hex(2)}"
    run_dir = (desk.report_dir / run_id).absolute()
    with claimed(run_dir, _card(run_id, plan, where), waiting) as held, EventFile(run_dir / "events.ndjson") as events:
        world = World(
            run_id=run_id,
            backend=where.words,
            clocks=clocks,
            bell=bell,
            stop=stop,
            cluster=where.cluster,
            agent=where.agent,
            libraries=libraries,
            loads=LoadProcess(SystemClock(bell), where.entrance),
            journal=held.journal,
            run_dir=run_dir,
            listeners=(events, desk.show),
            claim=held.cluster,
            rechoosing=Rechoice(where.cluster, where.agent, held.own),
        )
        report = supervise(desk.signals, stop, lambda: runner.run(plan, world))
    return replace(report, host=platform.node())


def _card(run_id: str, plan: Plan, where: Backend) -> RunCard:
    return RunCard(
        run_id=run_id,
        scenario=plan.scenario,
        file=str(plan.file),
        digest=plan.digest,
        identity=where.identity,
        backend=where.words,
        kubeconfig=where.address.kubeconfig,
        agent_url=where.address.agent_url,
        token_file=where.address.token_file,
        targets=_nodes(plan),
        undo_budget=plan.undo_budget,
        scope=scope_of(plan),
        context=where.address.context,
        agent_ca=where.address.agent_ca,
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
