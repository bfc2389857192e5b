"""The stage that all drills share: built once, and calm before and after each test."""

import time
from collections.abc import Iterator

import pytest

from tests.contract.kubernetes.plays import differences
from tests.e2e import stage as scenery
from tests.e2e.chart import release
from tests.e2e.cluster import Cluster
from tests.e2e.drill import OURS, Stage
from tests.e2e.drills import readme, runner
from tests.e2e.running import wait_for

_ENFORCE = "pod-security.kubernetes.io/enforce"


@pytest.fixture(scope="package")
def stage(real_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """
    The nodes are labelled and the fault agents are installed by the README's own commands.

    Their namespace enforces a level of PodSecurity that refuses them until the README's command is carried out.
    """
    folder = tmp_path_factory.mktemp("drills")
    made = Stage(real_cluster, release(real_cluster, readme.NAMESPACE, folder, readme.RELEASE), folder)
    _clear(made)
    try:
        readme.prepare(made)
        create, allow = readme.for_pod_security()
        readme.carry_out(made, create)
        real_cluster.kubectl("label", "namespace", readme.NAMESPACE, f"{_ENFORCE}=baseline")
        readme.carry_out(made, allow)
        real_cluster.kubectl("label", "nodes", "--all", "scenario-runner/allow-")
        label, install, _ = readme.commands()
        readme.carry_out(made, label)
        readme.carry_out(made, install)
        scenery.deploy_service(real_cluster)
        scenery.deploy_platform(real_cluster)
        runner.install(made)
        yield made
    finally:
        _clear(made)


def _clear(stage: Stage) -> None:
    runner.remove(stage)
    stage.agents.remove()
    scenery.remove(stage.cluster)


@pytest.fixture
def calm(stage: Stage) -> Iterator[Stage]:
    """All is well before the test, and again after it: nodes, workload and our own objects are what they were."""

    def is_calm() -> bool:
        status = stage.cluster.get("deployment", "vllm-decode", f"--namespace={scenery.SERVICE}")["status"]
        whole = status.get("readyReplicas") == status.get("replicas") == 3
        return whole and all(map(stage.cluster.is_ready, stage.cluster.nodes))

    if stage.cluster.get("configmaps,leases", f"--namespace={readme.NAMESPACE}", OURS)["items"]:  # a test has failed
        stage.call("recover", "--all", *stage.where(), "--yes", "--takeover")
    wait_for("the service and all nodes are ready", 60, is_calm, every=0.5)
    stage.agents.wait()
    before = stage.snapshot()
    yield stage
    wait_for("the service and all nodes are ready again", 60, is_calm, every=0.5)
    stage.agents.wait()
    deadline = time.monotonic() + 60  # the platform lets a node go when it has seen that all is well
    while (after := stage.snapshot()) != before and time.monotonic() < deadline:
        time.sleep(1)
    assert list(differences(before, after)) == []
    assert after["armed"] == dict.fromkeys(stage.cluster.nodes, 0)
    wait_for("no fault is in force", 30, lambda: stage.faults() == {"faults": [], "unreachable": []})
