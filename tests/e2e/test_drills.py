"""Every shipped scenario passes on the real cluster, with real reboots, and leaves it as it was; so do bad days."""

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e import stage as scenery
from tests.e2e.chart import release
from tests.e2e.cluster import Cluster
from tests.e2e.drill import Stage
from tests.e2e.running import wait_for

pytestmark = pytest.mark.kmsg

SCENARIOS = sorted(file.stem for file in (Path(__file__).parents[2] / "scenarios").glob("*.yaml"))


@pytest.fixture(scope="module")
def stage(real_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("drills")
    agents = release(real_cluster, "drill-agents", folder)
    agents.remove()
    scenery.remove(real_cluster)
    try:
        agents.install()
        scenery.deploy_service(real_cluster)
        scenery.deploy_platform(real_cluster)
        yield Stage(real_cluster, agents, folder)
    finally:
        agents.remove()
        scenery.remove(real_cluster)


@pytest.fixture
def calm(stage: Stage) -> Iterator[Stage]:
    """All is well before the test, and again after it."""

    def is_calm() -> bool:
        status = stage.cluster.get("deployment", "vllm-decode", f"--namespace={scenery.SERVICE}")["status"]
        return status.get("readyReplicas") == 3 and all(map(stage.cluster.is_ready, stage.cluster.nodes))

    wait_for("the service and all nodes are ready", 60, is_calm, every=0.5)
    stage.agents.wait()
    yield stage
    wait_for("the service and all nodes are ready again", 60, is_calm, every=0.5)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_shipped_scenario_passes_and_leaves_the_cluster_as_it_was(calm: Stage, name: str):
    before = calm.snapshot()
    with scenery.machine_room(calm.cluster):
        done = calm.run(name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert calm.report()["backend"].startswith(f"cluster {calm.cluster.context} at https://127.0.0.1:")
    assert calm.snapshot() == before


def test_a_gpu_that_fell_off_its_bus_lets_the_node_reboot_for_real(calm: Stage):
    boots = {name: calm.cluster.machines[name].boot_id for name in calm.cluster.nodes}
    with scenery.machine_room(calm.cluster) as booted:
        done = calm.run("xid79-gpu-fell-off-bus")
    assert done.returncode == 0, done.stdout + done.stderr
    (victim,) = booted
    after = calm.cluster.get("node", victim)["status"]["nodeInfo"]["bootID"]
    assert after not in boots.values()
    assert [name for name in boots if calm.cluster.machines[name].boot_id != boots[name]] == [victim]
    events = calm.cluster.get(
        "events", "--namespace=default", f"--field-selector=involvedObject.name={victim},reason=Rebooted"
    )
    assert any(after in one["message"] for one in events["items"])
    assert f"XID 79 on {victim} is rebooted" in done.stdout


def test_a_drill_survives_that_the_api_server_is_started_again(calm: Stage):
    before = calm.snapshot()
    with scenery.machine_room(calm.cluster):
        running = calm.start("xid119-gpu-reset")
        wait_for("a node is cordoned", 60, lambda: bool(_cordoned(calm.cluster)))
        calm.cluster.stop_api_server()
        calm.cluster.start_api_server()
        said, _ = running.communicate(timeout=280)
    # Requests go through the API server, so too many of them may fail while it is away: nothing else may.
    assert running.returncode in (0, 1), said
    kinds = {one["kind"] for one in calm.report()["outcomes"] if one["status"] not in ("passed", "kept")}
    assert kinds <= {"assert_success"}, said
    wait_for("the platform has let the node go", 60, lambda: calm.snapshot() == before, every=1)


def _cordoned(cluster: Cluster) -> list[str]:
    nodes = cluster.get("nodes")["items"]
    return [one["metadata"]["name"] for one in nodes if one["spec"].get("unschedulable")]


def test_what_a_killed_runner_left_is_recovered_from_another_machine(calm: Stage):
    before = calm.snapshot()
    running = calm.start("xid94-tolerated", "--var", "calm=200s", state="killed")
    with calm.agents.gateway() as gateway:
        wait_for("the fault is active", 60, lambda: _active(gateway) != [], every=0.5)
        running.send_signal(signal.SIGKILL)
        running.communicate()
        assert calm.snapshot()["ours"] != []
        done = calm.call("recover", "--all", *calm.where(), "--yes", "--takeover", state="another")
        assert done.returncode == 0, done.stdout + done.stderr
        assert _active(gateway) == []
    wait_for("nothing is left", 60, lambda: calm.snapshot() == before, every=1)


def _active(gateway: httpx.Client) -> list[str]:
    """Their ids; a gateway that learns of new agents is asked again by whoever waits."""
    answer = gateway.get("/api/v1/faults", params={"active_only": True})
    return [one["fault_id"] for one in answer.json().get("faults", [])]


def test_an_operators_cordon_is_kept(calm: Stage):
    held = calm.cluster.get("pods", f"--namespace={scenery.SERVICE}", "--selector=app=vllm-decode")["items"]
    other = sorted(held, key=lambda one: one["metadata"]["name"])[-1]["spec"]["nodeName"]
    calm.cluster.kubectl("cordon", other)
    try:
        with scenery.machine_room(calm.cluster):
            done = calm.run("xid94-tolerated")
        assert done.returncode == 0, done.stdout + done.stderr
        assert _cordoned(calm.cluster) == [other]
    finally:
        calm.cluster.kubectl("uncordon", other)
