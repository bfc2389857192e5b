"""`recover`: takes back what runs left that were killed."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scenario_runner.app.backend import again
from scenario_runner.app.claiming import seat_in
from scenario_runner.app.far_recovery import FarRuns
from scenario_runner.app.files import state_folder
from scenario_runner.app.left_runs import EndedRun, LeftRun, Say, not_taken_back, subjects_of, tell, to_take_back
from scenario_runner.app.place import Place
from scenario_runner.app.running import worst
from scenario_runner.core.clock import Bell, SystemClock
from scenario_runner.core.undo import UNDOS
from scenario_runner.engine import claim
from scenario_runner.engine import recover as engine
from scenario_runner.engine.claim import KnownRun
from scenario_runner.engine.run_card import RunCard
from scenario_runner.errors import ExitCode, Refused, ScenarioRunnerError, WrongCommand
from scenario_runner.format.sentences import did_you_mean
from scenario_runner.lab import lab

_NOTHING = "no run has left anything to take back"


@dataclass(frozen=True)
class RecoverOptions:
    """The options of `recover`, as the command line has them; without a run or `everything` it only lists."""

    run_id: str | None
    everything: bool
    takeover: bool
    place: Place


@dataclass(frozen=True)
class Talk:
    """How a person is told and asked, and where each run goes as one value for machines."""

    say: Say
    agree: Callable[[str], bool]
    emit: Callable[[dict[str, Any]], None]


def recover(options: RecoverOptions, talk: Talk) -> ExitCode:
    """Take one run back, or all: those that this machine knows, and those that the named cluster remembers."""
    if options.run_id is not None and options.everything:
        raise WrongCommand("RUN and --all: say one of them")
    far_runs = FarRuns.of(options.place)
    known = list(_known())
    left = [run for run in known if (run.run_id == options.run_id if run.alive else not run.clean)]
    near = {run.run_id for run in left if run.past is not None or far_runs is None}
    far = [copy for copy in far_runs.left() if copy.run_id not in near] if far_runs else []
    left = [run for run in left if run.run_id in near or run.run_id not in {copy.run_id for copy in far}]
    if options.run_id is not None:
        _must_be_known(options.run_id, {run.run_id for run in known} | {copy.run_id for copy in far})
        left = [run for run in left if run.run_id == options.run_id]
        far = [copy for copy in far if copy.run_id == options.run_id]
    if not left and not far:
        talk.say(_NOTHING if options.run_id is None else f"run {options.run_id} has nothing to take back")
        return ExitCode.PASSED
    if options.run_id is None and not options.everything:
        return _list([*map(_left, left), *(far_runs.describe(copy) for copy in far if far_runs)], talk)
    ends = [_one(run, options, talk.agree, talk.say) for run in left]
    for copy in far:
        assert far_runs is not None
        ends.append(far_runs.take_back(copy.run_id, talk.agree, talk.say, takeover=options.takeover))
    for end in ends:
        talk.emit(asdict(end))
    return worst(end.exit_code for end in ends)


def _must_be_known(run_id: str, known: Iterable[str]) -> None:
    """A name that was mistyped must not look as if everything had been taken back."""
    if run_id not in known:
        raise WrongCommand(f"no run {run_id} is known to have left anything{did_you_mean(run_id, known)}")


def _known() -> Iterable[KnownRun]:
    state = state_folder()
    for identity in claim.identities(state):
        yield from claim.runs_of(state, identity, UNDOS)


def _list(runs: list[LeftRun], talk: Talk) -> ExitCode:
    for one in runs:
        talk.say(one.words)
        talk.emit(asdict(one))
    talk.say("type `scenario-runner recover RUN` or `scenario-runner recover --all`")
    return ExitCode.LEFTOVER


def _left(run: KnownRun) -> LeftRun:
    return LeftRun(run.run_id, subjects_of(run.past) if run.past else ("its journal is gone",), "this machine")


def _one(run: KnownRun, options: RecoverOptions, agree: Callable[[str], bool], say: Say) -> EndedRun:
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
        return not_taken_back(run.run_id, exc, say)


def _forget(run: KnownRun, card: RunCard, say: Say) -> EndedRun:
    """A lab that is gone took its nodes, faults and agents with it."""
    claim.forget(state_folder(), card.identity, run.run_id)
    gone = f"{card.backend} is gone, and everything in it: nothing is left to take back"
    say(f"{run.run_id}: {gone}")
    return EndedRun(run.run_id, ExitCode.PASSED, notes=(gone,))
