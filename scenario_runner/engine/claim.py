"""
A run's ownership of its cluster and targets on this machine, and the port of the same thing in the cluster.

Signatures: `take(state, run_dir, card, undos) -> Claim` (raises Refused or Orphaned), `Claim.journal`,
`Claim.release()`, `runs_of(state, identity, undos) -> tuple[KnownRun, ...]`, `find_run(state, run_id) -> Path | None`.

    <state>/clusters/<identity>/gate                 held for milliseconds, while a run comes or is taken back
    <state>/clusters/<identity>/targets/<hash>.lock  one per node, held for the whole run; says whose it is
    <state>/clusters/<identity>/runs/<run-id>        the run's folder; there as long as something may be left to undo
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from scenario_runner.core.step import Undo
from scenario_runner.engine.appending import Disk, sync_folder
from scenario_runner.engine.journal import Journal
from scenario_runner.engine.records import Promise, Replay, replay
from scenario_runner.engine.run_card import CARD, JOURNAL, RunCard, rewrite_card, write_card
from scenario_runner.errors import Orphaned, Refused


class ClusterClaim(Protocol):
    """The same claim in the cluster, for runs from several machines."""

    @property
    def lost(self) -> str:
        """Why the targets are somebody else's by now, and with them the duty to take everything back; "" while ours."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What went wrong without harm."""
        ...

    def promised(self, promises: tuple[Promise, ...]) -> None:
        """Copy the promises, the last one of which is new and on the local disk; raise StepBroken when that fails."""
        ...

    def check(self) -> None:
        """
        Raise before anything is changed or taken back by somebody who may not: Fenced for good, TargetUnreachable
        while nobody knows.
        """
        ...


class LocalOnly:
    """No claim in the cluster: for tests of one run alone."""

    lost = ""
    notes: tuple[str, ...] = ()

    def promised(self, promises: tuple[Promise, ...]) -> None:
        del promises

    def check(self) -> None:
        return


@dataclass(frozen=True)
class KnownRun:
    """A run that the state folder knows: alive, or dead with something left to undo. `past` is None: journal gone."""

    run_id: str
    run_dir: Path
    alive: bool
    past: Replay | None

    @property
    def clean(self) -> bool:
        return self.past is not None and not self.past.outstanding and not self.past.bad


class Claim:
    """What a living run holds. The locks fall with the process, whatever ends it."""

    def __init__(self, journal: Journal, run_dir: Path, entry: Path, locks: list[int]) -> None:
        self.journal = journal
        self._run_dir = run_dir
        self._entry = entry
        self._locks = locks

    def abandon(self) -> None:
        """Let go of a run that never began: its folder must not look like one that did."""
        self.release()
        for name in (JOURNAL, CARD):
            (self._run_dir / name).unlink(missing_ok=True)
        self._run_dir.rmdir()

    def widen(self, card: RunCard, node: str, also: Callable[[], None]) -> None:
        """
        Own one more node, here and by what `also` does in the cluster, and only then write it on the run's card.

        Raise Refused, owning no more than before, when another run has it.
        """
        more = lock_targets(self._entry.parent.parent, card.run_id, (node,))
        try:
            also()
            rewrite_card(self._run_dir, card)
        except OSError as exc:
            unlock(more)
            raise Refused(f"the run's folder {self._run_dir} cannot be written: {exc.strerror}") from exc
        except BaseException:
            unlock(more)
            raise
        self._locks += more

    def release(self, *, claims_stay: bool = False) -> None:
        """
        Let go; the run stays known as long as a promise of it is open or a line of its journal is unreadable.

        `claims_stay`: also while its Leases are still in the cluster, so that the next run knows them for a dead one's.
        """
        if not claims_stay and not self.journal.outstanding and not self.journal.bad:
            self._entry.unlink(missing_ok=True)
        self.journal.close()
        for lock in self._locks:
            os.close(lock)
        self._locks = []


def take(state: Path, run_dir: Path, card: RunCard, undos: Mapping[str, type[Undo]], disk: Disk | None = None) -> Claim:
    """Own the card's targets and open the run's journal. Raise Refused or Orphaned: nothing was touched."""
    cluster = folder(state, card.identity)
    with gate(cluster):
        for run_id in _refuse_orphans(cluster, undos):
            (cluster / "runs" / run_id).unlink()
        locks = lock_targets(cluster, card.run_id, card.targets)
        try:
            return _open_run(cluster, run_dir, card, undos, disk or Disk(), locks)
        except OSError as exc:
            unlock(locks)
            raise Refused(f"the run's folder {run_dir} cannot be written: {exc.strerror}") from exc
        except Refused:
            unlock(locks)
            raise


