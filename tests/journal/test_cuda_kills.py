"""
The kill matrix of a CUDA drill: it dies before and after each write and each act, between promise and patch, between
patch and rollout, while it claims the node that the victim moved to, and while armed; nothing is left of it.
"""

from dataclasses import replace

import pytest

from scenario_runner.core.plan import Guards, ResolvedTarget, Through
from scenario_runner.steps.arm_cuda import ArmCuda
from scenario_runner.steps.patch_cuda import PatchCuda
from tests.engine.kinds import Claim
from tests.fake_world import TARGETS
from tests.fakes import FakeWorld, plan_of
from tests.journal import kills
from tests.steps.test_patch_cuda import leave

pytestmark = pytest.mark.timeout(180)


class CudaPlace(kills.Place):
    """The rollout leaves gpu-1, which the plan named, so that the run claims gpu-2 in mid-air."""

    drill = plan_of(
        PatchCuda(target="worker", pin=True, in_place=True),
        ArmCuda(target="victim", xid=79),
        Claim(),
        guards=Guards(allow=("cordon", "drain", "reboot", "breaker")),
        resolved=(
            ResolvedTarget("worker", "worker", TARGETS["worker"], "worker"),
            ResolvedTarget(
                "victim", "victim", replace(TARGETS["victim"], workload="worker"), "it", (), Through("worker")
            ),
        ),
    )
    nodes = ("gpu-1",)

    def live(self, world: FakeWorld) -> None:
        leave(world, "gpu-1")
        report = world.run(self.drill)
        assert report.verdict.status == "passed", report.verdict
        assert [one.node for one in report.faults] == ["gpu-2"]


def test_whenever_a_cuda_drill_is_killed_everything_is_taken_back_from_its_folder(tmp_path):
    points = kills.points_recovered_from_the_folder(tmp_path, CudaPlace)
    assert points > 60, "the matrix shrank: are there still points to die at?"


def test_whenever_a_cuda_drill_is_killed_everything_is_taken_back_from_another_machine(tmp_path):
    orphans = kills.orphans_recovered_from_afar(tmp_path, CudaPlace)
    assert orphans > 40, "the matrix shrank: are there still points to die at?"
