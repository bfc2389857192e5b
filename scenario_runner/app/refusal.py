"""The report of a scenario that has none of its own: refused, not reached, or left at once."""

import platform

from scenario_runner.core.clock import Bell, SystemClock
from scenario_runner.core.outcome import Outcome, Phase, Role, Status
from scenario_runner.core.report import PlanSummary, Report, Verdict
from scenario_runner.engine.versions import version
from scenario_runner.errors import ExitCode
from scenario_runner.format.scenario import Scenario


def refusal(
    scenario: Scenario, reason: str, backend: str, status: Status = Status.BROKEN, code: ExitCode = ExitCode.BROKEN
) -> Report:
    """One outcome that says why, so that a pipeline sees it and not nothing."""
    now = SystemClock(Bell()).now()
    plan = PlanSummary(
        scenario=scenario.name,
        description=scenario.header.description,
        file=str(scenario.file),
        digest=scenario.digest,
        tags=scenario.tags,
        control=scenario.header.control,
        variables={one.name: str(one.value) for one in scenario.variables},
        targets={},
        changes=(),
        undo_budget=0.0,
        worst_case=0.0,
        seed=0,
    )
    begin = Outcome("00", "begin", "begin", "begin", Role.ACTION, Phase.STEPS, status, reason, now, 0.0, 0.0)
    verdict = Verdict(status, code, reason)
    return Report(
        "", backend, now, 0.0, plan, verdict, (begin,), (), (), (), (), (), version=version(), host=platform.node()
    )
