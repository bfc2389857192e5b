"""The cluster from outside: what it is called, and what can be done to it."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.e2e import binaries, image, network, node_files
from tests.e2e.binaries import Binaries
from tests.e2e.control_plane import API_SERVER, ControlPlane
from tests.e2e.node import PROGRAMS, Node
from tests.e2e.node_files import Gpu
from tests.e2e.place import MACHINES, Machine, Place, Trouble
from tests.e2e.running import run, try_to_run, wait_for


@dataclass(frozen=True)
class Cluster:
    """
    A running cluster, for tests and drills. Everything raises Trouble with one sentence.

    Paths: `kubeconfig` (with the one context `context`), `kubectl` and `helm` of fitting versions.
    """

    name: str
    kubeconfig: Path
    context: str
    kubectl_path: Path
    helm_path: Path
    nodes: tuple[str, ...]
    binaries: Binaries

    @classmethod
    def attach(cls, name: str) -> "Cluster":
        """The cluster of that name, which somebody has started or is starting."""
        place, found = Place(name), binaries.built()
        return cls(
            name=name,
            kubeconfig=place.kubeconfig,
            context=f"e2e-{name}",
            kubectl_path=found["kubectl"],
            helm_path=found["helm"],
            nodes=tuple(one.name for one in MACHINES),
            binaries=found,
        )

    # What it says

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl printed."""
        done = self.try_kubectl(*arguments, stdin=stdin)
        if done.returncode:
            raise Trouble(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def try_kubectl(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return try_to_run(self.kubectl_path, f"--kubeconfig={self.kubeconfig}", *arguments, stdin=stdin)

    def get(self, *arguments: str) -> dict[str, Any]:
        """The object, or the list, that `kubectl get` finds."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "--output=json"))
        return found

    def helm(self, *arguments: str) -> str:
        return run(self.helm_path, f"--kubeconfig={self.kubeconfig}", *arguments)

    def condition(self, node: str) -> str:
        """`True`, `False` or `Unknown`: whether the node is ready; `absent` as long as it has not registered."""
        path = '{.status.conditions[?(@.type=="Ready")].status}'
        done = self.try_kubectl("get", "node", node, f"--output=jsonpath={path}")
        return done.stdout if done.returncode == 0 and done.stdout else "absent"

    def is_ready(self, node: str) -> bool:
        """Ready as the node that it is now, not as before its last boot, and with its GPUs."""
        done = self.try_kubectl("get", "node", node, "--output=json")
        if done.returncode:
            return False
        status = json.loads(done.stdout)["status"]
        ready = any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions", []))
        gpus = status.get("allocatable", {}).get("nvidia.com/gpu") == str(len(self.gpus(node)))
        return ready and gpus and status["nodeInfo"]["bootID"] == self.machines[node].boot_id

    def gpus(self, node: str) -> tuple[Gpu, ...]:
        return node_files.gpus(self._place, self._machine(node))

    def address(self, node: str) -> str:
        return self._machine(node).address

    def is_on(self, node: str) -> bool:
        return self._node(node).is_on()

    # What can be done to a node

    def power_off(self, node: str) -> None:
        """Cut its power: everything on it ends at once, its disk stays."""
        self._node(node).power_off()

    def power_on(self, node: str) -> None:
        """Boot it; it has a new boot id and comes back to the cluster by itself."""
        self._node(node).boot()
        self._node(node).start_rest()

    def cut(self, node: str) -> None:
        """Take it off the network; its processes go on."""
        network.cut(self._place, self._machine(node))

    def join(self, node: str) -> None:
        """Put it on the network again."""
        network.join(self._place, self._machine(node))

    def kill(self, node: str, program: str) -> None:
        """SIGKILL for its `containerd`, `kubelet`, `kube-proxy` or `deviceplugin`, which stay away until started."""
        self._node(node).kill(_known(program))

    def start(self, node: str, program: str) -> None:
        """Start again what was killed."""
        self._node(node).start(_known(program))

    def wait_until_ready(self, node: str, seconds: float = 60.0) -> None:
        wait_for(f"node {node} is ready", seconds, lambda: self.is_ready(node))

    # What can be done to the control plane

    def stop_api_server(self) -> None:
        """SIGKILL: nobody is told, watches break."""
        self.control_plane.kill(API_SERVER)

    def start_api_server(self) -> None:
        """Start it again and wait until it serves."""
        self.control_plane.start(API_SERVER)
        self.control_plane.wait_until_ready()

    def pause(self, program: str) -> None:
        """Let a program of the control plane, e.g. `etcd`, do nothing; its connections stay open."""
        self.control_plane.pause(program)

    def resume(self, program: str) -> None:
        self.control_plane.resume(program)

    def load_images(self) -> None:
        """Build the project's images from the working tree and give them to all nodes; running pods keep theirs."""
        base = image.build_base()
        project = image.build_project(base, self._place.images)
        for node in self.machines.values():
            image.load(node, base, project)

    # The parts

    @property
    def _place(self) -> Place:
        return Place(self.name)

    @cached_property
    def control_plane(self) -> ControlPlane:
        return ControlPlane(self._place, self.binaries)

    @cached_property
    def machines(self) -> Mapping[str, Node]:
        first = image.build_pause()
        return {one.name: Node(self._place, one, self.binaries, first) for one in MACHINES}

    def _node(self, name: str) -> Node:
        return self.machines[self._machine(name).name]

    def _machine(self, name: str) -> Machine:
        for one in MACHINES:
            if one.name == name:
                return one
        raise Trouble(f"There is no node {name}, only {', '.join(self.nodes)}.")


def _known(program: str) -> str:
    if program not in PROGRAMS:
        raise Trouble(f"A node has no program {program}, only {', '.join(PROGRAMS)}.")
    return program


if __name__ == "__main__":
    from tests.e2e.command import main

    raise SystemExit(main())
