"""The report of a scenario that could not begin, so that a pipeline sees red and not nothing."""

import platform

from scenario_runner.core.clock import Clock
from scenario_runner.core.outcome import Outcome, Phase, Role, Status
from scenario_runner.core.report import PlanSummary, Report, Verdict
from scenario_runner.engine.versions import version
from scenario_runner.errors import ScenarioRunnerError
from scenario_runner.format.scenario import Scenario


def refusal(
    scenario: Scenario, error: ScenarioRunnerError, backend: str, clock: Clock, status: Status = Status.BROKEN
) -> Report:
    """One outcome, broken unless it is only skipped, that says why; there is no run and no folder of it."""
    now = clock.now()
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
    begin = Outcome("00", "begin", "begin", "begin", Role.ACTION, Phase.STEPS, status, str(error), now, 0.0, 0.0)
    verdict = Verdict(status, error.exit_code, str(error))
    return Report(
        "", backend, now, 0.0, plan, verdict, (begin,), (), (), (), (), (), version=version(), host=platform.node()
    )