def refuse_orphans(state: Path, identity: str, undos: Mapping[str, type[Undo]]) -> frozenset[str]:
    """
    The runs that are dead for certain and left nothing but, perhaps, their claims in the cluster.

    Raise Orphaned while a dead run has something left on this cluster: no plan of a next one can be right.
    """
    cluster = folder(state, identity)
    with gate(cluster):
        return _refuse_orphans(cluster, undos)


def runs_of(state: Path, identity: str, undos: Mapping[str, type[Undo]]) -> tuple[KnownRun, ...]:
    """Every run against one cluster that is alive or has something left to undo, oldest first."""
    return _known(folder(state, identity), undos)


def find_run(state: Path, run_id: str) -> Path | None:
    """The folder of a known run, whichever cluster it belongs to."""
    entry = next(iter((state / "clusters").glob(f"*/runs/{run_id}")), None)
    return None if entry is None else Path(entry.read_text(encoding="utf-8").strip())


def identities(state: Path) -> tuple[str, ...]:
    """The clusters that runs are known of."""
    return tuple(sorted(entry.name for entry in (state / "clusters").glob("*") if any((entry / "runs").glob("*"))))


def forget(state: Path, identity: str, run_id: str) -> None:
    """Drop a run that has nothing left to undo."""
    (folder(state, identity) / "runs" / run_id).unlink(missing_ok=True)


@contextmanager
def gate(cluster: Path) -> Iterator[None]:
    """Only one process at a time looks at who is there and becomes one of them."""
    fd = os.open(cluster / "gate", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def lock_targets(cluster: Path, run_id: str, targets: tuple[str, ...]) -> list[int]:
    """File descriptors that hold the locks; raise Refused, holding none, when another run has one of them."""
    locks: list[int] = []
    for target in sorted(targets):
        name = hashlib.sha256(target.encode()).hexdigest()[:16]
        fd = os.open(cluster / "targets" / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        locks.append(fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(fd, 200, 0).decode(errors="replace").strip()
            unlock(locks)
            raise Refused(f"node {target} belongs to run {owner}, which is still running") from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, run_id.encode(), 0)
    return locks


def is_owned(journal: Path) -> bool:
    """Whether a living process owns a journal."""
    fd = os.open(journal, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _open_run(
    cluster: Path, run_dir: Path, card: RunCard, undos: Mapping[str, type[Undo]], disk: Disk, locks: list[int]
) -> Claim:
    _make(run_dir)
    write_card(run_dir, card)
    journal = Journal.own(run_dir / JOURNAL, card.run_id, undos, disk)
    # Only now: an entry without an owned journal means that its run is dead.
    entry = cluster / "runs" / card.run_id
    entry.write_text(f"{run_dir.absolute()}\n", encoding="utf-8")
    sync_folder(entry.parent)
    return Claim(journal, run_dir, entry, locks)


def _refuse_orphans(cluster: Path, undos: Mapping[str, type[Undo]]) -> frozenset[str]:
    dead = [run for run in _known(cluster, undos) if not run.alive]
    for run in dead:
        if not run.clean:
            raise Orphaned(
                f"run {run.run_id} ended before it had taken everything back ({_what(run)}): "
                f"type `scenario-runner recover {run.run_id}` first"
            )
    return frozenset(run.run_id for run in dead)


def _what(run: KnownRun) -> str:
    if run.past is None:
        return f"its journal in {run.run_dir} is gone"
    left = [promise.subject() for promise in run.past.outstanding]
    return ", ".join([*left, *run.past.bad])


def _known(cluster: Path, undos: Mapping[str, type[Undo]]) -> tuple[KnownRun, ...]:
    runs = []
    for entry in sorted((cluster / "runs").iterdir()):
        run_dir = Path(entry.read_text(encoding="utf-8").strip())
        try:
            alive = is_owned(run_dir / JOURNAL)
            past = replay(run_dir / JOURNAL, undos)
        except FileNotFoundError:
            alive, past = False, None
        runs.append(KnownRun(entry.name, run_dir, alive, past))
    return tuple(runs)


def folder(state: Path, identity: str) -> Path:
    """The folder of one cluster, made if need be."""
    cluster = state / "clusters" / identity
    for name in ("targets", "runs"):
        _make(cluster / name, shared=True)
    return cluster


def _make(folder: Path, *, shared: bool = False) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=shared)
    except FileExistsError:
        raise Refused(f"{folder} exists already: every run has a folder of its own") from None
    except OSError as exc:
        raise Refused(f"the folder {folder} cannot be made: {exc.strerror}") from exc


def unlock(locks: list[int]) -> None:
    for lock in locks:
        os.close(lock)
