"""What the stand-in can reach on one node: its kernel log, its GPUs, its boot id. And the file that says where."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from scenario_runner.lab.platform.inventory import Gpu, read_inventory
from scenario_runner.lab.platform.kernel_log import KernelLog, open_kernel_log
from scenario_runner.lab.platform.reboot import Ask, ask_keeper
from scenario_runner.lab.platform.remote import Remote, RemoteLog, RemoteReboot


class BootIdFile(Protocol):
    """A file on the node, or what its outpost says is in it."""

    def read_text(self) -> str:
        """Raises OSError while there is none."""


@dataclass(frozen=True)
class Place:
    """One node from the inside."""

    node: str
    kernel_log: KernelLog
    gpus: tuple[Gpu, ...]
    boot_id_file: BootIdFile

    @property
    def boot_id(self) -> str:
        """Raises OSError while there is none."""
        return self.boot_id_file.read_text().strip()


@dataclass(frozen=True)
class Places:
    """All nodes, and whom to ask to reboot them."""

    nodes: Mapping[str, Place]
    ask: Ask


def read_places(file: Path) -> Places:
    """
    Read `{"nodes": {NAME: {"kernel_log": "real" | PATH, "inventory": PATH, "boot_id_file": PATH}}, "control": PATH}`.

    On a real cluster it is `{"nodes": {NAME: {"outpost": URL, "inventory": PATH}}, "token_file": PATH}`.

    Raises OSError, ValueError or KeyError.
    """
    document = json.loads(file.read_text())
    if "token_file" in document:
        return _behind_outposts(document["nodes"], Path(document["token_file"]).read_text().strip())
    nodes = {
        name: Place(
            name,
            open_kernel_log(row["kernel_log"]),
            read_inventory(Path(row["inventory"])),
            Path(row["boot_id_file"]),
        )
        for name, row in document["nodes"].items()
    }
    return Places(nodes, ask_keeper(Path(document["control"])))


def _behind_outposts(rows: Mapping[str, Mapping[str, str]], token: str) -> Places:
    remotes = {name: Remote(row["outpost"], token) for name, row in rows.items()}
    nodes = {
        name: Place(name, RemoteLog(remote), read_inventory(Path(rows[name]["inventory"])), remote)
        for name, remote in remotes.items()
    }
    return Places(nodes, lambda node: RemoteReboot(remotes[node]))
