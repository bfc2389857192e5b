"""What a kubelet is told when it starts."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from scenario_runner.lab.kubelet.gpus import Driver, Gpu, read_inventory
from scenario_runner.lab.layout import NodeLayout
from scenario_runner.lab.times import Times, from_text


@dataclass(frozen=True)
class Settings:
    """`address` is the node's own, 127.L.N.1; its pods get others of 127.L.N.x."""

    node: str
    address: str
    kubeconfig: Path
    files: NodeLayout
    times: Times
    gpus: tuple[Gpu, ...] = ()
    driver: Driver | None = None

    @property
    def pod_prefix(self) -> str:
        return self.address.rpartition(".")[0]

    @property
    def boot_id(self) -> str:
        return self.files.boot_id.read_text().strip()


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="kubelet", description="One node whose containers are local processes.")
    options.add_argument("--node", required=True, metavar="NAME")
    options.add_argument("--address", required=True, metavar="IP", help="the node's loopback address")
    options.add_argument("--kubeconfig", required=True, type=Path, metavar="FILE")
    options.add_argument("--files", required=True, type=Path, metavar="DIR", help="the node's folder in the lab")
    options.add_argument("--driver", default="", metavar="DIR", help="where NVIDIA's driver, or its stand-in, is")
    options.add_argument("--times", required=True, metavar="JSON", help="how long things take, in seconds")
    return options


def settings_of(chosen: argparse.Namespace) -> Settings:
    files = NodeLayout(chosen.files)
    gpus = read_inventory(files.inventory)
    driver = Driver(Path(chosen.driver), gpus) if chosen.driver else None
    return Settings(chosen.node, chosen.address, chosen.kubeconfig, files, from_text(chosen.times), gpus, driver)
