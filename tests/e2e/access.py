"""The runner against the real cluster from outside, the fault agents of a test, and users of all sorts."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.cluster import Cluster
from tests.e2e.image import AGENT_IMAGE
from tests.e2e.namespace import Namespace

ROOT = Path(__file__).parents[2]
CHART = ROOT / "agent" / "deploy" / "chart"


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


@contextmanager
def fault_agents(namespace: Namespace, folder: Path) -> Iterator[str]:
    """The chart, installed into the namespace with a state of its own on the nodes; what `--agent` takes."""
    cluster = namespace.cluster
    inventory = {
        node: [{"index": gpu.index, "minor": gpu.index, "uuid": gpu.uuid, "pci": gpu.pci} for gpu in cluster.gpus(node)]
        for node in cluster.nodes
    }
    repository, _, tag = AGENT_IMAGE.rpartition(":")
    values = folder / "values.yaml"
    values.write_text(
        json.dumps(
            {
                "image": {"repository": repository, "tag": tag, "pullPolicy": "Never"},
                "node": {"stateDir": f"/var/lib/fault-agent-{namespace.name}", "inventory": inventory},
                "gateway": {"awayFrom": {"mode": "preferred"}},
            }
        )
    )
    cluster.kubectl("label", "namespace", namespace.name, "pod-security.kubernetes.io/enforce=privileged")
    where = ("--namespace", namespace.name)
    cluster.helm("install", "fault-agent", str(CHART), *where, "--values", str(values), "--wait", "--timeout=120s")
    try:
        yield f"{namespace.name}/fault-agent"
    finally:
        cluster.helm("uninstall", "fault-agent", *where, "--wait")
