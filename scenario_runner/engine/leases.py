"""Who owns which target in the cluster: Leases are taken, watched on our own clock, taken over and let go."""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from scenario_runner.core.claims import ClaimStore, Lease
from scenario_runner.core.clock import Clock
from scenario_runner.core.step import Undo
from scenario_runner.engine.copies import is_open, subjects
from scenario_runner.engine.run_card import RunCard
from scenario_runner.errors import Orphaned, Refused, ScenarioRunnerError, TargetRefused

LEASE_SECONDS = 30.0
_FASTER = {"AlreadyExists", "Conflict", "NotFound"}  # refusals that say that the Lease is somebody else's by now
_LOOKS = 0.5  # seconds between looks at Leases that may be dead


@dataclass(frozen=True)
class Seat:
    """
    What a claim is made with. `clock` may be one that a person stops; `host` is where we are, for people.

    `named` is how the command line names this cluster: " --context NAME". `boot` is which boot of this machine that is,
    `dead` the runs whose journals here prove, by their free flocks, that they ended and left nothing to take back.
    `say` is told what is waited for.
    """

    store: ClaimStore
    clock: Clock
    undos: Mapping[str, type[Undo]]
    host: str
    named: str = ""
    seconds: float = LEASE_SECONDS
    boot: str = ""
    dead: frozenset[str] = frozenset()
    say: Callable[[str], None] = lambda text: None

    def stamp(self) -> str:
        return f"{self.clock.now():%Y-%m-%dT%H:%M:%S.%fZ}"

    def proves_dead(self, lease: Lease) -> bool:
        """
        Whether nobody is behind a Lease any more. A flock says so only to the kernel that would hold it: another
        machine, or a recovery that took the Lease over, may be alive whatever lies on a disk that both see.
        """
        here = bool(self.boot) and (lease.host, lease.boot) == (self.host, self.boot)
        return here and lease.holder in self.dead


def lease_targets(card: RunCard) -> tuple[str, ...]:
    """What a run holds Leases of; one that changes no node has one for itself, so that it is known to live."""
    return tuple(sorted(card.targets)) or (f"run {card.run_id}",)


def refuse_orphans(seat: Seat) -> None:
    """
    Raise Orphaned while a dead run has something left that only the cluster may know of.

    A run is dead when nobody renews its Leases while we watch for their whole duration, when it has none, or when this
    machine proves it. What such a proved one left of its claim is taken away.
    """
    if seat.dead:
        _sweep(seat)
    if not (left := _open_runs(seat)):
        return
    alive = renewed_meanwhile(seat, [one for one in seat.store.leases() if one.run_id in left])
    for run_id, what in _open_runs(seat).items():  # anew: one may have ended well meanwhile
        if run_id not in alive:
            raise _orphaned(seat, run_id, what)


def renewed_meanwhile(seat: Seat, leases: Iterable[Lease]) -> frozenset[str]:
    """
    The runs that renewed one of these Leases while we watched: until all were seen alive, at most for a duration.

    Ages of Leases say nothing: their times are those of other clocks. Who is proved to be dead is not waited for.
    """
    waiting = {one.target: one for one in leases if not seat.proves_dead(one)}
    for run_id in sorted({one.run_id for one in waiting.values()}):
        seat.say(_what_is_waited_for(run_id, [one for one in waiting.values() if one.run_id == run_id]))
    end = seat.clock.monotonic() + max((one.seconds for one in waiting.values()), default=0.0)
    alive: set[str] = set()
    while waiting and seat.clock.monotonic() < end:
        seat.clock.sleep(min(_LOOKS, end - seat.clock.monotonic()))
        now = {one.target: one for one in seat.store.leases()}
        for target, before in tuple(waiting.items()):
            found = now.get(target)
            if found is None or (found.holder, found.renewed) != (before.holder, before.renewed):
                alive |= {found.run_id} if found else set()
                del waiting[target]
    return frozenset(alive)


def acquire(seat: Seat, card: RunCard) -> list[Lease]:
    """
    Own every target of a new run; what a dead run without open promises left behind is taken over.

    Raise Refused or Orphaned, holding none.
    """
    targets = lease_targets(card)
    theirs = [one for one in seat.store.leases() if one.target in targets]
    _must_be_free(seat, theirs)
    return _take(seat, card.run_id, targets, card.run_id, theirs)


def take_over(seat: Seat, card: RunCard, holder: str, *, takeover: bool, owner_is_dead: bool) -> list[Lease]:
    """
    Own the targets of a run that is to be taken back. `owner_is_dead`: the flock of its journal proves that.

    Raise Refused while the run's own Leases are there and neither proof nor `takeover` is, or when they are renewed.
    """
    there = seat.store.leases()
    # One that it took is its own also where it died before its card named the target.
    targets = {*lease_targets(card), *(one.target for one in there if one.run_id == card.run_id)}
    theirs = [one for one in there if one.target in targets]
    for one in theirs:
        if one.run_id != card.run_id:
            raise Refused(f"node {one.target} belongs to run {one.run_id} on {one.host}")
    proved = owner_is_dead and all(one.holder == card.run_id for one in theirs)
    if theirs and not proved:
        _must_be_dead(seat, card, theirs, takeover=takeover)
    return _take(seat, card.run_id, sorted(targets), holder, theirs)


