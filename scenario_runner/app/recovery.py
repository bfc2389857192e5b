"""`recover`: takes back what runs left that were killed."""

from collections.abc import Callable, Iterable
from pathlib import Path

from scenario_runner.app.backend import again
from scenario_runner.app.files import state_folder
from scenario_runner.app.running import worst
from scenario_runner.core.clock import Bell, SystemClock
from scenario_runner.core.undo import UNDOS
from scenario_runner.engine import claim
from scenario_runner.engine import recover as engine
from scenario_runner.engine.claim import KnownRun
from scenario_runner.engine.run_card import RunCard
from scenario_runner.errors import ExitCode, Refused, ScenarioRunnerError

Say = Callable[[str], None]


def recover(run_id: str | None, *, everything: bool, agree: Callable[[str], bool], say: Say) -> ExitCode:
    """Take one run back, or all; with neither only list what there is."""
    left = [run for run in _known() if not run.alive and not run.clean]
    if run_id is None and not everything:
        return _list(left, say)
    chosen = left if run_id is None else [run for run in left if run.run_id == run_id]
    if not chosen:
        say("no run has left anything to take back" if run_id is None else f"run {run_id} has nothing to take back")
        return ExitCode.PASSED
    return worst([_one(run, agree, say) for run in chosen])


def _known() -> Iterable[KnownRun]:
    state = state_folder()
    for identity in claim.identities(state):
        yield from claim.runs_of(state, identity, UNDOS)


def _list(left: list[KnownRun], say: Say) -> ExitCode:
    if not left:
        say("no run has left anything to take back")
        return ExitCode.PASSED
    for run in left:
        subjects = (
            ", ".join(promise.subject() for promise in run.past.outstanding) if run.past else "its journal is gone"
        )
        say(f"{run.run_id}: {subjects}")
    say("type `scenario-runner recover RUN` or `scenario-runner recover --all`")
    return ExitCode.LEFTOVER


def _one(run: KnownRun, agree: Callable[[str], bool], say: Say) -> ExitCode:
    try:
        card, past = engine.look(run.run_dir, UNDOS)
        for promise in past.outstanding:
            say(f"{run.run_id}: to take back: {promise.subject()} (step {promise.step_id})")
        if not card.context and not Path(card.kubeconfig).exists():
            return _forget(run, card, say)
        if not agree(f"take this back on {card.backend}?"):
            raise Refused(f"run {run.run_id} is left as it is")
        return _take_back(run, card, say)
    except ScenarioRunnerError as exc:
        say(f"{run.run_id}: {exc}")
        return ExitCode.LEFTOVER  # whatever the reason: what the run left is still there


def _take_back(run: KnownRun, card: RunCard, say: Say) -> ExitCode:
    where = again(card)
    reach = engine.Reach(SystemClock(Bell()), where.agent, where.cluster)
    result = engine.recover(run.run_dir, state_folder(), reach, UNDOS)
    for one in result.undo:
        say(f"{run.run_id}: {one.subject}: {one.outcome}: {one.detail} ({one.seconds:.1f} s)")
    for line in result.bad:
        say(f"{run.run_id}: {line}")
    return result.exit_code


def _forget(run: KnownRun, card: RunCard, say: Say) -> ExitCode:
    """A lab that is gone took its nodes, faults and agents with it."""
    claim.forget(state_folder(), card.identity, run.run_id)
    say(f"{run.run_id}: {card.backend} is gone, and everything in it: nothing is left to take back")
    return ExitCode.PASSED
