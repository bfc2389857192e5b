"""What a lab consists of: its processes, their command lines, and the files that they share."""

import json
import secrets
import socket
import string
from dataclasses import dataclass
from pathlib import Path

import yaml

from scenario_runner.errors import Refused
from scenario_runner.lab import hardware
from scenario_runner.lab.layout import Layout, write_whole
from scenario_runner.lab.number import LabNumber, free_port
from scenario_runner.lab.options import LabInfo, Order
from scenario_runner.lab.platform.times import scaled as scaled_platform
from scenario_runner.lab.times import scaled, to_text

API_SERVER = "apiserver"
SETUP = "setup"
KUBELET = "kubelet-"


@dataclass(frozen=True)
class Component:
    """One process: `main(argv)` of a module. It belongs to a node if it goes down with that machine."""

    name: str
    module: str
    argv: tuple[str, ...]
    node: str | None = None


@dataclass(frozen=True)
class Blueprint:
    """Everything about a lab that is decided before its first process starts."""

    info: LabInfo
    components: tuple[Component, ...]


def lay_out(order: Order, layout: Layout, number: LabNumber, keeper_pid: int) -> Blueprint:
    """Write all files and choose all addresses."""
    options = order.options
    info = LabInfo(
        name=options.name,
        state_dir=str(layout.root),
        kubeconfig=str(layout.kubeconfig),
        api_url=_url(number, 0),
        gateway_url=_url(number, 0),
        token_file=str(layout.token),
        kernel_log=options.kernel_log,
        scale=options.scale,
        times=scaled(options.scale),
        platform_times=scaled_platform(options.scale),
        keeper_pid=keeper_pid,
        nodes=options.nodes,
        namespace=options.namespace,
        lab_id=order.lab_id,
        control=order.control,
        driver=order.driver,
        no_driver=order.no_driver,
    )
    agents = {name: _url(number, place) for place, name in enumerate(options.nodes, 1)}
    _write_access(layout, info)
    _write_manifests(layout, order, number, info)
    for place, name in enumerate(options.nodes, 1):
        hardware.install(layout.node(name), name, order.lab_id, number.pci_domain, 0x10 * place, options.gpus)
    write_whole(layout.roster, json.dumps(agents, indent=2))
    write_whole(layout.places, json.dumps(_places(layout, info), indent=2))
    components = [_api_server(info, number), *_of_nodes(layout, info, agents, number)]
    components += [_gateway(layout, info), _platform(layout, info), _proxy(info), _setup(layout, info)]
    return Blueprint(info, tuple(components))


def _url(number: LabNumber, network: int) -> str:
    address = number.address(network, 1)
    return f"http://{address}:{free_port(address)}"


def _listen(url: str) -> str:
    return url.removeprefix("http://")


def _write_access(layout: Layout, info: LabInfo) -> None:
    token = secrets.token_urlsafe(24)
    write_whole(layout.token, f"{token}\n")
    name = f"lab-{info.name}"
    context = {"cluster": name, "user": name, "namespace": info.namespace}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        # Over plain HTTP kubectl sends no token; the API server also takes it as the first part of the path.
        "clusters": [{"name": name, "cluster": {"server": f"{info.api_url}/{token}"}}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": context}],
    }
    write_whole(layout.kubeconfig, yaml.safe_dump(document, sort_keys=False))


def _write_manifests(layout: Layout, order: Order, number: LabNumber, info: LabInfo) -> None:
    values = {
        "NAMESPACE": info.namespace,
        "REPLICAS": str(order.options.replicas),
        "MODEL_LOAD_SECONDS": f"{info.times.model_load:g}",
        "FRONTEND_ADDRESS": number.address(0, 10),
    }
    text = string.Template(Path(order.options.manifests).read_text()).safe_substitute(values)
    write_whole(layout.manifests, text)
    for manifest in filter(None, yaml.safe_load_all(text)):
        if manifest.get("kind") == "Service" and (host := manifest["spec"].get("clusterIP")):
            for port in manifest["spec"].get("ports") or []:
                _check_free(manifest["metadata"]["name"], host, int(port["port"]))


def _check_free(service: str, host: str, port: int) -> None:
    """The address is the lab's own, so only a program that listens on all addresses can be in the way."""
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise Refused(
            f"Service {service} can not have port {port}: a program of this machine listens there on all addresses."
        ) from error


def _kernel_log(layout: Layout, info: LabInfo, node: str) -> str:
    return "real" if info.kernel_log == "real" else str(layout.node(node).kernel_log)


def _places(layout: Layout, info: LabInfo) -> dict[str, object]:
    nodes = {
        name: {
            "kernel_log": _kernel_log(layout, info, name),
            "inventory": str(layout.node(name).inventory),
            "boot_id_file": str(layout.node(name).boot_id),
        }
        for name in info.nodes
    }
    return {"nodes": nodes, "control": info.control}


def _api_server(info: LabInfo, number: LabNumber) -> Component:
    argv = ["--listen", _listen(info.api_url), "--token-file", info.token_file]
    argv += ["--node-grace", f"{info.times.node_grace:g}", "--eviction-after", str(round(info.times.eviction_after))]
    argv += ["--service-network", number.address(0, 0).rpartition(".")[0]]
    return Component(API_SERVER, "scenario_runner.lab.apiserver.main", tuple(argv))


def _of_nodes(layout: Layout, info: LabInfo, agents: dict[str, str], number: LabNumber) -> list[Component]:
    found = []
    for place, name in enumerate(info.nodes, 1):
        files = layout.node(name)
        kubelet = ["--node", name, "--address", number.address(place, 1), "--kubeconfig", info.kubeconfig]
        kubelet += ["--files", str(files.root), "--times", to_text(info.times), "--driver", info.driver]
        kernel_log = _kernel_log(layout, info, name)
        agent = ["node", "--node", name, "--listen", _listen(agents[name]), "--state-dir", str(files.agent)]
        agent += ["--inventory", str(files.inventory), "--allocations", str(files.allocations)]
        agent += ["--kernel-log", kernel_log if kernel_log == "real" else f"file:{kernel_log}"]
        agent += ["--boot-id-file", str(files.boot_id), "--token-file", info.token_file, "--cuda-dir", str(files.cuda)]
        agent += ["--kube-api", info.api_url, "--kube-token-file", info.token_file]
        found.append(Component(f"{KUBELET}{name}", "scenario_runner.lab.kubelet.main", tuple(kubelet), name))
        # The agent is a program of its own that this package may not import; the keeper finds it by name.
        found.append(Component(f"agent-{name}", "fault_agent.main", tuple(agent), name))
    return found


def _gateway(layout: Layout, info: LabInfo) -> Component:
    argv = ["gateway", "--listen", _listen(info.gateway_url), "--roster", str(layout.roster)]
    return Component("gateway", "fault_agent.main", (*argv, "--token-file", info.token_file))


def _platform(layout: Layout, info: LabInfo) -> Component:
    argv = ["--kubeconfig", info.kubeconfig, "--nodes-file", str(layout.places), "--scale", f"{info.scale:g}"]
    return Component("platform", "scenario_runner.lab.platform.main", tuple(argv))


def _proxy(info: LabInfo) -> Component:
    return Component("proxy", "scenario_runner.lab.proxy", ("--kubeconfig", info.kubeconfig))


def _setup(layout: Layout, info: LabInfo) -> Component:
    argv = ["--kubeconfig", info.kubeconfig, "--manifests", str(layout.manifests)]
    argv += ["--nodes", str(len(info.nodes))]
    return Component(SETUP, "scenario_runner.lab.setup", tuple(argv))
