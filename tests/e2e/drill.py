"""A drill on the real cluster from outside: runs it as people do, and compares the cluster before and after."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fault_agent import cuda_control
from tests.e2e.chart import Release
from tests.e2e.cluster import Cluster
from tests.e2e.place import Trouble
from tests.e2e.running import wait_for
from tests.e2e.stage import PLATFORM, SERVICE

Json = dict[str, Any]

_ROOT = Path(__file__).parents[2]
# The load has to start in time although the cluster that is broken has the same two processors.
FIRST_IN_LINE = ("chrt", "--rr", "1")
_RUNNER = (*FIRST_IN_LINE, sys.executable, "-m", "scenario_runner")
OURS = "--selector=app.kubernetes.io/managed-by=scenario-runner"  # what runs make for themselves
_ROLLOUTS = "deployment.kubernetes.io/revision"
_KINDS = "deployments,daemonsets,pods,services,configmaps,poddisruptionbudgets,leases"
_NAMESPACES = (SERVICE, PLATFORM, "scenario-runner", "default")
_TRACES = "k8saas.nvidia.com/uncordon-"  # labels by which the platform says that it has uncordoned a node


@dataclass(frozen=True)
class Drill:
    """One that goes on while the test does something to the cluster."""

    process: subprocess.Popen[bytes]
    output: Path
    reports: Path
    earlier: frozenset[Path]  # folders of runs that there were before

    def wait_until(self, what: str, seconds: float = 60.0) -> None:
        """Until its events tell of it: `what` is a part of a line of JSON."""
        wait_for(f"the drill tells of {what}", seconds, lambda: what in self._events() or self._is_over(), every=0.2)
        if what not in self._events():
            raise Trouble(f"The drill ended before it told of {what}: {self.said()}")

    def ends(self, seconds: float = 200.0) -> tuple[int, str]:
        """Its exit code and what it said."""
        return self.process.wait(seconds), self.said()

    def kill(self) -> str:
        """Without a chance to take anything back; the run's id."""
        self.process.kill()
        self.process.wait()
        (folder,) = self._folders()
        return folder.name

    def said(self) -> str:
        return self.output.read_text()

    def _folders(self) -> set[Path]:
        return set(self.reports.glob("*")) - self.earlier

    def _events(self) -> str:
        return "".join(file.read_text() for one in self._folders() for file in one.glob("events.ndjson"))

    def _is_over(self) -> bool:
        return self.process.poll() is not None


