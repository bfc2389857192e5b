"""Every shipped scenario passes on the real cluster and leaves it as it was."""

from pathlib import Path

import pytest

from tests.e2e import stage as scenery
from tests.e2e.drill import Stage
from tests.e2e.drills.readme import commands

pytestmark = pytest.mark.kmsg

_, _, FIRST_DRILL = commands()  # has a test of its own
SCENARIOS = Path(__file__).parents[3] / "scenarios"
SHIPPED = sorted(SCENARIOS.glob("*.yaml"))


@pytest.mark.parametrize("name", [file.stem for file in SHIPPED if file.name not in FIRST_DRILL])
def test_a_shipped_scenario_passes_and_leaves_the_cluster_as_it_was(calm: Stage, name: str):
    with scenery.machine_room(calm.cluster):
        done = calm.run(name)
    assert done.returncode == 0, done.stdout + done.stderr
    report = calm.report()
    assert report["backend"].startswith(f"cluster {calm.cluster.context} at https://127.0.0.1:")
    arms = "arm_cuda:" in (SCENARIOS / f"{name}.yaml").read_text()
    assert {one["evidence"] for one in report["faults"] if one["cuda"]} == ({"hit"} if arms else set())
