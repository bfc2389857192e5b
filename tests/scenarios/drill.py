"""The command line against one kept lab: what the tests of whole drills stand on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fault_agent import cuda_control
from scenario_runner.lab.options import LabInfo, read_info
from scenario_runner.lab.processes import LAB_MARK
from tests.lab_fixture import LabClient

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0  # seconds; only something broken needs them
SETTLING = 60.0  # seconds
NOTHING_LEFT = "no run has left anything to take back\n"
FOR_EVER = "k8saas.nvidia.com/uncordon-"  # labels that the platform leaves on a node that it has healed
# Stays on a node, as records of hits do, until that is rebooted.
CONTROL = "state/labs/*/nodes/*/root/run/scenario-runner/cuda/control"

Json = Any


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Bench:
    """One kept lab, with a state folder and a report folder of its own."""

    folder: Path
    lab: str = "drills"

    @property
    def reports(self) -> Path:
        return self.folder / "reports"

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "scenario_runner", *arguments]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "SCENARIO_RUNNER_STATE": str(self.folder / "state")}

    def call(self, *arguments: str) -> Result:
        done = subprocess.run(
            self.command(*arguments), cwd=ROOT, env=self.environment(), capture_output=True, text=True,
            timeout=PATIENCE, check=False,
        )  # fmt: skip
        return Result(done.returncode, done.stdout, done.stderr)

    def drill_words(self, scenario: Path | str, *more: str) -> tuple[str, ...]:
        return ("run", "--lab", "--lab-name", self.lab, "--vars-file", "scenarios/vars/lab.yaml", "--report-dir",
                str(self.reports), str(scenario), *more)  # fmt: skip

    def drill(self, scenario: Path | str, *more: str) -> Result:
        return self.call(*self.drill_words(scenario, *more))

    def newest(self) -> Path:
        """The folder of the run that was started last."""
        return max(self.reports.glob("*"), key=lambda one: one.name)

    def begin(self, scenario: Path | str, *more: str) -> "Running":
        return self.start(*self.drill_words(scenario, *more))

    def start(self, *arguments: str) -> "Running":
        before = set(self.reports.glob("*"))
        with (self.folder / "output.txt").open("w") as output:
            process = subprocess.Popen(
                self.command(*arguments), cwd=ROOT, env=self.environment(), stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        return Running(self, process, before)

    @property
    def info(self) -> LabInfo:
        return read_info((self.folder / "state" / "labs" / self.lab / "lab.json").read_text())

    def kubectl(self, *arguments: str, typed: str = "") -> str:
        """What an operator would see; nothing else needs this program."""
        if shutil.which("kubectl") is None:
            pytest.skip("there is no kubectl here")
        done = subprocess.run(
            ["kubectl", "--kubeconfig", self.info.kubeconfig, *arguments], input=typed, capture_output=True, text=True,
            timeout=30, check=True,
        )  # fmt: skip
        return done.stdout

    def get(self, path: str) -> Json:
        """An object or a list of the lab's API server."""
        return LabClient(self.info).call("GET", path)

    def nodes(self) -> dict[str, Json]:
        """By name: what a drill changes of a node, but for what the platform leaves for ever once it healed one."""
        return {one["metadata"]["name"]: _node(one) for one in self.get("/api/v1/nodes")["items"]}

    def in_force(self) -> list[str]:
        """Ids of the faults that the agents keep up."""
        client, url = LabClient(self.info), f"{self.info.gateway_url}/api/v1/faults?active_only=true"
        found = client.call("GET", url)
        assert not found["unreachable"]
        return [one["fault_id"] for one in found["faults"]]

    def state(self) -> Json:
        """Everything in which a drill can leave something: two of these are equal when nothing is left."""
        pods = self.get("/api/v1/pods")["items"]
        return {
            "nodes": self.nodes(),
            "deployments": [_workload(one) for one in self.get("/apis/apps/v1/deployments")["items"]],
            "config maps": _names(self.get("/api/v1/configmaps")),
            "leases": _names(self.get("/apis/coordination.k8s.io/v1/leases")),
            "pods that are ready": sum(map(_is_ready, pods)),
            "pods with the library": [_name(one) for one in pods if "scenario-runner" in json.dumps(one["spec"])],
            "faults": self.in_force(),
            "runs that are known": [one.name for one in self.folder.glob("state/clusters/*/runs/*")],
            "armed for CUDA": [str(one) for one in self.folder.glob(CONTROL) if _arms(one)],
            "processes": self.processes(),
        }

    def processes(self, *, of_labs: bool = False) -> list[str]:
        """Command lines of what commands have started and did not end; a kept lab has processes of its own."""
        mark = f"SCENARIO_RUNNER_STATE={self.folder / 'state'}\0".encode()
        found = {one: _read(one / "environ") for one in Path("/proc").glob("[0-9]*")}
        own = [one for one, words in found.items() if mark in words and (of_labs or LAB_MARK.encode() not in words)]
        return [line.decode() for one in own if (line := _read(one / "cmdline").replace(b"\0", b" "))]

    def nothing_is_left_of(self, before: Json) -> None:
        """The platform may still be at what it had begun."""
        deadline = time.monotonic() + SETTLING
        while (now := self.state()) != before and time.monotonic() < deadline:
            time.sleep(0.2)
        left = {key: {"before": before[key], "now": now[key]} for key in now if now[key] != before[key]}
        assert not left, json.dumps(left, indent=2)
        assert self.call("recover") == Result(0, NOTHING_LEFT, "")

    def kill_and_recover(self, scenario: Path, file: str, text: str) -> None:
        """Begin a drill, kill its runner once `file` holds `text`, and take back what it left: nothing may be left."""
        before = self.state()
        drill = self.begin(scenario)
        run_id = drill.until(file, text).name
        assert drill.end(signal.SIGKILL) == -signal.SIGKILL

        refused = self.drill(scenario)
        assert (refused.code, f"type `scenario-runner recover {run_id}` first" in refused.out) == (4, True), refused

        recovered = self.call("recover", run_id, "--yes")
        assert recovered.code == 0, recovered
        self.nothing_is_left_of(before)


