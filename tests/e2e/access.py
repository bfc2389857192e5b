"""The runner against the real cluster from outside, and users of all sorts."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.cluster import Cluster

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Outside:
    """The command line on this machine, with a state folder and reports of its own."""

    cluster: Cluster
    folder: Path

    def call(self, *arguments: str, kubeconfig: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.words(*arguments), cwd=self.folder, env=self.environment(kubeconfig), capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=120, check=False,
        )  # fmt: skip

    def words(self, command: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "scenario_runner", command, *arguments]

    def environment(self, kubeconfig: Path | None = None) -> dict[str, str]:
        own = {"SCENARIO_RUNNER_STATE": str(self.folder / "state"), "PYTHONPATH": str(ROOT)}
        return {**os.environ, **own, "KUBECONFIG": str(kubeconfig or self.cluster.kubeconfig)}

    def scenario(self, **content: Any) -> str:
        """The path of a scenario file."""
        file = self.folder / f"{content['name']}.yaml"
        file.write_text(json.dumps({"version": 1, **content}))
        return str(file)

    def kubeconfig(self, user: dict[str, Any], **cluster: Any) -> Path:
        """The cluster's own kubeconfig with another user; `None` takes a field of the cluster away."""
        content = yaml.safe_load(self.cluster.kubeconfig.read_text())
        content["users"][0]["user"] = user
        changed = {**content["clusters"][0]["cluster"], **cluster}
        content["clusters"][0]["cluster"] = {key: value for key, value in changed.items() if value is not None}
        file = self.folder / "kubeconfig"
        file.write_text(yaml.safe_dump(content))
        return file
