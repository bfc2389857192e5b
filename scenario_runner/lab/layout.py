"""
Where a lab keeps its files: the one place that knows the layout.

    labs/<name>/
      options.json        how the lab was ordered, and its id
      lab.json            what others need to know (LabInfo); written when the lab is ready
      kubeconfig  token   access to the API server and to the agents
      control.sock        the keeper's control socket (elsewhere, if this path is too long for a socket)
      agents.json         the gateway's roster
      places.json         where the platform stand-in finds kernel logs, GPUs and boot ids
      manifests.yaml      what was applied
      logs/<component>.log
      nodes/<node>/
        boot_id  inventory.json  allocations.json  kernel.log
        agent/            the agent's own state
        pods/<uid>/       volumes, working directories, logs and pids of the node's pods
        root/             the node's own file system, as a hostPath sees it; root/run is empty after a reboot
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class NodeLayout:
    """The files of one node."""

    root: Path

    @property
    def boot_id(self) -> Path:
        return self.root / "boot_id"

    @property
    def inventory(self) -> Path:
        return self.root / "inventory.json"

    @property
    def allocations(self) -> Path:
        return self.root / "allocations.json"

    @property
    def kernel_log(self) -> Path:
        return self.root / "kernel.log"

    @property
    def agent(self) -> Path:
        return self.root / "agent"

    @property
    def pods(self) -> Path:
        return self.root / "pods"

    @property
    def host(self) -> Path:
        return self.root / "root"

    @property
    def cuda(self) -> Path:
        """What workloads and the agent know as /run/scenario-runner/cuda."""
        return self.host / "run" / "scenario-runner" / "cuda"


@dataclass(frozen=True)
class Layout:
    """The files of one lab."""

    root: Path

    @property
    def options(self) -> Path:
        return self.root / "options.json"

    @property
    def info(self) -> Path:
        return self.root / "lab.json"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def token(self) -> Path:
        return self.root / "token"

    @property
    def roster(self) -> Path:
        return self.root / "agents.json"

    @property
    def places(self) -> Path:
        return self.root / "places.json"

    @property
    def manifests(self) -> Path:
        return self.root / "manifests.yaml"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def log(self, component: str) -> Path:
        return self.logs / f"{component}.log"

    def node(self, name: str) -> NodeLayout:
        return NodeLayout(self.root / "nodes" / name)


def labs_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where all labs of this user lie."""
    if chosen := environment.get("SCENARIO_RUNNER_STATE"):
        return Path(chosen).absolute() / "labs"
    state = environment.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state).absolute() / "scenario-runner" / "labs"


def write_whole(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file so that readers see the old text or the new one, never a part."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.touch(mode)
    draft.write_text(text)
    draft.replace(path)
