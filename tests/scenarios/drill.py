"""The command line against one kept lab: what the tests of whole drills stand on."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0  # seconds; only something broken needs them


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
                str(self.reports), *more, str(scenario))  # fmt: skip

    def drill(self, scenario: Path | str, *more: str) -> Result:
        return self.call(*self.drill_words(scenario, *more))

    def newest(self) -> Path:
        """The folder of the run that was started last."""
        return max(self.reports.glob("*"), key=lambda one: one.name)

    def begin(self, scenario: Path | str) -> "Running":
        before = set(self.reports.glob("*"))
        with (self.folder / "output.txt").open("w") as output:
            process = subprocess.Popen(
                self.command(*self.drill_words(scenario)), cwd=ROOT, env=self.environment(), stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        return Running(self, process, before)

    def kubectl(self, *arguments: str, typed: str = "") -> str:
        kubeconfig = self.folder / "state" / "labs" / self.lab / "kubeconfig"
        done = subprocess.run(
            ["kubectl", "--kubeconfig", str(kubeconfig), *arguments],
            input=typed,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        return done.stdout

    def nodes(self) -> dict[str, tuple[bool, dict[str, str]]]:
        """By name: schedulable, and the labels but those that the platform leaves for ever once it healed a node."""
        items = json.loads(self.kubectl("get", "nodes", "-o", "json"))["items"]
        return {
            item["metadata"]["name"]: (not item["spec"].get("unschedulable"), _labels(item["metadata"]["labels"]))
            for item in items
        }


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


def _labels(labels: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if not name.startswith("k8saas.nvidia.com/uncordon-")}
