"""A node: a machine made of namespaces, with containerd, kubelet, kube-proxy, GPUs and a power switch of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.e2e import network, node_files
from tests.e2e.binaries import Binaries, locked
from tests.e2e.cgroups import Group, hierarchies, processes
from tests.e2e.place import Machine, Place, Trouble
from tests.e2e.running import run, start_daemon, wait_for

CONTAINERD, KUBELET, PROXY, GPUS = "containerd", "kubelet", "kube-proxy", "deviceplugin"
PROGRAMS = (CONTAINERD, KUBELET, PROXY, GPUS)
_INSIDE = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup")
_NEW = ("--mount", "--uts", "--ipc", "--pid", "--cgroup", "--fork", "--kill-child=KILL")


class Node:
    """One machine of a cluster. It keeps its disk when its power is cut, and nothing else."""

    def __init__(self, place: Place, machine: Machine, binaries: Binaries, first: Path) -> None:
        """`first` is the program that becomes process 1: it only buries the dead."""
        self.name = machine.name
        self._place = place
        self._machine = machine
        self._binaries = binaries
        self._first = first
        self._disk = place.node(machine)
        self.group = Group(place.group).below(machine.name)

    def boot(self) -> None:
        """Start the machine and containerd; the boot id is a new one each time."""
        with locked(self._disk):  # only one may press the switch
            if self.is_on():
                raise Trouble(f"Node {self.name} is on already.")
            self._boot()

    def _boot(self) -> None:
        node_files.write(self._place, self._machine, self._binaries)
        self.group.kill()
        self.group.remove()  # each group of a pod of the last boot would cost the kubelet 3 seconds
        self.group.make()
        self._start_machine()
        self.start(CONTAINERD)
        wait_for(f"containerd of {self.name} answers", 30, lambda: self.try_ctr("version").returncode == 0, 0.05)

    def _start_machine(self) -> None:
        booted = self._disk / "booted"
        booted.unlink(missing_ok=True)
        start = [sys.executable, Path(__file__).with_name("node_start.py"), self.name, self._disk, self._first]
        new = ["setsid", "--fork", "unshare", *_NEW, *map(str, [*start, *hierarchies()])]
        log = self._log("machine")
        start_daemon(self.group.joined(network.entered(self._place, self._machine, new)), log)
        wait_for(f"{self.name} boots", 30, lambda: booted.exists() or not self.group.processes(), every=0.02)
        if not booted.exists():
            raise Trouble(f"{self.name} did not boot, see {log}.")

    def start_rest(self) -> None:
        """What needs containerd: from here on the node is part of the cluster."""
        for program in (KUBELET, PROXY, GPUS):
            self.start(program)

    @property
    def boot_id(self) -> str:
        return (self._disk / "boot_id").read_text().strip()

    def is_on(self) -> bool:
        return self._first_process() is not None

    def power_off(self) -> None:
        """At once, without a goodbye: with process 1 the kernel ends all others."""
        os.kill(self._entrance(), signal.SIGKILL)
        wait_for(f"node {self.name} is off", 20, lambda: not self.group.processes(), every=0.02)

    def start(self, program: str) -> None:
        """Start one of PROGRAMS on a machine that runs; what it prints is added to its log."""
        command = [str(self._binaries[program]), *node_files.arguments(program, self._place, self._machine)]
        environment = ["env", f"PATH={self._binaries.folder_of(CONTAINERD)}:{os.environ['PATH']}"]
        start_daemon(self.inside(["setsid", "--fork", *environment, *command]), self._log(program))

    def kill(self, program: str) -> None:
        """End it at once; raises Trouble if it is not running."""
        found = [number for number, name in processes(self.group) if name == program]
        if not found:
            raise Trouble(f"{program} is not running on {self.name}.")
        for number in found:
            os.kill(number, signal.SIGKILL)
        wait_for(f"{program} has ended on {self.name}", 10, lambda: not set(found) & set(self.group.processes()), 0.02)

    def inside(self, command: Sequence[str | Path]) -> list[str]:
        """A command line that runs in everything that makes this machine, from its folder `/`."""
        return self.group.joined(["nsenter", "--target", str(self._entrance()), *_INSIDE, "--", *command])

    def path(self, inside: str) -> Path:
        """One of its own, as it is reached from here."""
        return Path(f"/proc/{self._entrance()}/root{inside}")

    def import_image(self, archive: Path) -> None:
        """Let the node have an image; a thin one takes its missing layers from those that are there."""
        run(*self.inside([*self._ctr(), "images", "import", "--digests=false", archive]))

    def has_image(self, reference: str) -> bool:
        return reference in self.try_ctr("images", "list", "-q").stdout.split()

    def try_ctr(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.inside([*self._ctr(), *arguments]), capture_output=True, text=True, check=False, timeout=60
        )

    def _ctr(self) -> list[str]:
        return [str(self._binaries["ctr"]), "--namespace", "k8s.io"]

    def _entrance(self) -> int:
        """The process whose namespaces make the machine."""
        first = self._first_process()
        if first is None:
            raise Trouble(f"Node {self.name} is off.")
        return first

    def _first_process(self) -> int | None:
        """The one that calls itself 1, just one namespace away from us: first processes of pods are two away."""
        return next((one for one in self.group.processes() if _numbers(one)[1:] == ["1"]), None)

    def _log(self, program: str) -> Path:
        return self._place.logs / f"{self.name}-{program}.log"


def _numbers(process: int) -> list[str]:
    """What a process is called in each of its namespaces, from ours to its own; empty if it is gone."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return []
    return next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
