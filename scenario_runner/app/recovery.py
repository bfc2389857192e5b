"""`recover`: takes back what runs left that were killed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from scenario_runner.app.backend import again
from scenario_runner.app.claiming import seat_in
from scenario_runner.app.far_recovery import FarRuns, tell, to_take_back
from scenario_runner.app.files import state_folder
from scenario_runner.app.place import Place
from scenario_runner.app.running import worst
from scenario_runner.core.clock import Bell, SystemClock
from scenario_runner.core.undo import UNDOS
from scenario_runner.engine import claim
from scenario_runner.engine import recover as engine
from scenario_runner.engine.claim import KnownRun
from scenario_runner.engine.run_card import RunCard
from scenario_runner.errors import ExitCode, Refused, ScenarioRunnerError
from scenario_runner.lab import lab

Say = Callable[[str], None]
_NOTHING = "no run has left anything to take back"


@dataclass(frozen=True)
class RecoverOptions:
    """The options of `recover`, as the command line has them; without a run or `everything` it only lists."""

    run_id: str | None
    everything: bool
    takeover: bool
    place: Place


def recover(options: RecoverOptions, agree: Callable[[str], bool], say: Say) -> ExitCode:
    """Take one run back, or all: those that this machine knows, and those that the named cluster remembers."""
    far_runs = FarRuns.of(options.place)
    left = [run for run in _known() if not run.alive and not run.clean]
    near = {run.run_id for run in left if run.past is not None or far_runs is None}
    far = [copy for copy in far_runs.left() if copy.run_id not in near] if far_runs else []
    left = [run for run in left if run.run_id in near or run.run_id not in {copy.run_id for copy in far}]
    if options.run_id is not None:
        left = [run for run in left if run.run_id == options.run_id]
        far = [copy for copy in far if copy.run_id == options.run_id]
    if not left and not far:
        say(_NOTHING if options.run_id is None else f"run {options.run_id} has nothing to take back")
        return ExitCode.PASSED
    if options.run_id is None and not options.everything:
        return _list([*map(_words, left), *(far_runs.words(copy) for copy in far if far_runs)], say)
    ends = [_one(run, options, agree, say) for run in left]
    for copy in far:
        assert far_runs is not None
        ends.append(far_runs.take_back(copy.run_id, agree, say, takeover=options.takeover))
    return worst(ends)


def _known() -> Iterable[KnownRun]:
    state = state_folder()
    for identity in claim.identities(state):
        yield from claim.runs_of(state, identity, UNDOS)


def _list(lines: list[str], say: Say) -> ExitCode:
    for line in lines:
        say(line)
    say("type `scenario-runner recover RUN` or `scenario-runner recover --all`")
    return ExitCode.LEFTOVER


def _words(run: KnownRun) -> str:
    left = ", ".join(promise.subject() for promise in run.past.outstanding) if run.past else "its journal is gone"
    return f"{run.run_id}: {left}"


def _one(run: KnownRun, options: RecoverOptions, agree: Callable[[str], bool], say: Say) -> ExitCode:
    try:
        card, past = engine.look(run.run_dir, UNDOS)
        for line in to_take_back(past):
            say(f"{run.run_id}: {line}")
        if not card.context and lab.is_gone(Path(card.kubeconfig)):
            return _forget(run, card, say)
        if not agree(f"take this back on {card.backend}?"):
            raise Refused(f"run {run.run_id} is left as it is")
        where, clock = again(card), SystemClock(Bell())
        reach = engine.Reach(clock, where.agent, where.cluster, seat_in(where, clock, say), options.takeover)
        return tell(engine.recover(run.run_dir, state_folder(), reach, UNDOS), say)
    except ScenarioRunnerError as exc:
        say(f"{run.run_id}: {exc}")
        return ExitCode.LEFTOVER  # whatever the reason: what the run left is still there


def _forget(run: KnownRun, card: RunCard, say: Say) -> ExitCode:
    """A lab that is gone took its nodes, faults and agents with it."""
    claim.forget(state_folder(), card.identity, run.run_id)
    say(f"{run.run_id}: {card.backend} is gone, and everything in it: nothing is left to take back")
    return ExitCode.PASSED
