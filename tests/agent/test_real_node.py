"""What a real node tells: its GPUs from the driver's files and nvidia-smi, their holders from the kubelet's files."""

import json
from pathlib import Path
from typing import Any

import pytest

from fault_agent.discovery import Discovery
from fault_agent.inventory import Gpu
from tests.agent.world import NodeProgram

A = "GPU-11111111-aaaa-bbbb-cccc-000000000001"
B = "GPU-22222222-aaaa-bbbb-cccc-000000000002"
UNKNOWN = "GPU-????????-????-????-????-????????????"


def information(folder: Path, pci: str, uuid: str, minor: int, excluded: str = "No") -> None:
    """The file as the driver shows it."""
    (folder / pci).mkdir(parents=True, exist_ok=True)
    (folder / pci / "information").write_text(
        f"Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 18\nGPU UUID: \t {uuid}\nVideo BIOS: \t 96.00.89.00.01\n"
        f"Bus Type: \t PCIe\nDMA Size: \t 52 bits\nDMA Mask: \t 0xfffffffffffff\nBus Location: \t {pci}\n"
        f"Device Minor: \t {minor}\nGPU Firmware: \t 550.54.15\nGPU Excluded:\t {excluded}\n"
    )


SMI = f"""#!/bin/sh
test "$*" = -q || exit 9
cat <<'END'

==============NVSMI LOG==============

Timestamp                                 : Wed Jan  1 00:00:00 2025
Driver Version                            : 550.54.15
CUDA Version                              : 12.4

Attached GPUs                             : 2
GPU 00000000:17:00.0
    Product Name                          : NVIDIA H100 80GB HBM3
    GPU UUID                              : {A}
    Minor Number                          : 3
    PCI
        Bus Id                            : 00000000:17:00.0
GPU 00000001:01:00.0
    Product Name                          : NVIDIA H100 80GB HBM3
    GPU UUID                              : {B}
    Minor Number                          : 0
END
"""


@pytest.fixture
def smi(tmp_path: Path) -> Path:
    program = tmp_path / "nvidia-smi"
    program.write_text(SMI)
    program.chmod(0o755)
    return program


@pytest.fixture
def driver(tmp_path: Path) -> Path:
    return tmp_path / "gpus"


TWO = (Gpu(0, 3, A, "0000:17:00"), Gpu(1, 0, B, "0001:01:00"))


def test_the_drivers_files_are_enough_where_they_name_every_gpu(driver: Path) -> None:
    information(driver, "0001:01:00.0", B, 0)
    information(driver, "0000:17:00.0", A, 3)
    information(driver, "0000:05:00.0", UNKNOWN, 9, excluded="Yes")
    assert Discovery(driver, "/nowhere/nvidia-smi")() == TWO


def test_nvidia_smi_is_asked_for_the_uuid_of_a_gpu_that_nobody_has_opened(driver: Path, smi: Path) -> None:
    information(driver, "0000:17:00.0", UNKNOWN, 3)
    information(driver, "0001:01:00.0", B, 0)
    assert Discovery(driver, str(smi))() == TWO


def test_nvidia_smi_is_enough_where_the_driver_shows_no_files(driver: Path, smi: Path) -> None:
    assert Discovery(driver, str(smi))() == TWO


def test_a_node_without_a_driver_has_no_gpus(driver: Path) -> None:
    assert Discovery(driver, None)() == ()


@pytest.mark.skipif(not Path("/proc/driver/nvidia/gpus").is_dir(), reason="this machine has no NVIDIA driver")
def test_the_real_driver_is_understood() -> None:
    found = Discovery()()
    assert found
    assert all(len(gpu.uuid) == len(A) for gpu in found)


def without_inventory(node: NodeProgram, driver: Path) -> None:
    at = node.argv.index("--inventory")
    node.argv[at : at + 2] = ["--driver-files", str(driver), "--nvidia-smi", "/nowhere"]


def test_a_driver_that_comes_after_the_agent_is_found(node: NodeProgram, driver: Path) -> None:
    without_inventory(node, driver)
    node.start()
    said = "no GPU found yet; faults will be refused until a driver shows one"
    assert node.printed().splitlines()[0] == said
    assert node.inject(79).json()["error"]["message"] == "Node gpu-1 has no GPU 0; its GPUs: none."
    information(driver, "0000:17:00.0", A, 3)
    assert node.inject(79, gpu_id=A).json()["target"]["pci"] == "0000:17:00"


def checkpoint(kubelet: Path, *entries: tuple[str, str, Any], resource: str = "nvidia.com/gpu") -> None:
    """As kubelets write it; the checksum and the answer of the plugin do not matter here."""
    listed = [
        {"PodUID": uid, "ContainerName": container, "ResourceName": resource, "DeviceIDs": ids, "AllocResp": "CgA="}
        for uid, container, ids in entries
    ]
    folder = kubelet / "device-plugins"
    folder.mkdir(parents=True, exist_ok=True)
    data = {"PodDeviceEntries": listed, "RegisteredDevices": {resource: [A, B]}}
    (folder / "kubelet_internal_checkpoint").write_text(json.dumps({"Data": data, "Checksum": 1}))


def held(node: NodeProgram) -> list[list[dict[str, str]]]:
    return [gpu["held_by"] for gpu in node.get("/api/v1/gpus").json()["gpus"]]


def test_holders_come_from_the_files_of_the_kubelet(node: NodeProgram, driver: Path, tmp_path: Path) -> None:
    without_inventory(node, driver)
    information(driver, "0000:17:00.0", A, 0)
    information(driver, "0000:18:00.0", B, 1)
    kubelet, logs = tmp_path / "kubelet", tmp_path / "pods"
    for name in ("dynamo_vllm-decode-abc_uid-1", "dynamo_other_uid-2", "batch_job-x_uid-4"):
        (logs / name / "main").mkdir(parents=True)
    node.start("--kubelet-dir", str(kubelet), "--pod-logs-dir", str(logs))
    assert held(node) == [[], []]
    checkpoint(
        kubelet,
        ("uid-1", "worker", {"0": [A], "1": [B]}),
        ("uid-2", "main", [f"{B}::1", f"{B}::2"]),
        ("uid-3", "gone", {"0": [A]}),
        ("uid-4", "job", {"-1": ["1"]}),
    )
    worker = {"namespace": "dynamo", "pod": "vllm-decode-abc", "container": "worker"}
    other = {"namespace": "dynamo", "pod": "other", "container": "main"}
    job = {"namespace": "batch", "pod": "job-x", "container": "job"}
    assert held(node) == [[worker], [worker, other, job]]
    checkpoint(kubelet, ("uid-1", "worker", {"0": [A]}), resource="example.com/nic")
    assert held(node) == [[], []]
    (kubelet / "device-plugins" / "kubelet_internal_checkpoint").write_text("{}")
    refused = node.get("/api/v1/gpus")
    path = kubelet / "device-plugins" / "kubelet_internal_checkpoint"
    assert (refused.status_code, refused.json()["error"]["message"]) == (
        500,
        f"The kubelet's checkpoint {path} can not be used (KeyError: 'Data').",
    )
