"""The inventory from the driver's files: which GPUs there are, in the order of nvidia-smi."""

import json
from pathlib import Path

import pytest

from fault_agent.driver_inventory import main
from fault_agent.inventory import Gpu, Inventory

INFORMATION = """\
Model: \t\t NVIDIA H100 80GB HBM3
IRQ:   \t\t 410
GPU UUID: \t {uuid}
Video BIOS: \t 96.00.61.00.01
Bus Type: \t PCIe
DMA Size: \t 52 bits
DMA Mask: \t 0xfffffffffffff
Bus Location: \t {pci}
Device Minor: \t {minor}
GPU Firmware: \t 535.161.08
GPU Excluded:\t {excluded}
"""


class Driver:
    """The folder /proc/driver/nvidia of a node."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, pci: str, uuid: str, minor: str, excluded: str = "No") -> None:
        folder = self.folder / "gpus" / pci
        folder.mkdir(parents=True)
        text = INFORMATION.format(uuid=uuid, pci=pci, minor=minor, excluded=excluded)
        (folder / "information").write_text(text)


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    return Driver(tmp_path / "nvidia")


def run(driver: Driver) -> tuple[int, Path]:
    target = driver.folder.parent / "inventory.json"
    return main(["--driver", str(driver.folder), "--write", str(target)]), target


def test_gpus_are_numbered_by_their_addresses(driver: Driver) -> None:
    driver.add("0000:86:00.0", "GPU-0b", "0")
    driver.add("0000:17:00.0", "GPU-0a", "1")
    status, target = run(driver)
    assert status == 0
    assert Inventory.load("gpu-1", target).gpus == (
        Gpu(0, 1, "GPU-0a", "0000:17:00"),
        Gpu(1, 0, "GPU-0b", "0000:86:00"),
    )


def test_a_gpu_that_the_driver_excludes_has_no_index(driver: Driver) -> None:
    driver.add("0000:17:00.0", "GPU-0a", "0", excluded="Yes")
    driver.add("0000:86:00.0", "GPU-0b", "1")
    target = run(driver)[1]
    assert json.loads(target.read_text()) == {"gpus": [{"index": 0, "minor": 1, "uuid": "GPU-0b", "pci": "0000:86:00"}]}


def test_a_node_without_a_driver_is_told_so(driver: Driver, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(driver)[0] == 2
    assert capsys.readouterr().err == (
        f"driver_inventory: The NVIDIA driver lists no GPU in {driver.folder}/gpus: is it loaded on this node?\n"
    )


def test_a_gpu_that_was_not_started_yet_is_not_guessed(driver: Driver, capsys: pytest.CaptureFixture[str]) -> None:
    driver.add("0000:17:00.0", "GPU-????????-????-????-????-????????????", "0")
    status, target = run(driver)
    assert (status, target.exists()) == (2, False)
    assert capsys.readouterr().err == (
        "driver_inventory: The NVIDIA driver does not know GPU 0000:17:00.0 well enough yet"
        " (UUID GPU-????????-????-????-????-????????????, minor 0): is nvidia-persistenced running?\n"
    )


def test_facts_that_can_not_be_read_are_said(driver: Driver, capsys: pytest.CaptureFixture[str]) -> None:
    (driver.folder / "gpus/0000:17:00.0").mkdir(parents=True)
    assert run(driver)[0] == 2
    path = driver.folder / "gpus/0000:17:00.0/information"
    assert capsys.readouterr().err == f"driver_inventory: {path} can not be read: No such file or directory.\n"
