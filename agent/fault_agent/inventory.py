"""Which GPUs this node has, how people name them, and which pods hold them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import TypeAdapter, ValidationError

from fault_agent.refusal import CannotStart, Refusal

_PCI = re.compile(r"([0-9a-f]{4,8}):([0-9a-f]{2}):([0-9a-f]{2})(?:\.[0-7])?")


def driver_pci(text: str) -> str | None:
    """A PCI address as the driver prints it (`0000:17:00`: lower case, short domain, no function), or None."""
    match = _PCI.fullmatch(text.lower())
    if match is None:
        return None
    domain, bus, device = match.groups()
    return f"{int(domain, 16):04x}:{bus}:{device}"


@dataclass(frozen=True)
class Gpu:
    """One GPU: `index` as nvidia-smi counts, `minor` of /dev/nvidiaN, `pci` as the driver prints it."""

    index: int
    minor: int
    uuid: str
    pci: str


@dataclass(frozen=True)
class Holder:
    """A container that holds a GPU."""

    namespace: str
    pod: str
    container: str


@dataclass(frozen=True)
class _InventoryFile:
    gpus: tuple[Gpu, ...]


class Inventory:
    """The GPUs of one node; while there are none, `look_again` is asked, as drivers may come after the agent."""

    def __init__(
        self, node: str, gpus: tuple[Gpu, ...], look_again: Callable[[], tuple[Gpu, ...]] | None = None
    ) -> None:
        self._node = node
        self._gpus = gpus
        self._look_again = look_again

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        if not self._gpus and self._look_again is not None:
            self._gpus = self._look_again()
        return self._gpus

    @classmethod
    def load(cls, node: str, path: Path) -> "Inventory":
        """Read the inventory file; raises CannotStart with one sentence."""
        try:
            found = TypeAdapter(_InventoryFile).validate_json(path.read_bytes())
        except OSError as error:
            raise CannotStart(f"The inventory {path} can not be read: {error.strerror}.") from error
        except ValidationError as error:
            raise CannotStart(f"The inventory {path} is not valid: {_first_problem(error)}.") from error
        return cls(node, tuple(_checked(gpu, path) for gpu in found.gpus))

    def find(self, gpu_id: int | str) -> Gpu:
        """The GPU meant by an nvidia-smi index, a UUID, a PCI address or `minor:N`; raises Refusal 404."""
        for gpu in self.gpus:
            if _is_meant(gpu, gpu_id):
                return gpu
        known = ", ".join(f"{gpu.index} ({gpu.uuid}, {gpu.pci})" for gpu in self.gpus) or "none"
        message = f"Node {self._node} has no GPU {gpu_id}; its GPUs: {known}."
        raise Refusal(404, "gpu_not_found", message, self._node)


def _is_meant(gpu: Gpu, gpu_id: int | str) -> bool:
    if isinstance(gpu_id, int):
        return gpu.index == gpu_id
    names = {str(gpu.index), f"minor:{gpu.minor}", gpu.uuid.lower()}
    return gpu_id.lower() in names or driver_pci(gpu_id) == gpu.pci


def _checked(gpu: Gpu, path: Path) -> Gpu:
    pci = driver_pci(gpu.pci)
    if pci is None:
        raise CannotStart(f"The inventory {path} is not valid: {gpu.pci!r} is not a PCI address like 0000:17:00.")
    if not re.fullmatch(r"GPU-[0-9a-fA-F-]+", gpu.uuid):
        raise CannotStart(f"The inventory {path} is not valid: {gpu.uuid!r} is not a UUID like GPU-0a1b.")
    return Gpu(gpu.index, gpu.minor, gpu.uuid, pci)


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]


class Holders(Protocol):
    """Whoever knows which containers hold which GPU."""

    def holders(self) -> dict[str, list[Holder]]:
        """UUID -> containers; raises Refusal 500."""


class Allocations:
    """Who holds which GPU, from a file that the node's kubelet replaces; an absent file means nobody known."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def holders(self) -> dict[str, list[Holder]]:
        """UUID -> containers; raises Refusal 500 if the file is there and not valid."""
        if self._path is None:
            return {}
        try:
            return TypeAdapter(dict[str, list[Holder]]).validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValidationError) as error:
            message = f"The allocations file {self._path} can not be used: {error}."
            raise Refusal(500, "allocations_unreadable", " ".join(message.split())) from error