@dataclass(frozen=True)
class Running:
    """A drill in mid-air."""

    bench: Bench
    process: "subprocess.Popen[bytes]"
    before: set[Path]

    def run_dir(self) -> Path | None:
        return next(iter(set(self.bench.reports.glob("*")) - self.before), None)

    def until(self, file: str, text: str) -> Path:
        """The run's folder once `file` in it holds `text`."""

        def look() -> Path | None:
            folder = self.run_dir()
            found = folder is not None and (folder / file).exists() and text in (folder / file).read_text()
            return folder if found else None

        return eventually(look, f"{text!r} in {file}", alive=self.process)

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def eventually(look: Callable[[], Path | None], what: str, alive: "subprocess.Popen[bytes]") -> Path:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        assert alive.poll() is None, f"the drill ended before there was {what}"
        time.sleep(0.01)
    raise AssertionError(f"there never was {what}")


def _node(item: Json) -> Json:
    metadata, conditions = item["metadata"], item["status"]["conditions"]
    return {
        "spec": item["spec"],
        "labels": {name: value for name, value in metadata["labels"].items() if not name.startswith(FOR_EVER)},
        "annotations": metadata.get("annotations") or {},
        # What was never reported is as good as what is over.
        "conditions": {one["type"]: one["status"] for one in conditions if one["status"] != "False"},
    }


def _workload(item: Json) -> Json:
    annotations = dict(item["metadata"].get("annotations") or {})
    annotations.pop("deployment.kubernetes.io/revision", None)
    return [_name(item), item["spec"], annotations, item["metadata"].get("labels")]


def _arms(control: Path) -> bool:
    found = cuda_control.read(control)
    return found is not None and bool(found.rules)


def _is_ready(pod: Json) -> bool:
    return any((one["type"], one["status"]) == ("Ready", "True") for one in pod["status"].get("conditions") or [])


def _names(found: Json) -> list[str]:
    """But for what every namespace has."""
    return sorted(name for one in found["items"] if not (name := _name(one)).endswith("/kube-root-ca.crt"))


def _name(item: Json) -> str:
    return f"{item['metadata']['namespace']}/{item['metadata']['name']}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # gone
        return b""
