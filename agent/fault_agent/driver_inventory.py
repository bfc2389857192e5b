"""`python -m fault_agent.driver_inventory`: writes down which GPUs the NVIDIA driver lists."""

import argparse
import json
import sys
from pathlib import Path

from fault_agent.inventory import Gpu, Inventory, driver_pci
from fault_agent.refusal import CannotStart

DRIVER = Path("/proc/driver/nvidia")


def gpus_of(driver: Path) -> tuple[Gpu, ...]:
    """Every GPU that the driver lists under `driver`/gpus; raises CannotStart if it lists none.

    The index is the one of nvidia-smi, which counts in the order of PCI addresses.
    """
    folders = sorted((driver / "gpus").glob("*"), key=lambda folder: folder.name)
    facts = [facts for folder in folders if (facts := _facts(folder))["GPU Excluded"] != "Yes"]
    if not facts:
        raise CannotStart(f"The NVIDIA driver lists no GPU in {driver}/gpus: is it loaded on this node?")
    return tuple(_gpu(index, one) for index, one in enumerate(facts))


def _facts(folder: Path) -> dict[str, str]:
    """The lines `name: value` of one GPU, its address under `Bus Location` at least."""
    facts = {"Bus Location": folder.name, "GPU Excluded": "No"}
    try:
        lines = (folder / "information").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError as error:
        raise CannotStart(f"{folder}/information can not be read: {error.strerror}.") from error
    for line in lines:
        name, _, value = line.partition(":")
        facts[name.strip()] = value.strip()
    return facts


def _gpu(index: int, facts: dict[str, str]) -> Gpu:
    location = facts["Bus Location"]
    pci, uuid, minor = driver_pci(location), facts.get("GPU UUID", ""), facts.get("Device Minor", "")
    if pci is None or not minor.isdigit() or "?" in uuid or not uuid.startswith("GPU-"):
        raise CannotStart(
            f"The NVIDIA driver does not know GPU {location} well enough yet (UUID {uuid or 'none'},"
            f" minor {minor or 'none'}): is nvidia-persistenced running?"
        )
    return Gpu(index, int(minor), uuid, pci)


def main(argv: list[str] | None = None) -> int:
    """0 = written, 2 = the driver does not tell and why is on stderr."""
    chosen = parser().parse_args(argv)
    try:
        gpus = gpus_of(chosen.driver)
        chosen.write.write_text(json.dumps({"gpus": [vars(gpu) for gpu in gpus]}) + "\n", encoding="ascii")
        Inventory.load("this node", chosen.write)
    except (CannotStart, OSError) as error:
        print(f"driver_inventory: {error}", file=sys.stderr)  # noqa: T201 - said to whoever started us
        return 2
    return 0


def parser() -> argparse.ArgumentParser:
    """The options `--driver` and `--write`."""
    options = argparse.ArgumentParser(prog="python -m fault_agent.driver_inventory")
    options.add_argument("--driver", type=Path, default=DRIVER, metavar="DIR", help=f"({DRIVER})")
    options.add_argument("--write", type=Path, required=True, metavar="FILE", help="the inventory for `--inventory`")
    return options


if __name__ == "__main__":
    sys.exit(main())
