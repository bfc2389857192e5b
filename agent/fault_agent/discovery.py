"""Finds the GPUs of a real node: the driver's files in /proc, and nvidia-smi where they do not tell all."""

import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from fault_agent.inventory import Gpu, driver_pci

DRIVER_FILES = Path("/proc/driver/nvidia/gpus")
SMI_SECONDS = 20.0  # nvidia-smi hangs for minutes on a GPU that is ill

_KNOWN_UUID = re.compile(r"GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Discovery:
    """Where to look; `smi` None = nowhere but in the driver's files."""

    driver_files: Path = DRIVER_FILES
    smi: str | None = "nvidia-smi"

    def __call__(self) -> tuple[Gpu, ...]:
        """All GPUs in the order of nvidia-smi, which is the order of their addresses; none if no driver answers."""
        found = sorted(self._from_driver(), key=_address)
        if found and all(_KNOWN_UUID.fullmatch(gpu.uuid) for gpu in found):
            return _numbered(found)
        told = self._from_smi()  # a GPU that nobody has opened yet shows no UUID in the driver's files
        if not found:
            return told
        uuids = {gpu.pci: gpu.uuid for gpu in told}
        return _numbered([replace(gpu, uuid=uuids.get(gpu.pci, gpu.uuid)) for gpu in found])

    def _from_driver(self) -> list[Gpu]:
        found = []
        for path in sorted(self.driver_files.glob("*/information")):
            try:
                fields = _fields(path.read_text(errors="replace"))
            except OSError:
                continue  # it has just fallen off the bus
            pci = driver_pci(fields.get("Bus Location", path.parent.name))
            if pci is not None and fields.get("GPU Excluded") != "Yes":
                found.append(Gpu(0, int(fields.get("Device Minor", "0")), fields.get("GPU UUID", ""), pci))
        return found

    def _from_smi(self) -> tuple[Gpu, ...]:
        command = self.smi and shutil.which(self.smi)
        if not command:
            return ()
        try:
            done = subprocess.run([command, "-q"], capture_output=True, text=True, timeout=SMI_SECONDS, check=False)  # noqa: S603 - an operator's option, never a request's value
        except (OSError, subprocess.TimeoutExpired):
            return ()
        return parse_smi(done.stdout)


def parse_smi(text: str) -> tuple[Gpu, ...]:
    """The GPUs in the output of `nvidia-smi -q`."""
    found: list[Gpu] = []
    for block in re.split(r"(?m)^GPU (?=[0-9A-Fa-f]{8}:)", text)[1:]:
        fields = _fields(block)
        pci = driver_pci(block.split()[0])
        if pci is not None and "GPU UUID" in fields:
            minor = fields.get("Minor Number", "")
            found.append(Gpu(len(found), int(minor) if minor.isdigit() else len(found), fields["GPU UUID"], pci))
    return tuple(found)


def _fields(text: str) -> dict[str, str]:
    """`Name : value` lines; the first of a name counts."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, mark, value = line.partition(":")
        if mark:
            found.setdefault(name.strip(), value.strip())
    return found


def _address(gpu: Gpu) -> tuple[int, ...]:
    return tuple(int(part, 16) for part in gpu.pci.split(":"))


def _numbered(gpus: list[Gpu]) -> tuple[Gpu, ...]:
    return tuple(replace(gpu, index=index) for index, gpu in enumerate(gpus))
