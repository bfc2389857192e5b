"""A plan as one JSON value, for a gate in a pipeline or a review tool; times are in seconds."""

from dataclasses import asdict
from typing import Any

from scenario_runner.core.plan import Plan, PlannedStep


def plan_value(plan: Plan) -> dict[str, Any]:
    """What the text of a plan says, with names instead of sentences where there is one."""
    return {
        "scenario": plan.scenario,
        "description": plan.description.strip(),
        "file": str(plan.file),
        "sha256": plan.digest,
        "tags": plan.tags,
        "namespace": plan.namespace,
        "control": plan.control,
        "variables": [asdict(one) for one in plan.variables],
        "targets": [
            {"name": one.name, "declared": one.declared, "chosen": one.chosen, "also_matched": one.also}
            for one in plan.resolved
        ],
        "steps": [_step(one) for one in plan.steps],
        "guards": asdict(plan.guards),
        "changes": plan.changes,
        "consequences": plan.consequences,
        "abort_when": [asdict(one) for one in plan.abort_when],
        "times": {
            "worst_case": plan.worst_case,
            "undo_budget": plan.undo_budget,
            "settle_timeout": plan.settle_timeout,
            "deadline": plan.deadline,
            "platform": asdict(plan.profile),
        },
        "seed": plan.seed,
    }


def _step(planned: PlannedStep) -> dict[str, Any]:
    return {
        "number": planned.number,
        "id": planned.id,
        "kind": planned.step.kind(),
        "role": planned.step.part,
        "name": planned.name,
        "phase": planned.phase,
        "line": planned.line,
        "timeout": planned.timeout,
        "when": planned.when,
        "retry": asdict(planned.retry) if planned.retry else None,
        "background": planned.background,
        "continue_on_failure": planned.continue_on_failure,
        "groups": planned.scope,
    }
