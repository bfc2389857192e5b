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

from tests.e2e.chart import Release
from tests.e2e.cluster import Cluster
from tests.e2e.place import Trouble
from tests.e2e.running import wait_for
from tests.e2e.stage import SERVICE

Json = dict[str, Any]

_ROOT = Path(__file__).parents[2]
# The load has to start in time although the cluster that is broken has the same two processors.
FIRST_IN_LINE = ("chrt", "--rr", "1")
_RUNNER = (*FIRST_IN_LINE, sys.executable, "-m", "scenario_runner")
_ROLLOUTS = "deployment.kubernetes.io/revision"
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
        return {**os.environ, **own, "KUBECONFIG": str(self.cluster.kubeconfig)}

    def report(self) -> Json:
        """Of the last run."""
        files = sorted((self.folder / "reports").glob("*/report.json"), key=lambda file: file.stat().st_mtime)
        found: Json = json.loads(files[-1].read_text())
        return found

    def snapshot(self) -> Json:
        """What a drill must leave as it was, field by field: nodes, the workload, our own objects."""
        nodes = {one["metadata"]["name"]: _node(one) for one in self.cluster.get("nodes")["items"]}
        kinds = "deployments,services,configmaps,poddisruptionbudgets"
        objects = {
            f"{one['kind']}/{one['metadata']['name']}": _object(one)
            for one in self.cluster.get(kinds, f"--namespace={SERVICE}")["items"]
        }
        ours = self.cluster.get("configmaps,leases", "--namespace=scenario-runner")["items"]
        names = sorted(f"{one['kind']}/{one['metadata']['name']}" for one in ours)
        return {"nodes": nodes, "workload": objects, "ours": [name for name in names if "kube-root-ca" not in name]}


def _node(raw: Json) -> Json:
    labels = {name: text for name, text in raw["metadata"]["labels"].items() if not name.startswith(_TRACES)}
    # Absent and False are the same: healthy.
    conditions = sorted(one["type"] for one in raw["status"]["conditions"] if one["status"] != "False")
    annotations = raw["metadata"].get("annotations")
    return {"labels": labels, "annotations": annotations, "spec": raw["spec"], "true": conditions}


def _object(raw: Json) -> Json:
    """Without the counts of rollouts, which only grow: a library that goes in and out makes two."""
    metadata = {name: raw["metadata"].get(name) for name in ("uid", "labels")}
    annotations = {name: text for name, text in (raw["metadata"].get("annotations") or {}).items() if name != _ROLLOUTS}
    return {**metadata, "annotations": annotations, "spec": raw.get("spec"), "data": raw.get("data")}