def let_go(seat: Seat, leases: Iterable[Lease]) -> list[str]:
    """Give Leases back; sentences about those that could not be. One that is somebody else's by now stays."""
    trouble = []
    for one in leases:
        try:
            seat.store.drop_lease(one)
        except TargetRefused as refusal:
            with contextlib.suppress(ScenarioRunnerError):  # an answer of ours had been lost: its version is newer
                found = seat.store.lease(one.target)
                if found is None or found.holder != one.holder:
                    continue
                seat.store.drop_lease(found)
                continue
            trouble.append(f"the Lease of {one.target} could not be given back: {refusal}")
        except ScenarioRunnerError as exc:
            trouble.append(f"the Lease of {one.target} could not be given back: {exc}")
    return trouble


def _must_be_dead(seat: Seat, card: RunCard, theirs: list[Lease], *, takeover: bool) -> None:
    one = theirs[0]
    if not takeover:
        raise Refused(
            f"run {card.run_id} owns its targets in the cluster, as {one.holder} on {one.host}: if that process is "
            f"dead, add --takeover; it takes {one.seconds:g}s to see that nobody renews them"
        )
    if renewed_meanwhile(seat, theirs):
        raise Refused(f"run {card.run_id} lives: {one.holder} on {one.host} renewed its Lease while we watched")


def _must_be_free(seat: Seat, theirs: list[Lease]) -> None:
    """Raise Refused for the Lease of a run that lives, Orphaned for that of one that left something."""
    if not theirs:
        return
    alive = renewed_meanwhile(seat, theirs)
    left = _open_runs(seat)
    for one in theirs:
        if one.run_id in alive:
            raise Refused(f"node {one.target} belongs to run {one.run_id} on {one.host}, which is still running")
        if one.run_id in left:
            raise _orphaned(seat, one.run_id, left[one.run_id])


def _take(seat: Seat, run_id: str, targets: Iterable[str], holder: str, theirs: list[Lease]) -> list[Lease]:
    """
    A Lease of each target: new, or as it was when we began to watch it, so that nobody is robbed who woke up since.

    Raise Refused, holding none, when somebody else is faster.
    """
    found = {one.target: one for one in theirs}
    held: list[Lease] = []
    try:
        for target in targets:
            wanted = Lease(target, holder, seat.stamp(), seat.seconds, seat.host, seat.boot)
            held.append(_write(seat, wanted, found.get(target)))
    except BaseException as exc:
        let_go(seat, held)
        if isinstance(exc, TargetRefused) and exc.code in _FASTER:
            raise Refused(f"somebody else took a target of run {run_id} this moment: {exc}") from exc
        raise
    for other in {one.run_id for one in theirs} - {run_id}:
        _bury(seat, other)
    return held


def _what_is_waited_for(run_id: str, theirs: list[Lease]) -> str:
    one = theirs[0]
    nodes = ", ".join(lease.target for lease in theirs)
    return f"waiting up to {one.seconds:g}s to see whether run {run_id} on {one.host}, which has {nodes}, still lives"


def _sweep(seat: Seat) -> None:
    """Let go of what runs held that are proved to be dead, unless they left something: that is for `recover`."""
    left = _open_runs(seat)
    for one in seat.store.leases():
        if seat.proves_dead(one) and one.run_id not in left:
            let_go(seat, [one])
            _bury(seat, one.run_id)


def _bury(seat: Seat, run_id: str) -> None:
    """Take away what a dead run without open promises left: its copy, which says nothing."""
    copy = seat.store.copy(run_id)
    if copy is not None and not is_open(copy, seat.undos):
        with contextlib.suppress(TargetRefused):  # gone, or somebody else just did
            seat.store.drop_copy(copy)


def _write(seat: Seat, wanted: Lease, found: Lease | None) -> Lease:
    if found is not None:
        try:
            return seat.store.write_lease(replace(wanted, version=found.version))
        except TargetRefused as refusal:
            if refusal.code != "NotFound":  # its owner gave it back meanwhile
                raise
    return seat.store.add_lease(wanted)


def _orphaned(seat: Seat, run_id: str, what: str) -> Orphaned:
    return Orphaned(
        f"run {run_id} ended before it had taken everything back ({what}), as the cluster remembers: "
        f"type `scenario-runner recover {run_id}{seat.named}` first"
    )


def _open_runs(seat: Seat) -> dict[str, str]:
    """What is left of which run, as the cluster remembers."""
    return {one.run_id: subjects(one, seat.undos) for one in seat.store.copies() if is_open(one, seat.undos)}
