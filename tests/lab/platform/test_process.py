"""The stand-in as a process, beside the lab's real API server."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scenario_runner.lab.platform.api import LabApi
from scenario_runner.lab.platform.cluster import Cluster, Node
from scenario_runner.lab.platform.kernel_log import FileLog
from scenario_runner.lab.platform.states import LABEL
from tests.lab.platform.real_api import api_server


class Lab:
    """One API server, one node, one keeper, and stand-ins that come and go."""

    def __init__(self, folder: Path, kubeconfig: Path) -> None:
        self.folder = folder
        self.kubeconfig = kubeconfig
        self.api = LabApi(kubeconfig)
        self.cluster = Cluster(self.api)
        self.reboots = 0
        # The real kernel log has other readers: no GPU of any lab or of another run of this test may be meant.
        unique = uuid.uuid4()
        self.uuid = f"GPU-{unique}"
        self.pci = f"5{unique.hex[:3]}:17:00"
        self.boot_id = folder / "boot_id"
        self.boot_id.write_text("boot-0\n")
        self.log = folder / "kernel.log"
        self.log.touch()
        (folder / "inventory.json").write_text(
            json.dumps({"gpus": [{"index": 0, "minor": 0, "uuid": self.uuid, "pci": self.pci}]})
        )
        for name in ("gpu-1", "gpu-2", "gpu-3"):
            labels = {"nvidia.com/gpu.present": "true"}
            self.api.create(
                "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
            )
        self.report_node()
        self.keeper = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.keeper.bind(str(folder / "k.sock"))
        self.keeper.listen()
        threading.Thread(target=self._keep, daemon=True).start()
        self.processes: list[subprocess.Popen[str]] = []

    def report_node(self) -> None:
        condition = {"type": "Ready", "status": "True", "reason": "r", "message": "m"}
        status = {"conditions": [condition], "nodeInfo": {"bootID": self.boot_id.read_text().strip()}}
        self.api.patch("/api/v1/nodes/gpu-1/status", {"status": status}, strategic=True)

    def start(self, scale: float, kernel_log: str | None = None) -> subprocess.Popen[str]:
        place = {
            "kernel_log": kernel_log or str(self.log),
            "inventory": str(self.folder / "inventory.json"),
            "boot_id_file": str(self.boot_id),
        }
        nodes = self.folder / "places.json"
        nodes.write_text(json.dumps({"nodes": {"gpu-1": place}, "control": str(self.folder / "k.sock")}))
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "scenario_runner.lab.platform",
                "--kubeconfig",
                str(self.kubeconfig),
                "--nodes-file",
                str(nodes),
                "--scale",
                str(scale),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    def fall_off_the_bus(self) -> None:
        FileLog(self.log).write(4, f"kernel: ;NVRM: Xid (PCI:{self.pci}): 79, GPU has fallen off the bus. f-1")

    def node(self) -> Node:
        return self.cluster.nodes()["gpu-1"]

    def until(self, holds: Callable[[Node], bool]) -> Node:
        end = time.monotonic() + 50
        while not holds(node := self.node()):
            assert time.monotonic() < end, node.raw
            time.sleep(0.01)
        return node

    def _keep(self) -> None:
        while True:
            try:
                connection, _ = self.keeper.accept()
            except OSError:
                return
            with connection:
                assert connection.recv(100) == b"reboot gpu-1\n"
                self.reboots += 1
                self.log.write_text("")  # the ring of a machine that starts is empty
                self.boot_id.write_text(f"boot-{self.reboots}\n")
                connection.sendall(b"ok\n")
            self.report_node()

    def end(self) -> None:
        self.keeper.shutdown(socket.SHUT_RDWR)
        self.keeper.close()
        for process in self.processes:
            process.kill()
            process.communicate()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with api_server(tmp_path) as kubeconfig:
        lab = Lab(tmp_path, kubeconfig)
        yield lab
        lab.end()


@pytest.mark.lab
def test_a_line_in_the_log_ends_with_a_rebooted_and_uncordoned_node(lab: Lab) -> None:
    process = lab.start(scale=150)
    lab.fall_off_the_bus()
    cordoned = lab.until(lambda node: LABEL in node.labels)
    assert cordoned.unschedulable
    healed = lab.until(lambda node: LABEL not in node.labels)
    assert (healed.unschedulable, lab.reboots, dict(healed.annotations)) == (False, 1, {})
    assert (healed.condition("SysLogsXIDError") or {})["status"] == "False"
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


@pytest.mark.lab
def test_killed_in_the_middle_the_next_one_ends_it(lab: Lab) -> None:
    process = lab.start(scale=120)
    lab.fall_off_the_bus()
    lab.until(lambda node: LABEL in node.labels)
    process.kill()
    process.wait(20)
    lab.start(scale=150)
    healed = lab.until(lambda node: LABEL not in node.labels)
    assert (healed.unschedulable, lab.reboots) == (False, 1)


@pytest.mark.lab
@pytest.mark.kmsg
def test_in_the_real_log_it_finds_its_own_gpu_and_no_other(lab: Lab) -> None:
    if not os.access("/dev/kmsg", os.R_OK | os.W_OK):
        pytest.skip("/dev/kmsg is not ours to read and write")
    lab.start(scale=150, kernel_log="real")
    for pci in (lab.pci.replace(":17:", ":18:"), lab.pci):
        with open("/dev/kmsg", "w") as log:  # noqa: PTH123 - one write is one record
            log.write(f"kernel: ;NVRM: Xid (PCI:{pci}): 95, pid=1, name=x, Uncontained: LTC TAG (0x2, 0x1). test\n")
    seen = lab.until(lambda node: node.condition("SysLogsXIDError") is not None)
    message = (seen.condition("SysLogsXIDError") or {})["message"]
    assert message.startswith(f"ErrorCode:95 PCI:{lab.pci} GPU_UUID:{lab.uuid} ;NVRM: Xid (PCI:{lab.pci}): 95, pid=1")
    assert message.count("ErrorCode") == 1
    lab.until(lambda node: LABEL in node.labels)
    lab.until(lambda node: LABEL not in node.labels)


def test_a_scale_of_nothing_is_refused(tmp_path: Path) -> None:
    words = ["--kubeconfig", str(tmp_path / "k"), "--nodes-file", str(tmp_path / "n"), "--scale", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "scenario_runner.lab.platform", *words], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (2, "platform: a scale of 0 is not above 0\n")
