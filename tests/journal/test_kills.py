"""The exhaustive kill matrix: a drill of several changes, and each recovery from it, dies wherever it can."""

import pytest

from scenario_runner.core.undo import UNDOS
from scenario_runner.core.undo.delete_created import DeleteCreated
from scenario_runner.engine import recover
from tests.engine.kinds import Claim, Furnish, Inject, Pause, Retouch, TakeBack
from tests.fakes import plan_of, planned
from tests.journal import kills
from tests.journal.kills import Death, DeathBefore, live, rescue

pytestmark = pytest.mark.timeout(180)  # hundreds of processes, on a machine that may be busy


class Place(kills.Place):
    """Several changes, in a group and outside of it."""

    drill = plan_of(
        Inject(xid=94),
        planned(Retouch(), scope=("group",)),
        planned(Inject(xid=48, node="gpu-2"), "second", scope=("group",)),
        Pause(),
        TakeBack(),
        Furnish(),
        planned(Retouch(value="bigger"), "third"),
        Claim(),
    )


def test_whenever_a_run_is_killed_everything_is_taken_back_from_its_folder(tmp_path):
    points = kills.points_recovered_from_the_folder(tmp_path, Place)
    assert points > 100, "the matrix shrank: are there still points to die at?"


def test_whenever_a_run_is_killed_everything_is_taken_back_from_another_machine(tmp_path):
    orphans = kills.orphans_recovered_from_afar(tmp_path, Place)
    assert orphans > 60, "the matrix shrank: are there still points to die at?"


def test_whenever_a_recovery_is_killed_the_next_one_finishes_it(tmp_path):
    calm = Place(tmp_path / "calm").world().snapshot()
    for number in range(10_000):
        place = Place(tmp_path / f"{number:03d}")
        assert not live(lambda place=place: place.run(Death(_IN_THE_MIDDLE)))
        assert place.world().snapshot() != calm
        survived = live(lambda place=place, number=number: place.recover(Death(number)))
        if not survived:
            place.recover()
        assert place.world().snapshot() == calm, f"point {number}"
        place.next_run()
        if survived:
            break
    assert number > 10


def test_whenever_a_recovery_from_another_machine_is_killed_the_next_one_finishes_it(tmp_path):
    calm = Place(tmp_path / "calm").world().snapshot()
    for number in range(10_000):
        place = Place(tmp_path / f"{number:03d}")
        assert not live(lambda place=place: place.run(Death(_IN_THE_MIDDLE)))
        survived = live(lambda place=place, number=number: place.recover_from_afar(Death(number)))
        if not survived and place.world().claims.copy("run-1") is not None:
            place.recover_from_afar()
        assert place.world().snapshot() == calm, f"point {number}"
        place.next_run_from_afar()
        if survived:
            break
    assert number > 10


_IN_THE_MIDDLE = 45  # a point at which several changes are made and none is taken back


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
