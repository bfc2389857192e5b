"""The verdict as a table: what happened, and how the run ends."""

from dataclasses import replace

import pytest

from scenario_runner.core.clock import StopKind, StopReason
from scenario_runner.core.faults import Fault
from scenario_runner.core.outcome import Outcome, Phase, Role, Status
from scenario_runner.engine.verdict import Facts, ProvedFault, judge
from tests.fakes import START

FAULT = Fault("n~f", "inject", 79, "n", 0, "GPU-1", "0000:17:00", 10.0)
NOTICED = ProvedFault(FAULT, "noticed", 10.0)


def outcome(role: Role, status: Status = Status.PASSED, at: float = 20.0, phase: Phase = Phase.STEPS) -> Outcome:
    return Outcome("01", "s", "kind", "name", role, phase, status, "so it was", START, at, 1.0)


GOOD = Facts([outcome(Role.FAULT, at=10.0), outcome(Role.ASSERTION)], [NOTICED], control=False)


def stopped(kind: StopKind) -> StopReason:
    return StopReason(kind, f"a {kind} stop")


def with_outcome(role: Role, status: Status, **changes) -> Facts:
    return replace(GOOD, outcomes=[*GOOD.outcomes, outcome(role, status)], **changes)


@pytest.mark.parametrize(
    ("facts", "status", "code"),
    [
        pytest.param(GOOD, "passed", 0, id="good"),
        pytest.param(with_outcome(Role.WAIT, Status.FAILED), "failed", 1, id="a failed wait"),
        pytest.param(with_outcome(Role.WAIT, Status.BROKEN), "broken", 3, id="a broken wait"),
        pytest.param(with_outcome(Role.WAIT, Status.SKIPPED), "passed", 0, id="a wait skipped by when"),
        pytest.param(with_outcome(Role.ASSERTION, Status.SKIPPED), "broken", 3, id="a skipped assertion"),
        pytest.param(with_outcome(Role.FAULT, Status.SKIPPED), "broken", 3, id="a skipped fault"),
        pytest.param(with_outcome(Role.WAIT, Status.INTERRUPTED), "broken", 3, id="interrupted by nobody"),
        pytest.param(replace(GOOD, stop=stopped(StopKind.SIGNAL)), "interrupted", 130, id="signal"),
        pytest.param(replace(GOOD, stop=stopped(StopKind.ABORT)), "failed", 1, id="abort_when"),
        pytest.param(replace(GOOD, stop=stopped(StopKind.DEADLINE)), "failed", 1, id="deadline"),
        pytest.param(replace(GOOD, stop=stopped(StopKind.BROKEN)), "broken", 3, id="a background step broke"),
        pytest.param(replace(GOOD, trouble="odd"), "broken", 3, id="trouble of our own"),
        pytest.param(replace(GOOD, left=["XID 79"]), "broken", 4, id="something left"),
        pytest.param(
            with_outcome(Role.WAIT, Status.BROKEN, left=["x"], stop=stopped(StopKind.SIGNAL)), "broken", 4,
            id="left wins over all",
        ),
        pytest.param(
            with_outcome(Role.WAIT, Status.BROKEN, stop=stopped(StopKind.SIGNAL)), "interrupted", 130,
            id="interrupted wins over broken",
        ),
        pytest.param(
            replace(with_outcome(Role.WAIT, Status.FAILED), trouble="odd"), "broken", 3, id="broken wins over failed"
        ),
        pytest.param(
            with_outcome(Role.WAIT, Status.INTERRUPTED, stop=stopped(StopKind.ABORT)), "failed", 1,
            id="a step interrupted by abort_when",
        ),
        pytest.param(replace(GOOD, faults=[]), "broken", 3, id="no fault"),
        pytest.param(replace(GOOD, faults=[], control=True), "passed", 0, id="control"),
        pytest.param(replace(GOOD, faults=[replace(NOTICED, evidence="written")]), "broken", 3, id="written"),
        pytest.param(replace(GOOD, faults=[replace(NOTICED, evidence="hit")]), "passed", 0, id="hit"),
        pytest.param(
            replace(GOOD, faults=[ProvedFault(replace(FAULT, expect="written"), "written", 10.0)]), "passed", 0,
            id="written as expected",
        ),
        pytest.param(replace(GOOD, faults=[replace(NOTICED, spoiled="expired")]), "broken", 3, id="spoiled"),
        pytest.param(
            replace(GOOD, outcomes=[outcome(Role.FAULT), outcome(Role.ASSERTION, at=2.0)]), "broken", 3,
            id="asserted before the fault",
        ),
        pytest.param(
            replace(GOOD, outcomes=[outcome(Role.FAULT), outcome(Role.ASSERTION, phase=Phase.HEALTH_AFTER)]),
            "broken", 3, id="health is no assertion",
        ),
        pytest.param(
            replace(GOOD, outcomes=[outcome(Role.FAULT), outcome(Role.ASSERTION, phase=Phase.AFTER)]), "passed", 0,
            id="an assertion after the undo is one",
        ),
        pytest.param(replace(GOOD, outcomes=[], faults=[], control=True), "broken", 3, id="nothing at all"),
        pytest.param(
            replace(GOOD, outcomes=[outcome(Role.UNDO, phase=Phase.UNDO)], faults=[], control=True), "broken", 3,
            id="an undo alone",
        ),
    ],
)  # fmt: skip
def test_a_run_ends(facts, status, code):
    verdict = judge(facts)

    assert (str(verdict.status), verdict.exit_code) == (status, code)


def test_a_verdict_names_the_step_and_what_it_saw():
    facts = with_outcome(Role.ASSERTION, Status.FAILED)

    assert judge(facts).reason == "step 01 name failed: so it was"


def test_a_verdict_that_no_outcome_shows_becomes_an_outcome_of_its_own(world):
    """Readers of JUnit see nothing but outcomes."""
    from tests.engine.kinds import Pause
    from tests.fakes import plan_of

    report = world.run(plan_of(Pause()))

    assert [(one.number, one.kind, str(one.status)) for one in report.outcomes] == [
        ("01", "pause", "passed"), ("verdict", "verdict", "broken"),
    ]  # fmt: skip
    assert report.outcomes[1].summary == report.verdict.reason
