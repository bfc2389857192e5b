"""The GPUs of a node as the platform's metadata knows them."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Gpu:
    """`pci` is dddd:bb:dd in lower case, without a function."""

    uuid: str
    pci: str


def read_inventory(path: Path) -> tuple[Gpu, ...]:
    """Read `{"gpus": [{"uuid": ..., "pci": ...}, ...]}`. Raises OSError, ValueError or KeyError."""
    rows = json.loads(path.read_text())["gpus"]
    return tuple(Gpu(str(row["uuid"]), normal_pci(str(row["pci"]))) for row in rows)


def normal_pci(address: str) -> str:
    """Lower case, without a function (`.0`)."""
    return address.lower().partition(".")[0]
