"""Runs entries of `steps:` in the fake world and tells what came of them."""

from dataclasses import replace

from scenario_runner.core.outcome import Status
from scenario_runner.core.plan import ResolvedTarget
from scenario_runner.core.report import Report
from tests.fakes import FakeWorld, plan_of
from tests.steps.entry import entries


def carry_out(world: FakeWorld, text: str, **plan: object) -> Report:
    """Run the steps; `targets` adds targets to those of the fake world."""
    targets = plan.pop("targets", {})
    assert isinstance(targets, dict)
    made = plan_of(*entries(text), **plan)
    added = tuple(ResolvedTarget(name, name, target, name) for name, target in targets.items())
    return world.run(replace(made, resolved=made.resolved + added))


def outcome(report: Report, step_id: str) -> tuple[str, str]:
    """Status and summary of one step."""
    (one,) = [one for one in report.outcomes if one.step_id == step_id and one.number.isdigit()]
    return str(one.status), one.summary


def last(report: Report) -> tuple[str, str]:
    """Status and summary of the last step that was carried out."""
    steps = [one for one in report.outcomes if one.number.isdigit() and one.status is not Status.SKIPPED]
    return str(steps[-1].status), steps[-1].summary
