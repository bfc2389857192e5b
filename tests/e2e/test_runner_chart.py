"""Drills with exactly the permissions of the runner's chart: as jobs in the cluster, and from outside."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.charts import RUNNER_CHART
from tests.e2e.access import Outside
from tests.e2e.chart import RELEASE, Release, release, until_ready
from tests.e2e.cluster import Cluster
from tests.e2e.image import RUNNER_IMAGE
from tests.e2e.namespace import Namespace
from tests.e2e.running import wait_for

pytestmark = pytest.mark.kmsg

Json = Any
RUNNER = "scenario-runner"  # the release, and the namespace of runs


def scenario(namespace: str, pause: str) -> Json:
    """A fault under load that nothing in this cluster answers."""
    return {
        "version": 1,
        "name": "drill",
        "namespace": namespace,
        "requires": ["agent"],
        "guards": {"allow": ["cordon", "drain", "reboot"]},
        "targets": {"web": {"service": "web"}, "victim": {"gpu": {"node": "gpu-1", "index": 0}}},
        "steps": [
            {"send_requests": {"target": "web", "rate": "5/s"}, "id": "traffic", "background": True},
            {"inject_xid": {"target": "victim", "xid": 79, "expect": "written"}},
            {"pause": pause},
            {"join": "traffic"},
            {"assert_success": {"load": "traffic", "ratio": "at least 0.9"}},
        ],
    }


@dataclass(frozen=True)
class Installed:
    """Both charts in the namespace of runs, and a namespace with something to send requests to."""

    agents: Release
    workload: Namespace
    folder: Path

    @property
    def cluster(self) -> Cluster:
        return self.agents.cluster

    def kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl(f"--namespace={RUNNER}", *arguments)

    def start(self, drill: str) -> str:
        """As people do it; the name of the job."""
        job = f"{drill}-{self.workload.name}"
        self.kubectl("create", "job", f"--from=cronjob/{drill}", job)
        return job

    def faults(self) -> dict[str, str]:
        """Every fault by its status."""
        with self.agents.gateway() as gateway:
            return {one["fault_id"]: one["status"] for one in gateway.get("/api/v1/faults").json()["faults"]}

    def leaves_nothing(self) -> bool:
        """No promise of a run, no Lease of a target."""
        found = self.cluster.get(
            f"--namespace={RUNNER}", "configmaps,leases", "--selector=app.kubernetes.io/managed-by=scenario-runner"
        )
        return found["items"] == []


@pytest.fixture(scope="module")
def installed(real_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    folder = tmp_path_factory.mktemp("charts")
    agents, workload = release(real_cluster, RUNNER, folder), Namespace.make(real_cluster)
    existed = real_cluster.try_kubectl("get", "namespace", RUNNER).returncode == 0
    try:
        workload.kubectl("create", "serviceaccount", "pipeline")
        workload.deploy("web", 2)
        agents.install()
        with agents.gateway() as gateway:
            until_ready(gateway)
        real_cluster.helm("install", RUNNER, str(RUNNER_CHART), *_values(agents, workload, folder))
        yield Installed(agents, workload, folder)
    finally:
        real_cluster.helm("uninstall", RUNNER, f"--namespace={RUNNER}", "--ignore-not-found", "--wait")
        agents.uninstall("--ignore-not-found")
        workload.remove()
        if not existed:
            real_cluster.kubectl("delete", "namespace", RUNNER, "--timeout=120s")


def _values(agents: Release, workload: Namespace, folder: Path) -> list[str]:
    repository, _, tag = RUNNER_IMAGE.rpartition(":")
    values = {
        "namespaces": [workload.name],
        "outside": [{"kind": "ServiceAccount", "name": "pipeline", "namespace": workload.name}],
        "agent": {
            "url": f"https://{RELEASE}.{agents.namespace}.svc:8443",
            "tokenSecret": f"{RELEASE}-token",
            "caSecret": f"{RELEASE}-tls",
        },
        "image": {"repository": repository, "tag": tag, "pullPolicy": "Never"},
        "files": {f"{name}.yaml": json.dumps(scenario(workload.name, name.partition("-")[2])) for name in _DRILLS},
        "drills": {name: {"scenario": f"/files/{name}.yaml"} for name in _DRILLS},
        "job": {"awayFrom": {"mode": "preferred"}, "resources": {"requests": {"cpu": "10m"}}},
    }
    file = folder / "runner.json"
    file.write_text(json.dumps(values))
    return [f"--namespace={RUNNER}", f"--values={file}"]


_DRILLS = ("pause-5s", "pause-10m")  # how long the fault is looked at


def test_a_drill_runs_as_a_job_in_the_cluster(installed: Installed) -> None:
    job = installed.start("pause-5s")
    installed.kubectl("wait", f"job/{job}", "--for=condition=Complete", "--timeout=120s")
    said = installed.kubectl("logs", f"job/{job}")
    assert "XID 79 on gpu-1 is recovered" in said
    assert "passed" in said
    assert set(installed.faults().values()) == {"recovered"}
    assert installed.leaves_nothing()


def test_a_drill_whose_job_is_deleted_takes_everything_back(installed: Installed) -> None:
    job = installed.start("pause-10m")
    wait_for("the fault is active", 60, lambda: "active" in installed.faults().values(), 0.5)
    installed.kubectl("delete", "job", job, "--timeout=120s")
    wait_for("the run has ended", 90, lambda: not _pods(installed, job))
    assert set(installed.faults().values()) == {"recovered"}
    assert installed.leaves_nothing()


def _pods(installed: Installed, job: str) -> list[Json]:
    found: list[Json] = installed.cluster.get(
        f"--namespace={RUNNER}", "pods", f"--selector=batch.kubernetes.io/job-name={job}"
    )["items"]
    return found


def test_a_drill_runs_from_outside_with_the_permissions_of_the_chart(installed: Installed, tmp_path: Path) -> None:
    outside = Outside(installed.cluster, tmp_path)
    file = outside.scenario(**{k: v for k, v in scenario(installed.workload.name, "5s").items() if k != "version"})
    kubeconfig = outside.kubeconfig({"token": installed.workload.kubectl("create", "token", "pipeline").strip()})
    done = outside.call("run", "--yes", "--context", installed.cluster.context, file, kubeconfig=kubeconfig)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"  fault agents at {RUNNER}/{RELEASE}:8443 through the API server's proxy" in done.stdout.splitlines()
    assert set(installed.faults().values()) == {"recovered"}
    assert installed.leaves_nothing()
