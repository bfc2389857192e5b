"""
The exhaustive kill matrix: a drill of several changes dies by SIGKILL before and after each write of its journal, each
write of its claim in the cluster and each act, and what it left is taken back from its folder alone, or from another
machine by what the cluster remembers.

The world is a file, each life is a fork of this warm process: a point costs milliseconds.
"""

import os
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scenario_runner.core.undo import UNDOS
from scenario_runner.core.undo.delete_created import DeleteCreated
from scenario_runner.engine import claim, cluster_claim, leases, recover
from scenario_runner.engine.appending import Disk
from scenario_runner.engine.copies import is_open
from scenario_runner.engine.recover import Reach, Recovery
from scenario_runner.engine.run_card import RunCard, Scope
from scenario_runner.errors import Orphaned, Refused
from tests.engine.kinds import Claim, Furnish, Inject, Pause, Retouch, TakeBack
from tests.fakes import FakeBeats, FakeWorld, plan_of, planned

pytestmark = pytest.mark.timeout(180)  # hundreds of processes, on a machine that may be busy

IDENTITY = "11111111-2222-3333-4444-555555555555"
DRILL = plan_of(
    Inject(xid=94),
    planned(Retouch(), scope=("group",)),
    planned(Inject(xid=48, node="gpu-2"), "second", scope=("group",)),
    Pause(),
    TakeBack(),
    Furnish(),
    planned(Retouch(value="bigger"), "third"),
    Claim(),
)


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


def live(life: Callable[[], None]) -> bool:
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
    """The folders of a run and of the world, and what may happen in them."""

    def __init__(self, root: Path) -> None:
        self.state = root / "state"
        self.run_dir = root / "reports" / "run-1"
        self.kept = root / "world.json"
        root.mkdir()

    def run(self, death: Death) -> None:
        held = claim.take(self.state, self.run_dir, card("run-1"), UNDOS, death.disk())
        world = FakeWorld(self.run_dir, self.kept, journal=held.journal)
        world.agent.crashing = world.cluster.crashing = world.claims.crashing = death.around
        hold = cluster_claim.take(world.seat(), card("run-1"))
        world.claim = hold
        world.run(DRILL)
        hold.release(held.journal.promises)
        held.release()
        death.point()

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


def open_promises(place: Place) -> int:
    try:
        return len(recover.look(place.run_dir, UNDOS)[1].outstanding)
    except Refused:
        return 0


def test_whenever_a_run_is_killed_everything_is_taken_back_from_its_folder(tmp_path):
    calm = Place(tmp_path / "calm").world().snapshot()
    for number in range(10_000):
        place = Place(tmp_path / f"{number:03d}")
        survived = live(lambda place=place, number=number: place.run(Death(number)))
        if survived:
            break
        _check(place, calm, number)
    assert number > 100, "the matrix shrank: are there still points to die at?"
    assert place.world().snapshot() == calm


def _check(place: Place, calm: dict[str, object], number: int) -> None:
    left = open_promises(place)
    if not (place.state / "clusters" / IDENTITY / "runs" / "run-1").exists():
        assert place.world().snapshot() == calm, f"point {number}: changed, and nobody knows the run"
        return
    if left:
        with pytest.raises(Orphaned, match=r"type `scenario-runner recover run-1` first"):
            place.next_run()
    result = place.recover()
    assert ([one.outcome for one in result.undo], result.bad) == (["kept"] * left, ()), f"point {number}"
    assert place.world().snapshot() == calm, f"point {number}"
    assert place.recover().undo == (), f"point {number}: recovered twice"
    place.next_run()


def test_whenever_a_run_is_killed_everything_is_taken_back_from_another_machine(tmp_path):
    """Neither its folder nor its state is there: what the cluster remembers must be enough."""
    calm = Place(tmp_path / "calm").world().snapshot()
    orphans = 0
    for number in range(10_000):
        place = Place(tmp_path / f"{number:03d}")
        survived = live(lambda place=place, number=number: place.run(Death(number)))
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
        if survived:
            break
    assert orphans > 60, "the matrix shrank: are there still points to die at?"


def test_whenever_a_recovery_from_another_machine_is_killed_the_next_one_finishes_it(tmp_path):
    calm = Place(tmp_path / "calm").world().snapshot()
    for number in range(10_000):
        place = Place(tmp_path / f"{number:03d}")
        assert not live(lambda place=place: place.run(Death(_IN_THE_MIDDLE)))
        survived = live(lambda place=place, number=number: _recover_from_afar(place, number))
        if not survived and place.world().claims.copy("run-1") is not None:
            place.recover_from_afar()
        assert place.world().snapshot() == calm, f"point {number}"
        place.next_run_from_afar()
        if survived:
            break
    assert number > 10


def test_whenever_a_recovery_is_killed_the_next_one_finishes_it(tmp_path):
    calm = Place(tmp_path / "calm").world().snapshot()
    for number in range(10_000):
        place = Place(tmp_path / f"{number:03d}")
        assert not live(lambda place=place: place.run(Death(_IN_THE_MIDDLE)))
        assert place.world().snapshot() != calm
        survived = live(lambda place=place, number=number: _recover(place, number))
        if not survived:
            place.recover()
        assert place.world().snapshot() == calm, f"point {number}"
        place.next_run()
        if survived:
            break
    assert number > 10


_IN_THE_MIDDLE = 45  # a point at which several changes are made and none is taken back


def _recover(place: Place, number: int) -> None:
    place.recover(Death(number))


def _recover_from_afar(place: Place, number: int) -> None:
    place.recover_from_afar(Death(number))


@pytest.mark.parametrize("way", ["recover", "recover_from_afar"])
def test_a_creation_that_lands_after_its_run_was_killed_is_found_by_the_recovery(tmp_path, way):
    """The request had left when the process died: it is carried out while everything is taken back."""
    calm = Place(tmp_path / "calm").world().snapshot()
    place = Place(tmp_path / "place")
    assert not live(lambda: place.run(DeathBefore("create ConfigMap")))
    (promise,) = (
        one for one in recover.look(place.run_dir, UNDOS)[1].outstanding if isinstance(one.undo, DeleteCreated)
    )
    world, content = place.world(), {"data": {"library": "bytes"}}
    ref, claimed = promise.undo.touches(), f"run-1/{promise.seq}"
    world.time.after(45.0, lambda: world.cluster.create(ref, claimed, content))
    reach = rescue(world)

    if way == "recover":
        result = recover.recover(place.run_dir, place.state, reach, UNDOS)
    else:
        assert reach.seat is not None
        result = recover.recover_copy(recover.look_copy(reach.seat, "run-1"), reach)

    assert f"{promise.subject()} was deleted" in [one.detail for one in result.undo]
    assert place.world().snapshot() == calm
