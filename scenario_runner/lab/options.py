"""How a lab is ordered, and what is known about one that runs."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from scenario_runner.lab.layout import Layout, write_whole
from scenario_runner.lab.platform.times import DEFAULT_SCALE
from scenario_runner.lab.platform.times import Times as PlatformTimes
from scenario_runner.lab.times import Times

KernelLogKind = Literal["file", "real"]

_SHIPPED = Path(__file__).with_name("manifests.yaml")


@dataclass(frozen=True)
class LabOptions:
    """What the user may choose. `scale` divides the real times of a cluster; `manifests` is applied at the start."""

    name: str = "default"
    kernel_log: KernelLogKind = "file"
    scale: float = DEFAULT_SCALE
    nodes: tuple[str, ...] = ("gpu-1", "gpu-2", "gpu-3")
    gpus: int = 2  # per node
    replicas: int = 3  # of the sample service
    namespace: str = "dynamo"
    manifests: str = str(_SHIPPED)


@dataclass(frozen=True)
class Order:
    """What `up` hands to the keeper. `lab_id` marks every process of the lab."""

    options: LabOptions
    lab_id: str
    control: str  # path of the control socket
    driver: str = ""  # folder of the stand-in for NVIDIA's driver
    no_driver: str = ""  # why there is none

    def write(self, layout: Layout) -> None:
        write_whole(layout.options, json.dumps(asdict(self), indent=2))


def read_order(layout: Layout) -> Order:
    """Raises OSError, ValueError, KeyError or TypeError."""
    document = json.loads(layout.options.read_text())
    options = LabOptions(**document["options"])
    return Order(**document | {"options": replace(options, nodes=tuple(options.nodes))})


@dataclass(frozen=True)
class LabInfo:
    """A lab that runs. Both tables of times, in seconds, are what `scale` makes of those of a real cluster."""

    name: str
    state_dir: str
    kubeconfig: str
    api_url: str
    gateway_url: str
    token_file: str
    kernel_log: KernelLogKind
    scale: float
    times: Times
    platform_times: PlatformTimes
    keeper_pid: int
    nodes: tuple[str, ...]
    namespace: str
    lab_id: str
    control: str
    driver: str  # folder of the stand-in for NVIDIA's driver; "" without one
    no_driver: str  # why there is none: then no CUDA fault can hit

    def write(self) -> None:
        write_whole(Layout(Path(self.state_dir)).info, self.text())

    def text(self) -> str:
        return json.dumps(asdict(self), indent=2)


def read_info(text: str) -> LabInfo:
    """Raises ValueError, KeyError or TypeError."""
    document = json.loads(text)
    document["nodes"] = tuple(document["nodes"])
    document["times"] = Times(**document["times"])
    document["platform_times"] = PlatformTimes(**document["platform_times"])
    return LabInfo(**document)
