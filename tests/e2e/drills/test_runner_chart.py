"""Drills with exactly the permissions of the runner's chart: as jobs in the cluster, and from outside."""

import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.access import Outside
from tests.e2e.cluster import Cluster
from tests.e2e.drill import Stage
from tests.e2e.drills import day
from tests.e2e.drills.readme import NAMESPACE
from tests.e2e.running import wait_for

pytestmark = pytest.mark.kmsg

Json = Any


@dataclass(frozen=True)
class Installed:
    """The runner's chart beside that of the fault agents."""

    stage: Stage

    @property
    def cluster(self) -> Cluster:
        return self.stage.cluster

    def kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl(f"--namespace={NAMESPACE}", *arguments)

    def start(self, drill: str, job: str) -> None:
        """As people do it."""
        self.kubectl("create", "job", f"--from=cronjob/{drill}", job)

    def wait_until_active(self, job: str) -> None:
        wait_for(f"the fault of {job} is active", 60, lambda: "active" in self.faults().values(), 0.5)

    def faults(self) -> dict[str, str]:
        """Every fault of these jobs by its status."""
        with self.stage.agents.gateway() as gateway:
            found = gateway.get("/api/v1/faults").json()["faults"]
        return {one["fault_id"]: one["status"] for one in found if "bad-day" in one["fault_id"]}

    def leaves_nothing(self) -> bool:
        """No promise of a run, no Lease of a target, no fault in force."""
        ours = "--selector=app.kubernetes.io/managed-by=scenario-runner"
        found = self.cluster.get(f"--namespace={NAMESPACE}", "configmaps,leases", ours)
        return found["items"] == [] and "active" not in self.faults().values()

    def pods(self, job: str) -> list[Json]:
        selector = f"--selector=batch.kubernetes.io/job-name={job}"
        found: list[Json] = self.cluster.get(f"--namespace={NAMESPACE}", "pods", selector)["items"]
        return found


@pytest.fixture
def installed(stage: Stage) -> Installed:
    return Installed(stage)


@pytest.fixture
def outside(stage: Stage, tmp_path: Path) -> Outside:
    """The same account on another machine, which has nothing but its kubeconfig."""
    return Outside(stage.cluster, tmp_path)


def test_a_drill_runs_as_a_job_in_the_cluster(calm: Stage, installed: Installed):
    installed.start("short", "one")
    wait_for("the job has ended", 120, lambda: _is_over(installed, "one"), 0.5)
    said = installed.kubectl("logs", "job/one")
    assert f"XID 94 on {day.victim(calm)} is recovered" in said, said
    assert "✓ passed" in said, said
    assert installed.leaves_nothing()


def _is_over(installed: Installed, job: str) -> bool:
    return any(pod["status"]["phase"] in ("Succeeded", "Failed") for pod in installed.pods(job))


def test_a_drill_whose_job_is_deleted_takes_everything_back(calm: Stage, installed: Installed):
    installed.start("long", "two")
    installed.wait_until_active("two")
    installed.kubectl("delete", "job", "two", "--timeout=120s")
    wait_for("the run has ended", 90, lambda: not installed.pods("two"))
    assert installed.leaves_nothing()


def test_a_killed_pod_of_the_runner_keeps_its_target_until_everything_was_taken_back_from_outside(
    calm: Stage, outside: Outside, installed: Installed
):
    """The pod and the machine outside have nothing in common but the cluster."""
    file, node = day.drill(calm, {"pause": "3s"}), day.victim(calm)
    where = ("--context", calm.cluster.context, "--yes")
    installed.start("long", "three")
    installed.wait_until_active("three")
    (pod,) = installed.pods("three")

    refused = outside.call("run", *where, str(file), kubeconfig=calm.kubeconfig)
    said = refused.stdout.splitlines()[-1]
    belongs = re.fullmatch(rf"bad-day: node {node} belongs to run (\S+) on (\S+), which is still running", said)
    assert (refused.returncode, belongs is not None) == (3, True), refused.stdout + refused.stderr
    assert belongs[2] == pod["metadata"]["name"]

    _kill_runner(calm.cluster, pod["spec"]["nodeName"])
    wait_for("the pod has failed", 60, lambda: _is_over(installed, "three"), 0.5)
    assert not installed.leaves_nothing()
    too_early = outside.call("recover", belongs[1], *where, kubeconfig=calm.kubeconfig)
    assert too_early.returncode == 4, too_early.stdout + too_early.stderr
    done = outside.call("recover", "--all", "--takeover", *where, kubeconfig=calm.kubeconfig)
    assert done.returncode == 0, done.stdout + done.stderr
    # Nobody renews the fault any more: on a slow machine it has expired by itself by now.
    kept = rf"{belongs[1]}: XID 94 on {node}: kept: XID 94 on {node} (is recovered|had expired by itself)"
    assert re.search(kept, done.stdout), done.stdout
    assert installed.leaves_nothing()


def _kill_runner(cluster: Cluster, node: str) -> None:
    """The process itself, which gets no chance to say goodbye; a pod that is deleted would."""
    lines = {one: Path(f"/proc/{one}/cmdline").read_bytes() for one in cluster.machines[node].group.processes()}
    (number,) = [one for one, line in lines.items() if b"/bin/scenario-runner\0run\0" in line]
    os.kill(number, signal.SIGKILL)
