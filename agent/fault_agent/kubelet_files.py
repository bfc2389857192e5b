"""Who holds which GPU, from the files in which a node's kubelet keeps what device plugins gave away."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fault_agent.inventory import Holder, Inventory
from fault_agent.refusal import Refusal

POD_LOGS = Path("/var/log/pods")
_CHECKPOINT = Path("device-plugins/kubelet_internal_checkpoint")
_RESOURCES = "nvidia.com/"


@dataclass(frozen=True)
class KubeletFiles:
    """`kubelet` is the kubelet's root directory; the names of pods come from the names of their log folders."""

    kubelet: Path
    pod_logs: Path
    inventory: Inventory

    def holders(self) -> dict[str, list[Holder]]:
        """UUID -> containers; raises Refusal 500 if the checkpoint is there and can not be understood."""
        path = self.kubelet / _CHECKPOINT
        try:
            entries = list(_entries(json.loads(path.read_bytes())))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            message = f"The kubelet's checkpoint {path} can not be used ({type(error).__name__}: {error})."
            raise Refusal(500, "allocations_unreadable", " ".join(message.split())) from error
        pods = pod_names(self.pod_logs)
        uuids = {name: gpu.uuid for gpu in self.inventory.gpus for name in (gpu.uuid, str(gpu.index))}
        found: dict[str, list[Holder]] = {}
        for pod_uid, container, device in entries:
            uuid = uuids.get(device.partition("::")[0])  # `::2` is the second share of a GPU that is shared
            if uuid is not None and pod_uid in pods:
                namespace, pod = pods[pod_uid]
                holders = found.setdefault(uuid, [])
                holder = Holder(namespace, pod, container)
                holders += [] if holder in holders else [holder]
        return found


def pod_names(pod_logs: Path) -> dict[str, tuple[str, str]]:
    """Pod uid -> namespace and name, from the names of log folders, which go with their pods."""
    found = {}
    for folder in pod_logs.glob("*_*_*"):
        namespace, pod, uid = folder.name.rsplit("_", 2)
        found[uid] = (namespace, pod)
    return found


def _entries(checkpoint: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Pod uid, container and device of everything that was given away."""
    for entry in checkpoint["Data"]["PodDeviceEntries"] or []:
        if entry["ResourceName"].startswith(_RESOURCES):
            ids = entry["DeviceIDs"]
            groups = ids.values() if isinstance(ids, dict) else [ids]  # by NUMA node, in older kubelets one list
            for device in (device for group in groups for device in group):
                yield entry["PodUID"], entry["ContainerName"], device
