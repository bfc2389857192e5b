"""Where everything of one cluster is: names, folders and addresses, all of them derived from the cluster's name."""

import re
import zlib
from dataclasses import dataclass
from pathlib import Path

CLUSTERS = Path("/var/opt/scenario-runner-e2e")  # not below /var/lib: each node has one of its own

BRIDGE_ADDRESS = "10.200.0.1"
NODE_NETWORK = "10.200.0.0/24"
POD_NETWORK = "10.244.0.0/16"
SERVICE_NETWORK = "10.96.0.0/16"
DNS_ADDRESS = "10.96.0.10"
API_ADDRESS = "10.96.0.1"  # the Service `kubernetes`
API_PORT = 6443
CONTROL_PLANE = "control-plane"


class Trouble(Exception):
    """One sentence for the person who started this."""


@dataclass(frozen=True)
class Machine:
    """One node of a cluster; `number` counts from 1 and makes its addresses."""

    name: str
    number: int

    @property
    def address(self) -> str:
        return f"10.200.0.{10 + self.number}"

    @property
    def pods(self) -> str:
        return f"10.244.{self.number}.0/24"

    @property
    def link(self) -> str:
        """The bridge's end of its cable, in the namespace of the control plane."""
        return f"to-{self.name}"


MACHINES = tuple(Machine(f"gpu-{number}", number) for number in (1, 2, 3))


@dataclass(frozen=True)
class Place:
    """Everything that one cluster has on this machine is found under these names."""

    name: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,15}", self.name):
            raise Trouble(f"{self.name!r} is no name for a cluster: use up to 16 small letters, digits and hyphens.")

    @property
    def state(self) -> Path:
        """The cluster's folder; that it exists means that the name is taken."""
        return CLUSTERS / self.name

    @property
    def ready(self) -> Path:
        """This file is there as soon as the cluster can be used."""
        return self.state / "ready"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def images(self) -> Path:
        """Of the project, as they were given to the nodes last."""
        return self.state / "images"

    @property
    def certificates(self) -> Path:
        return self.state / "certificates"

    @property
    def kubeconfig(self) -> Path:
        """For people and tests on this machine."""
        return self.state / "kubeconfig"

    def kubeconfig_of(self, user: str) -> Path:
        """For the cluster's own programs."""
        return self.state / f"{user}.kubeconfig"

    def node(self, machine: Machine) -> Path:
        """What outlives a power cut: the machine's disk."""
        return self.state / "nodes" / machine.name

    @property
    def group(self) -> str:
        """The control group, relative to each hierarchy."""
        return f"scenario-runner-e2e-{self.name}"

    def namespace(self, machine: Machine | None = None) -> str:
        """The network namespace of a node, or of the control plane."""
        return f"e2e-{self.name}" if machine is None else f"e2e-{self.name}-{machine.name}"

    @property
    def pci_domain(self) -> str:
        """All clusters share this machine's kernel log, so their GPUs need different addresses."""
        return f"{0x6000 + zlib.crc32(self.name.encode()) % 0x1000:04x}"
