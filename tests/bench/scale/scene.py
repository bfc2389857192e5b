"""The drill that is measured, with everything that it needs on the real nodes, by a user who may do just that."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from tests.bench.labs import Weight, weigh
from tests.deploy.charts import RUNNER_CHART
from tests.e2e import stage
from tests.e2e.chart import RELEASE, Release, release
from tests.e2e.cluster import Cluster
from tests.e2e.running import wait_for

ROOT = Path(__file__).parents[3]
NAMESPACE = "scenario-runner"  # of agents and runs
USER = f"system:serviceaccount:{stage.SERVICE}:pipeline"
SCENARIO = ("--vars-file", "scenarios/vars/e2e.yaml", "scenarios/xid79-gpu-fell-off-bus.yaml")
_FIRST_IN_LINE = ("chrt", "--rr", "1")  # the load has to start in time beside a cluster on the same processors
_REAL = {"scenario-runner/allow": "true"}  # a label that filler nodes have not got
_LOOK_EVERY = 0.25  # seconds between two looks at the memory
_PATIENCE = 400.0


@dataclass(frozen=True)
class Ended:
    """How a command of the runner went; `peak` is the largest resident memory of its process, in KiB."""

    seconds: float
    code: int
    words: str
    peak: int
    heaviest: Weight  # it and its children together


@dataclass(frozen=True)
class Scene:
    """Agents, platform and service on the real nodes; `folder` is for runs."""

    cluster: Cluster
    agents: Release
    folder: Path

    def wait(self) -> None:
        """Until all is well again."""
        wanted = (
            "get",
            "deployment",
            "vllm-decode",
            f"--namespace={stage.SERVICE}",
            "--output=jsonpath={.status.readyReplicas}",
        )
        wait_for("the service is ready", 120, lambda: self.cluster.kubectl(*wanted) == "3", every=1)
        for node in self.cluster.nodes:
            self.cluster.wait_until_ready(node, 120)
        self.agents.wait()

    def plan(self) -> Ended:
        return self._measured("plan")

    def drill(self) -> Ended:
        with stage.machine_room(self.cluster):
            return self._measured("run", "--yes", "--report-dir", str(self.folder / "reports"))

    def _measured(self, command: str, *options: str) -> Ended:
        where = ("--context", self.cluster.context, "--agent", f"{NAMESPACE}/{RELEASE}")
        words = [*_FIRST_IN_LINE, sys.executable, "-m", "scenario_runner", command, *where, *options, *SCENARIO]
        own = {"SCENARIO_RUNNER_STATE": str(self.folder / "state"), "KUBECONFIG": str(self.folder / "kubeconfig")}
        begun = time.perf_counter()
        with (self.folder / "said").open("w+") as said:
            process = subprocess.Popen(
                words,
                cwd=ROOT,
                env={**os.environ, **own},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            )
            try:
                peak, heaviest = _watched(process)
            finally:
                _end(process)
            seconds = time.perf_counter() - begun
            said.seek(0)
            return Ended(seconds, process.returncode, said.read(), peak, heaviest)


def _watched(process: "subprocess.Popen[bytes]") -> tuple[int, Weight]:
    """Peak and heaviest moment until the process ended."""
    peak, heaviest = 0, Weight(0, 0)
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        try:
            process.wait(_LOOK_EVERY)
            return peak, heaviest
        except subprocess.TimeoutExpired:
            peak = max(peak, _peak(process.pid))
            heaviest = max(heaviest, weigh(process.pid), key=lambda weight: weight.kib)
    raise RuntimeError(f"the runner did not end within {_PATIENCE:g}s")


def _peak(pid: int) -> int:
    """KiB; the kernel remembers it, so no look misses it. 0 for a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """A drill that is still there, because somebody wants to leave, is asked to take back what it did."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()  # the cluster goes too
            process.wait()


@contextmanager
def scene(cluster: Cluster, folder: Path) -> Iterator[Scene]:
    """It ends with the cluster: nothing is taken down here."""
    agents = _only_on_real_nodes(release(cluster, NAMESPACE, folder))
    agents.install()
    stage.deploy_service(cluster)
    stage.deploy_platform(cluster)
    patch = {"spec": {"template": {"spec": {"nodeSelector": _REAL}}}}
    inside = f"--namespace={stage.PLATFORM}"
    cluster.kubectl(inside, "patch", "daemonset", "outpost", f"--patch={json.dumps(patch)}")
    cluster.kubectl(inside, "rollout", "status", "daemonset/outpost", "--timeout=60s")
    _permit(cluster, folder)
    yield Scene(cluster, agents, folder)


def _only_on_real_nodes(agents: Release) -> Release:
    node = {**agents.values["node"], "selector": {"nvidia.com/gpu.present": None, **_REAL}}
    return replace(agents, values={**agents.values, "node": node})


def _permit(cluster: Cluster, folder: Path) -> None:
    """A user with the permissions of the runner's chart, and a kubeconfig of it."""
    account = {"kind": "ServiceAccount", "name": "pipeline", "namespace": stage.SERVICE}
    cluster.kubectl(f"--namespace={stage.SERVICE}", "create", "serviceaccount", "pipeline")
    agent = {"tokenSecret": f"{RELEASE}-token", "caSecret": f"{RELEASE}-tls"}
    no_jobs = {"xid79-gpu-fell-off-bus": None}  # helm adds what is given to what the chart comes with
    values = folder / "runner.json"
    values.write_text(
        json.dumps({"namespaces": [stage.SERVICE], "outside": [account], "agent": agent, "drills": no_jobs})
    )
    cluster.helm("install", NAMESPACE, str(RUNNER_CHART), f"--namespace={NAMESPACE}", f"--values={values}")
    token = cluster.kubectl(f"--namespace={stage.SERVICE}", "create", "token", "pipeline", "--duration=3h").strip()
    content = yaml.safe_load(cluster.kubeconfig.read_text())
    content["users"][0]["user"] = {"token": token}
    (folder / "kubeconfig").write_text(json.dumps(content))
