"""What a node of a lab is made of: its GPUs, its boot id and the ring of its kernel."""

import json
import shutil
import uuid

from scenario_runner.lab.layout import NodeLayout, write_whole


def install(node: NodeLayout, name: str, lab_id: str, pci_domain: str, bus: int, gpus: int) -> None:
    """Write the inventory and the first boot id of a node; `bus` is the PCI bus of its first GPU."""
    node.pods.mkdir(parents=True)
    node.agent.mkdir()
    rows = [
        {
            "index": index,
            "minor": index,
            "uuid": gpu_uuid(lab_id, name, index),
            "pci": f"{pci_domain}:{bus + index:02x}:00",
        }
        for index in range(gpus)
    ]
    write_whole(node.inventory, json.dumps({"gpus": rows}, indent=2))
    write_whole(node.allocations, "{}")
    boot(node)


def boot(node: NodeLayout) -> None:
    """A machine that starts has a new boot id, nothing in /run, and an empty kernel log where that is a file."""
    shutil.rmtree(node.host / "run", ignore_errors=True)
    if node.kernel_log.exists():
        write_whole(node.kernel_log, "")
    write_whole(node.boot_id, f"{uuid.uuid4()}\n")


def gpu_uuid(lab_id: str, node: str, index: int) -> str:
    """Unique for each GPU of each lab."""
    return f"GPU-{uuid.uuid5(uuid.NAMESPACE_URL, f'lab:{lab_id}/{node}/{index}')}"
