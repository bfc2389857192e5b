"""Who owns which target in the cluster: Leases are taken, watched on our own clock, taken over and let go."""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from scenario_runner.core.claims import ClaimStore, Lease
from scenario_runner.core.clock import Clock
from scenario_runner.core.step import Undo
from scenario_runner.engine.copies import is_open, subjects
from scenario_runner.engine.run_card import RunCard
from scenario_runner.errors import Orphaned, Refused, ScenarioRunnerError, TargetRefused

LEASE_SECONDS = 30.0
_LOOKS = 0.5  # seconds between looks at Leases that may be dead


@dataclass(frozen=True)
class Seat:
    """
    What a claim is made with. `clock` may be one that a person stops; `host` is where we are, for people.

    `named` is how the command line names this cluster: " --context NAME".
    """

    store: ClaimStore
    clock: Clock
    undos: Mapping[str, type[Undo]]
    host: str
    named: str = ""
    seconds: float = LEASE_SECONDS

    def stamp(self) -> str:
        return f"{self.clock.now():%Y-%m-%dT%H:%M:%S.%fZ}"


def lease_targets(card: RunCard) -> tuple[str, ...]:
    """What a run holds Leases of; one that changes no node has one for itself, so that it is known to live."""
    return tuple(sorted(card.targets)) or (f"run {card.run_id}",)


def refuse_orphans(seat: Seat) -> None:
    """
    Raise Orphaned while a dead run has something left that only the cluster may know of.

    A run is dead when nobody renews its Leases while we watch for their whole duration, or when it has none.
    """
    if not (left := _open_runs(seat)):
        return
    alive = renewed_meanwhile(seat, [one for one in seat.store.leases() if one.run_id in left])
    for run_id, what in _open_runs(seat).items():  # anew: one may have ended well meanwhile
        if run_id not in alive:
            raise _orphaned(seat, run_id, what)


def renewed_meanwhile(seat: Seat, leases: Iterable[Lease]) -> frozenset[str]:
    """
    The runs that renewed one of these Leases while we watched: until all were seen alive, at most for a duration.

    Ages of Leases say nothing: their times are those of other clocks.
    """
    waiting = {one.target: one for one in leases}
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
    held: list[Lease] = []
    try:
        for target in lease_targets(card):
            held.append(_acquire(seat, Lease(target, card.run_id, seat.stamp(), seat.seconds, seat.host)))
    except BaseException:
        let_go(seat, held)
        raise
    return held


def take_over(seat: Seat, card: RunCard, holder: str, *, takeover: bool, owner_is_dead: bool) -> list[Lease]:
    """
    Own the targets of a run that is to be taken back. `owner_is_dead`: the flock of its journal proves that.

    Raise Refused while the run's own Leases are there and neither proof nor `takeover` is, or when they are renewed.
    """
    found = {one.target: one for one in seat.store.leases()}
    theirs = [found[target] for target in lease_targets(card) if target in found]
    for one in theirs:
        if one.run_id != card.run_id:
            raise Refused(f"node {one.target} belongs to run {one.run_id} on {one.host}")
    proved = owner_is_dead and all(one.holder == card.run_id for one in theirs)
    if theirs and not proved:
        _must_be_dead(seat, card, theirs, takeover=takeover)
    held: list[Lease] = []
    for target in lease_targets(card):
        wanted = Lease(target, holder, seat.stamp(), seat.seconds, seat.host)
        try:
            held.append(_write(seat, wanted, found.get(target)))
        except TargetRefused as refusal:
            let_go(seat, held)
            raise Refused(f"somebody else took the Lease of {target} this moment: {refusal}") from refusal
    return held


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


def _acquire(seat: Seat, wanted: Lease) -> Lease:
    try:
        return seat.store.add_lease(wanted)
    except TargetRefused as refusal:
        if refusal.code != "AlreadyExists":
            raise
    found = seat.store.lease(wanted.target)
    if found is not None:
        if renewed_meanwhile(seat, [found]):
            raise _belongs(found)
        left = _open_runs(seat)
        if found.run_id in left:
            raise _orphaned(seat, found.run_id, left[found.run_id])
    try:
        return _write(seat, wanted, seat.store.lease(wanted.target) if found else None)
    except TargetRefused as refusal:
        raise Refused(f"somebody else took the Lease of {wanted.target} this moment: {refusal}") from refusal


def _write(seat: Seat, wanted: Lease, found: Lease | None) -> Lease:
    if found is None:
        return seat.store.add_lease(wanted)
    return seat.store.write_lease(replace(wanted, version=found.version))


def _belongs(lease: Lease) -> Refused:
    return Refused(f"node {lease.target} belongs to run {lease.run_id} on {lease.host}, which is still running")


def _orphaned(seat: Seat, run_id: str, what: str) -> Orphaned:
    return Orphaned(
        f"run {run_id} ended before it had taken everything back ({what}), as the cluster remembers: "
        f"type `scenario-runner recover {run_id}{seat.named}` first"
    )


def _open_runs(seat: Seat) -> dict[str, str]:
    """What is left of which run, as the cluster remembers."""
    return {one.run_id: subjects(one, seat.undos) for one in seat.store.copies() if is_open(one, seat.undos)}
