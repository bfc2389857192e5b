"""
The cluster's half of a claim: renewed Leases, the copy of the open promises, and the fence before every change.

    held = cluster_claim.take(seat, card)              # Refused, Orphaned
    end = beats.every(held.every, held.renew, "lease")
    ...                                                # World(claim=held)
    end(); held.release(journal.promises)
"""

import secrets
import threading
from collections.abc import Callable
from dataclasses import replace

from scenario_runner.core.claims import Lease, RunCopy
from scenario_runner.engine import leases
from scenario_runner.engine.copies import card_line, promise_lines
from scenario_runner.engine.leases import Seat
from scenario_runner.engine.records import Promise
from scenario_runner.engine.run_card import RunCard
from scenario_runner.errors import Fenced, Refused, ScenarioRunnerError, StepBroken, TargetRefused, TargetUnreachable

_FENCE = 2 / 3  # of a Lease's duration: later than that since its last renewal, somebody may be about to take it
_RENEWALS = 6  # per duration


def take(seat: Seat, card: RunCard) -> "ClusterHold":
    """Own the targets of a new run in the cluster. Raise Refused or Orphaned: nothing was touched."""
    began = seat.clock.monotonic()
    held = leases.acquire(seat, card)
    try:
        copy = seat.store.add_copy(RunCopy(card.run_id, card.run_id, card_line(card), ""))
    except BaseException as exc:
        leases.let_go(seat, held)
        if isinstance(exc, TargetRefused):
            raise Refused(f"the promises of run {card.run_id} cannot be kept in the cluster: {exc}") from exc
        raise
    return ClusterHold(seat, card, held, copy, began)


def take_over(seat: Seat, card: RunCard, *, takeover: bool, owner_is_dead: bool) -> "ClusterHold":
    """Own what a dead run had, to take it back; Refused as in `leases.take_over`."""
    holder = f"{card.run_id}/{secrets.token_hex(3)}"
    held = leases.take_over(seat, card, holder, takeover=takeover, owner_is_dead=owner_is_dead)
    began = seat.clock.monotonic()
    try:
        found = seat.store.copy(card.run_id)
        copy = seat.store.write_copy(replace(found, holder=holder)) if found else None
    except BaseException:
        leases.let_go(seat, held)
        raise
    return ClusterHold(seat, card, held, copy, began)


