"""Collects what a person needs to understand a step that did not pass, before anything is taken back."""

from collections.abc import Iterator

from scenario_runner.core.clock import Deadline
from scenario_runner.core.evidence import Piece, Sources
from scenario_runner.core.plan import Plan
from scenario_runner.core.targets import WorkloadTarget, node_names
from scenario_runner.engine.ledger import Ledger
from scenario_runner.errors import ScenarioRunnerError


def collect(plan: Plan, sources: Sources, ledger: Ledger, deadline: Deadline) -> tuple[str, ...]:
    """Paths of the evidence, relative to the run's folder. What cannot be read (in time) says so in its own file."""
    return tuple(ledger.evidence_file(one.name, _read(one, deadline)) for one in _pieces(plan, sources))


def _pieces(plan: Plan, sources: Sources) -> Iterator[Piece]:
    targets = plan.targets.values()
    yield sources.events()  # first: they cost no time
    yield from map(sources.node, node_names(targets))
    yield sources.faults()
    for target in targets:
        if isinstance(target, WorkloadTarget):
            yield sources.workload(target)
            yield from sources.logs(target)


def _read(piece: Piece, deadline: Deadline) -> str:
    if deadline.left == 0:
        return "not read: the time for evidence was over\n"
    try:
        return piece.read()
    except ScenarioRunnerError as exc:
        return f"cannot be read: {exc}\n"
