"""Drills when the control plane is away, or the runner dies."""

import time

import pytest

from tests.e2e.drill import Stage
from tests.e2e.drills import day

pytestmark = pytest.mark.kmsg

LONG = {"pause": "200s"}


def test_a_drill_goes_on_when_etcd_stops_for_ten_seconds_and_the_api_server_is_killed(calm: Stage):
    """
    Requests go through the API server as well: those of that time fail, as the plan says of this way.

    The drill waits for a cordon that comes only when both are back: so it saw all of it.
    """
    node, cordoned = day.victim(calm), {"wait_for_node": {"target": "victim", "reached": "cordoned"}}
    with calm.running(day.drill(calm, cordoned, success="at least 0.1")) as drill:
        drill.wait_until(day.ACTIVE)
        calm.cluster.pause("etcd")
        time.sleep(10)
        calm.cluster.resume("etcd")
        calm.cluster.control_plane.wait_until_ready()
        calm.cluster.stop_api_server()
        calm.cluster.start_api_server()
        calm.cluster.kubectl("cordon", node)
        try:
            drill.wait_until('"fact": "schedulable", "value": "false"')
        finally:
            calm.cluster.kubectl("uncordon", node)
        code, said = drill.ends()
    assert code == 0, said
    observations = calm.report()["observations"]
    gaps = [one["value"] for one in observations if (one["name"], one["fact"]) == ("nodes", "gap")]
    assert len(gaps) > 1
    assert gaps[0] != "found again"
    assert gaps[-1] == "found again"


def test_the_next_run_on_the_machine_of_a_killed_one_asks_for_recover(calm: Stage):
    file = day.drill(calm, LONG)
    with calm.running(file) as drill:
        drill.wait_until(day.ACTIVE)
        run_id = drill.kill()
    refused = calm.run(file)
    assert refused.returncode == 4, refused.stdout + refused.stderr
    told = calm.cluster.kubectl("describe", "node", day.victim(calm))
    assert f"run {run_id} of scenario bad-day, started on " in told
    assert f"; `scenario-runner recover {run_id}` takes it back if the run is dead" in told
    done = calm.call("recover", run_id, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{run_id}: XID 94 on {day.victim(calm)}: kept: " in done.stdout
