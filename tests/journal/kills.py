"""
What the kill matrices stand on: a drill that dies by SIGKILL before and after each write of its journal, each write of
its claim in the cluster and each act.

The world is a file, each life is a fork of this warm process: a point costs milliseconds.
"""

import os
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from scenario_runner.app.claiming import Widening
from scenario_runner.core.plan import Plan
from scenario_runner.core.undo import UNDOS
from scenario_runner.engine import claim, cluster_claim, leases, recover
from scenario_runner.engine.appending import Disk
from scenario_runner.engine.copies import is_open
from scenario_runner.engine.recover import Reach, Recovery
from scenario_runner.engine.run_card import RunCard, Scope
from scenario_runner.errors import Orphaned, Refused
from tests.fakes import FakeBeats, FakeWorld

IDENTITY = "11111111-2222-3333-4444-555555555555"


class Death:
    """Ends this process by SIGKILL at the point with a given number."""

    def __init__(self, at: int) -> None:
        self.left = at

    def point(self) -> None:
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1

    def disk(self) -> Disk:
        return Disk(write=self._write, sync=self._sync, truncate=self._truncate)

    @contextmanager
    def around(self, what: str) -> Iterator[None]:
        del what
        self.point()
        yield
        self.point()

    def _write(self, fd: int, data: bytes) -> int:
        """Dies before the write, in its middle, and after it."""
        self.point()
        half = os.write(fd, data[: len(data) // 2])
        self.point()
        return half + os.write(fd, data[half:])

    def _sync(self, fd: int) -> None:
        self.point()
        os.fsync(fd)
        self.point()

    def _truncate(self, fd: int, length: int) -> None:
        self.point()
        os.ftruncate(fd, length)
        self.point()


class DeathBefore(Death):
    """Ends this process when it is about to do the one thing."""

    def __init__(self, what: str) -> None:
        super().__init__(-1)
        self.what = what

    @contextmanager
    def around(self, what: str) -> Iterator[None]:
        if what.startswith(self.what):
            os.kill(os.getpid(), signal.SIGKILL)
        yield


def live(life: Callable[[], object]) -> bool:
    """Live in a fork; whether it came to its natural end."""
    with warnings.catch_warnings():
        # Newer Pythons warn of a fork beside threads; the only other ones are those of the test runner, and idle.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = 70
        try:
            life()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the life itself is wrong"
    return not os.WIFSIGNALED(status)


class Place:
    """The folders of a run and of the world, and what may happen in them; a subclass says which drill it is."""

    drill: ClassVar[Plan]
    nodes: ClassVar[tuple[str, ...]] = ("gpu-1", "gpu-2")

    def __init__(self, root: Path) -> None:
        self.state = root / "state"
        self.run_dir = root / "reports" / "run-1"
        self.kept = root / "world.json"
        root.mkdir()

    def run(self, death: Death) -> None:
        mine = replace(card("run-1"), targets=self.nodes)
        held = claim.take(self.state, self.run_dir, mine, UNDOS, death.disk())
        world = FakeWorld(self.run_dir, self.kept, journal=held.journal)
        world.agent.crashing = world.cluster.crashing = world.claims.crashing = death.around
        hold = cluster_claim.take(world.seat(), mine)
        world.claim, world.own = hold, Widening(mine, held, hold)
        self.live(world)
        hold.release(held.journal.promises)
        held.release()
        death.point()

    def live(self, world: FakeWorld) -> None:
        world.run(self.drill)

    def recover(self, death: Death | None = None) -> Recovery:
        disk = death.disk() if death else None
        return recover.recover(self.run_dir, self.state, self.reach(death), UNDOS, disk)

    def recover_from_afar(self, death: Death | None = None) -> Recovery:
        """On another machine, which has neither the folder of the run nor our state."""
        reach = self.reach(death)
        assert reach.seat is not None
        return recover.recover_copy(recover.look_copy(reach.seat, "run-1"), reach)

    def reach(self, death: Death | None = None) -> Reach:
        world = self.world()
        if death is not None:
            world.agent.crashing = world.cluster.crashing = world.claims.crashing = death.around
        return rescue(world)

    def world(self) -> FakeWorld:
        spare = self.state.parent / "spare"
        spare.mkdir(exist_ok=True)
        return FakeWorld(spare, self.kept, journal=_NO_JOURNAL)

    def next_run(self) -> None:
        number = len(list(self.state.parent.glob("reports/*"))) + 1
        claim.take(self.state, self.run_dir.parent / f"next-{number}", card(f"next-{number}"), UNDOS).release()

    def next_run_from_afar(self) -> None:
        seat = self.world().seat("rescue")
        leases.refuse_orphans(seat)
        cluster_claim.take(seat, card("next")).release(())


_NO_JOURNAL = object()


def rescue(world: FakeWorld) -> Reach:
    seat, beats = world.seat("rescue"), FakeBeats(world.time)
    return Reach(world.undo_clock, world.agent, world.cluster, seat, takeover=True, beats=beats)


def card(run_id: str) -> RunCard:
    scope = Scope(("dynamo",), ("uid-vllm-decode",))
    return RunCard(
        run_id, "drill", "drill.yaml", "0" * 64, IDENTITY, "a fake", "", "", "", ("gpu-1", "gpu-2"), scope=scope
    )


def deaths(root: Path, make: type[Place]) -> Iterator[tuple[int, Place]]:
    """For each point at which a run can die a place where it did, and at last the one where it came to its end."""
    for number in range(10_000):
        place = make(root / f"{number:03d}")
        survived = live(lambda place=place, number=number: place.run(Death(number)))
        yield number, place
        if survived:
            return


def points_recovered_from_the_folder(root: Path, make: type[Place]) -> int:
    """Take back, from its folder, what a run left at each point at which it can die; how many points there are."""
    calm = make(root / "calm").world().snapshot()
    number = 0
    for number, place in deaths(root, make):
        if not (place.state / "clusters" / IDENTITY / "runs" / "run-1").exists():
            assert place.world().snapshot() == calm, f"point {number}: changed, and nobody knows the run"
            continue
        left = open_promises(place)
        if left:
            with pytest.raises(Orphaned, match=r"type `scenario-runner recover run-1` first"):
                place.next_run()
        result = place.recover()
        assert ([one.outcome for one in result.undo], result.bad) == (["kept"] * left, ()), f"point {number}"
        assert place.world().snapshot() == calm, f"point {number}"
        assert place.recover().undo == (), f"point {number}: recovered twice"
        place.next_run()
    return number


def orphans_recovered_from_afar(root: Path, make: type[Place]) -> int:
    """
    The same on another machine, by what the cluster remembers; at how many points it remembers something.

    Neither the run's folder nor its state is there.
    """
    calm = make(root / "calm").world().snapshot()
    orphans = 0
    for number, place in deaths(root, make):
        copy = place.world().claims.copy("run-1")
        if copy is not None and is_open(copy, UNDOS):
            orphans += 1
            with pytest.raises(Orphaned, match=r"as the cluster remembers: type `scenario-runner recover run-1` first"):
                place.next_run_from_afar()
            result = place.recover_from_afar()
            assert {one.outcome for one in result.undo} == {"kept"}, f"point {number}"
            assert (result.bad, place.world().claims.raw) == ((), {}), f"point {number}"
        assert place.world().snapshot() == calm, f"point {number}"
        place.next_run_from_afar()
    return orphans


def open_promises(place: Place) -> int:
    try:
        return len(recover.look(place.run_dir, UNDOS)[1].outstanding)
    except Refused:
        return 0
