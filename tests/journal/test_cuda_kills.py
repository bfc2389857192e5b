"""
The kill matrix of a CUDA drill: it dies before and after each write and each act, between promise and patch, between
patch and rollout, while it claims the node that the victim moved to, and while armed; nothing is left of it.
"""

from dataclasses import replace

import pytest

from scenario_runner.app.claiming import Widening
from scenario_runner.core.plan import Guards, ResolvedTarget, Through
from scenario_runner.core.undo import UNDOS
from scenario_runner.engine import claim, cluster_claim
from scenario_runner.engine.copies import is_open
from scenario_runner.errors import Orphaned
from scenario_runner.steps.arm_cuda import ArmCuda
from scenario_runner.steps.patch_cuda import PatchCuda
from tests.engine.kinds import Claim
from tests.fake_world import TARGETS
from tests.fakes import FakeWorld, plan_of
from tests.journal.test_kills import Death, Place, _check, card, live
from tests.steps.test_patch_cuda import leave

pytestmark = pytest.mark.timeout(180)

DRILL = plan_of(
    PatchCuda(target="worker", pin=True, in_place=True),
    ArmCuda(target="victim", xid=79),
    Claim(),
    guards=Guards(allow=("cordon", "drain", "reboot", "breaker")),
    resolved=(
        ResolvedTarget("worker", "worker", TARGETS["worker"], "worker"),
        ResolvedTarget("victim", "victim", replace(TARGETS["victim"], workload="worker"), "it", (), Through("worker")),
    ),
)


class CudaPlace(Place):
    """The rollout leaves gpu-1, which the plan named, so that the run claims gpu-2 in mid-air."""

    def run(self, death: Death) -> None:
        mine = replace(card("run-1"), targets=("gpu-1",))
        held = claim.take(self.state, self.run_dir, mine, UNDOS, death.disk())
        world = FakeWorld(self.run_dir, self.kept, journal=held.journal)
        world.agent.crashing = world.cluster.crashing = world.claims.crashing = death.around
        hold = cluster_claim.take(world.seat(), mine)
        world.claim, world.own = hold, Widening(mine, held, hold)
        leave(world, "gpu-1")
        report = world.run(DRILL)
        assert report.verdict.status == "passed", report.verdict
        assert [one.node for one in report.faults] == ["gpu-2"]
        hold.release(held.journal.promises)
        held.release()
        death.point()


def test_whenever_a_cuda_drill_is_killed_everything_is_taken_back_from_its_folder(tmp_path):
    calm = CudaPlace(tmp_path / "calm").world().snapshot()
    for number in range(10_000):
        place = CudaPlace(tmp_path / f"{number:03d}")
        survived = live(lambda place=place, number=number: place.run(Death(number)))
        if survived:
            break
        _check(place, calm, number)
    assert number > 60, "the matrix shrank: are there still points to die at?"
    assert place.world().snapshot() == calm


def test_whenever_a_cuda_drill_is_killed_everything_is_taken_back_from_another_machine(tmp_path):
    calm = CudaPlace(tmp_path / "calm").world().snapshot()
    orphans = 0
    for number in range(10_000):
        place = CudaPlace(tmp_path / f"{number:03d}")
        survived = live(lambda place=place, number=number: place.run(Death(number)))
        copy = place.world().claims.copy("run-1")
        if copy is not None and is_open(copy, UNDOS):
            orphans += 1
            with pytest.raises(Orphaned):
                place.next_run_from_afar()
            result = place.recover_from_afar()
            assert ({one.outcome for one in result.undo}, result.bad) == ({"kept"}, ()), f"point {number}"
        assert place.world().snapshot() == calm, f"point {number}"
        place.next_run_from_afar()
        if survived:
            break
    assert orphans > 40, "the matrix shrank: are there still points to die at?"
