"""What the stand-in can reach on one node: its kernel log, its GPUs, its boot id. And the file that says where."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scenario_runner.lab.platform.inventory import Gpu, read_inventory
from scenario_runner.lab.platform.kernel_log import KernelLog, open_kernel_log


@dataclass(frozen=True)
class Place:
    """One node from the inside."""

    node: str
    kernel_log: KernelLog
    gpus: tuple[Gpu, ...]
    boot_id_file: Path

    @property
    def boot_id(self) -> str:
        """Raises OSError while there is none."""
        return self.boot_id_file.read_text().strip()


@dataclass(frozen=True)
class Places:
    """All nodes, and the socket of whoever can reboot them."""

    nodes: Mapping[str, Place]
    control: Path


def read_places(file: Path) -> Places:
    """
    Read `{"nodes": {NAME: {"kernel_log": "real" | PATH, "inventory": PATH, "boot_id_file": PATH}}, "control": PATH}`.

    Raises OSError, ValueError or KeyError.
    """
    document = json.loads(file.read_text())
    nodes = {
        name: Place(
            name,
            open_kernel_log(row["kernel_log"]),
            read_inventory(Path(row["inventory"])),
            Path(row["boot_id_file"]),
        )
        for name, row in document["nodes"].items()
    }
    return Places(nodes, Path(document["control"]))