class ClusterHold:
    """
    Implements `engine.claim.ClusterClaim`. Safe for several threads.

    A renewal is conditional on the version that we wrote: where it goes through, nobody has taken anything over.
    """

    def __init__(self, seat: Seat, card: RunCard, held: list[Lease], copy: RunCopy | None, began: float) -> None:
        self.every = seat.seconds / _RENEWALS
        self.lost = ""  # why the targets are not ours any more
        self.on_lost: Callable[[str], None] = lambda why: None
        self.copy = copy
        self._seat = seat
        self._card = card
        self._holder = held[0].holder
        self._leases = held
        self._renewed = began
        self._lock = threading.RLock()
        self._notes: list[str] = []

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self._notes)

    def renew(self) -> None:
        """Called regularly, raises nothing: what matters is told by `check`, before the next change."""
        try:
            self._renew()
        except Fenced:
            pass
        except ScenarioRunnerError as exc:
            self._note(f"the claim in the cluster could not be renewed: {exc}")

    def check(self) -> None:
        """Raise Fenced when the targets are somebody else's, TargetUnreachable while nobody knows."""
        if not self.lost and self._age() < self._seat.seconds * _FENCE:
            return
        age = self._age()
        try:
            self._renew()
        except Fenced:
            raise
        except StepBroken as exc:
            raise TargetUnreachable(
                f"fenced: the claim in the cluster was renewed {age:.0f}s ago, nothing may be changed before it is "
                f"renewed again: {exc}"
            ) from exc

    def promised(self, promises: tuple[Promise, ...]) -> None:
        """Bring the cluster's copy up to date and tell on the object of the last promise what comes."""
        self._write_copy(promise_lines(self._card.run_id, promises))
        self._announce("FaultDrill", promises[-1], "changes this")

    def widen(self, card: RunCard, node: str) -> None:
        """
        Own one more node, and say so on the card of the cluster's copy.

        Raise Refused or Orphaned, owning no more than before. A Lease that nobody renews is watched for its duration.
        """
        more = leases.acquire(self._seat, replace(card, targets=(node,)))
        try:
            with self._lock:
                self._raise_if_lost()
                self._write(card=card_line(card))
                self._card = card
                self._leases = [*self._leases, *more]
        except BaseException:
            leases.let_go(self._seat, more)
            raise

    def release(self, promises: tuple[Promise, ...], *, unreadable: bool = False) -> None:
        """Let go; the copy stays as long as a promise is open, to the letter if a part of it is unreadable."""
        if self.lost:
            return
        with self._lock:
            try:
                if not unreadable:
                    self._settle(promises)
            except ScenarioRunnerError as exc:
                self._note(f"the cluster's copy of the promises could not be brought up to date: {exc}")
            self._notes.extend(leases.let_go(self._seat, self._leases))

    def _settle(self, promises: tuple[Promise, ...]) -> None:
        if any(one.open for one in promises):
            self._write_copy(promise_lines(self._card.run_id, promises))
        elif self.copy is not None:
            self._drop_copy(self.copy)
        for one in promises:
            if one.state == "kept":
                self._announce("FaultDrillTakenBack", one, "has taken this back")

    def _age(self) -> float:
        return self._seat.clock.monotonic() - self._renewed

    def _renew(self) -> None:
        with self._lock:
            self._raise_if_lost()
            began = self._seat.clock.monotonic()
            self._leases = [self._renew_one(one) for one in self._leases]
            self._renewed = began

    def _renew_one(self, lease: Lease) -> Lease:
        renewed = replace(lease, renewed=self._seat.stamp())
        try:
            return self._seat.store.write_lease(renewed)
        except TargetRefused as refusal:
            if refusal.code not in {"Conflict", "NotFound"}:
                raise
        found = self._seat.store.lease(lease.target)
        if found is None:
            raise self._lose(f"the Lease of {lease.target} is gone")
        if found.holder != self._holder:
            raise self._lose(f"the Lease of {lease.target} was taken over by {found.holder} on {found.host}")
        return self._seat.store.write_lease(replace(renewed, version=found.version))  # only an answer had been lost

    def _write_copy(self, text: str) -> None:
        with self._lock:
            self._raise_if_lost()
            self._write(promises=text)

    def _write(self, **parts: str) -> None:
        """Write parts of the copy anew."""
        with self._lock:
            store, run_id = self._seat.store, self._card.run_id
            if self.copy is None:
                self.copy = store.add_copy(replace(RunCopy(run_id, self._holder, card_line(self._card), ""), **parts))
                return
            try:
                self.copy = store.write_copy(replace(self.copy, **parts))
                return
            except TargetRefused as refusal:
                if refusal.code not in {"Conflict", "NotFound"}:
                    raise
            found = store.copy(run_id)
            if found is None or found.holder != self._holder:
                raise self._lose("the cluster's copy of our promises is somebody else's by now")
            self.copy = store.write_copy(replace(found, **parts))

    def _drop_copy(self, copy: RunCopy) -> None:
        try:
            self._seat.store.drop_copy(copy)
        except TargetRefused:
            found = self._seat.store.copy(copy.run_id)
            if found is not None and found.holder == self._holder:
                self._seat.store.drop_copy(found)  # only an answer had been lost

    def _raise_if_lost(self) -> None:
        if self.lost:
            raise Fenced(self.lost)

    def _lose(self, why: str) -> Fenced:
        self.lost = f"fenced: {why}; who has it now takes our changes back"
        self.on_lost(self.lost)
        return Fenced(self.lost)

    def _announce(self, reason: str, promise: Promise, what: str) -> None:
        """An Event is a courtesy: without one the run goes on, and says so."""
        if promise.undo is None:
            return
        run_id, name = self._card.run_id, self._card.scenario
        text = (
            f"run {run_id} of scenario {name}, started on {self._seat.host}, {what}: {promise.subject()}"
            f"; `scenario-runner recover {run_id}` takes it back if the run is dead"
        )
        if reason == "FaultDrillTakenBack":
            text = text.partition("; ")[0]
        try:
            self._seat.store.announce(promise.undo.touches(), reason, text)
        except ScenarioRunnerError as exc:
            self._note(f"no Event tells of {promise.subject()}: {exc}")

    def _note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)