@dataclass(frozen=True)
class Stage:
    """A cluster with fault agents, the platform stand-in and the sample service; `folder` is for runs."""

    cluster: Cluster
    agents: Release
    folder: Path

    def run(self, scenario: str | Path, *options: str) -> subprocess.CompletedProcess[str]:
        """A shipped scenario by its name, or a file."""
        return self.call("run", *self._words(scenario), *options)

    @contextmanager
    def running(self, scenario: str | Path, *options: str, state: str = "state") -> Iterator[Drill]:
        """The same in the background; a test that fails ends it."""
        output, reports = self.folder / "output", self.folder / "reports"
        earlier = frozenset(reports.glob("*"))
        with output.open("wb") as file, subprocess.Popen(
            [*_RUNNER, "run", *self._words(scenario), *options],
            cwd=self.folder, env=self.environment(state), stdin=subprocess.DEVNULL, stdout=file, stderr=file,
        ) as process:  # fmt: skip
            try:
                yield Drill(process, output, reports, earlier)
            finally:
                if process.poll() is None:
                    process.terminate()  # it takes everything back
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(60)
                    process.kill()

    def call(self, *words: str, state: str = "state") -> subprocess.CompletedProcess[str]:
        """Any command; another `state` is what another machine has."""
        return subprocess.run(
            [*_RUNNER, *words], cwd=self.folder, env=self.environment(state), capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=280, check=False,
        )  # fmt: skip

    def where(self) -> list[str]:
        """The options that say which cluster; the agents are found by their Service."""
        return ["--context", self.cluster.context]

    def _words(self, scenario: str | Path) -> list[str]:
        file = scenario if isinstance(scenario, Path) else _ROOT / "scenarios" / f"{scenario}.yaml"
        fast = _ROOT / "scenarios" / "vars" / "e2e.yaml"
        return [*self.where(), "--yes", "--report-dir", "reports", "--vars-file", str(fast), str(file)]

    def environment(self, state: str = "state") -> dict[str, str]:
        own = {"SCENARIO_RUNNER_STATE": str(self.folder / state), "PYTHONPATH": str(_ROOT)}
        return {**os.environ, **own, "KUBECONFIG": str(self.kubeconfig)}

    @property
    def kubeconfig(self) -> Path:
        """Of somebody outside who may do what the runner's chart grants, and nothing else."""
        return self.folder / "kubeconfig"

    def report(self) -> Json:
        """Of the last run."""
        files = sorted((self.folder / "reports").glob("*/report.json"), key=lambda file: file.stat().st_mtime)
        found: Json = json.loads(files[-1].read_text())
        return found

    def snapshot(self) -> Json:
        """
        What a drill must leave as it was, field by field.

        Nodes; in the namespaces of the workload, of the platform, of runs and agents, and in `default`: workloads,
        their pods, Services, budgets, Leases and the contents of ConfigMaps; and how many CUDA rules are armed.
        """
        nodes = {one["metadata"]["name"]: _node(one) for one in self.cluster.get("nodes")["items"]}
        found = [one for one in self.cluster.get(_KINDS, "--all-namespaces")["items"] if _is_compared(one)]
        objects = {_name(one): _object(one) for one in found if one["kind"] != "Pod"}
        pods = sorted(json.dumps(_pod(one), sort_keys=True) for one in found if one["kind"] == "Pod" and _stays(one))
        armed = {name: self._armed(name) for name in self.cluster.nodes}
        return {"nodes": nodes, "objects": objects, "pods": pods, "armed": armed}

    def faults(self) -> Json:
        """Those in force, and the nodes that do not say."""
        with self.agents.gateway() as gateway:
            found: Json = gateway.get("/api/v1/faults", params={"active_only": "true"}).json()
        return found

    def _armed(self, node: str) -> int:
        """How many rules the CUDA library reads there."""
        file = self.cluster.machines[node].path("/run/scenario-runner/cuda/control")
        try:
            control = cuda_control.read(file)
        except cuda_control.ControlUnreadable:  # of an older version, on a cluster that is kept: it arms nothing
            return 0
        return len(control.rules) if control else 0


def _node(raw: Json) -> Json:
    labels = {name: text for name, text in raw["metadata"]["labels"].items() if not name.startswith(_TRACES)}
    # Absent and False are the same: healthy.
    conditions = sorted(one["type"] for one in raw["status"]["conditions"] if one["status"] != "False")
    annotations = raw["metadata"].get("annotations")
    return {"labels": labels, "annotations": annotations, "spec": raw["spec"], "true": conditions}


def _is_compared(raw: Json) -> bool:
    """Not what the platform remembers: how far it has read which node's log."""
    where, name = raw["metadata"]["namespace"], raw["metadata"]["name"]
    is_memory = (where, raw["kind"]) == (PLATFORM, "ConfigMap")
    return where in _NAMESPACES and name != "kube-root-ca.crt" and not is_memory


def _name(raw: Json) -> str:
    return f"{raw['metadata']['namespace']}: {raw['kind']} {raw['metadata']['name']}"


def _stays(pod: Json) -> bool:
    """Neither going nor done."""
    return "deletionTimestamp" not in pod["metadata"] and pod["status"]["phase"] not in ("Succeeded", "Failed")


def _pod(raw: Json) -> Json:
    """Without what names and places it: another one that is the same takes its place."""
    containers = [
        {"image": one["image"], "env": one.get("env"), "mounts": _named(one.get("volumeMounts", []))}
        for one in raw["spec"]["containers"]
    ]
    labels = {name: text for name, text in raw["metadata"]["labels"].items() if name != "pod-template-hash"}
    return {"labels": labels, "containers": containers, "volumes": _named(raw["spec"].get("volumes", []))}


def _named(parts: list[Json]) -> list[str]:
    """Without the one of the account's token, which is called differently in each pod."""
    return sorted(one["name"] for one in parts if not one["name"].startswith("kube-api-access-"))


def _object(raw: Json) -> Json:
    """Without the counts of rollouts, which only grow: a library that goes in and out makes two."""
    metadata = {name: raw["metadata"].get(name) for name in ("uid", "labels")}
    annotations = {name: text for name, text in (raw["metadata"].get("annotations") or {}).items() if name != _ROLLOUTS}
    return {**metadata, "annotations": annotations, "spec": raw.get("spec"), "data": raw.get("data")}
