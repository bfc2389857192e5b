"""Hands out the node's GPUs to pods, and tells the fault agent who holds which."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scenario_runner.lab.layout import write_whole


@dataclass(frozen=True)
class Gpu:
    """One of the node; `pci` is its address, domain:bus:device."""

    uuid: str
    pci: str


def read_inventory(file: Path) -> tuple[Gpu, ...]:
    """All GPUs of a node in the order of their indices."""
    return tuple(Gpu(row["uuid"], row["pci"]) for row in json.loads(file.read_text())["gpus"])


@dataclass(frozen=True)
class Driver:
    """What a node's container runtime knows: where the driver's libraries are, and all GPUs."""

    folder: Path
    gpus: tuple[Gpu, ...]

    def variables(self, held: Sequence[str]) -> dict[str, str]:
        """How a container finds the driver, and how that shows it its own GPUs and no other."""
        machine = ",".join(f"{one.uuid}@{one.pci}" for one in self.gpus)
        return {
            "LD_LIBRARY_PATH": str(self.folder),
            "STUB_CUDA_GPUS": machine,
            "CUDA_VISIBLE_DEVICES": ",".join(held),
        }


@dataclass(frozen=True)
class Holder:
    """A container that holds GPUs."""

    namespace: str
    pod: str
    container: str


class GpuPool:
    """All GPUs of a node; `file` always says who holds them."""

    def __init__(self, uuids: tuple[str, ...], file: Path) -> None:
        self._uuids = uuids
        self._file = file
        self._held: dict[str, Holder] = {}
        self._publish()

    def take(self, wanted: Mapping[Holder, int]) -> dict[Holder, tuple[str, ...]] | None:
        """GPUs for all containers of a pod, or None if there are too few."""
        free = [one for one in self._uuids if one not in self._held]
        if sum(wanted.values()) > len(free):
            return None
        taken: dict[Holder, tuple[str, ...]] = {}
        for holder, count in wanted.items():
            taken[holder], free = tuple(free[:count]), free[count:]
            self._held |= dict.fromkeys(taken[holder], holder)
        self._publish()
        return taken

    def give_back(self, namespace: str, pod: str) -> None:
        self._held = {
            one: holder for one, holder in self._held.items() if (holder.namespace, holder.pod) != (namespace, pod)
        }
        self._publish()

    def _publish(self) -> None:
        rows = {
            one: [{"namespace": who.namespace, "pod": who.pod, "container": who.container}]
            for one, who in sorted(self._held.items())
        }
        write_whole(self._file, json.dumps(rows, indent=2))
