"""The program `fault-agent`: puts the parts of a role together and serves it."""

import argparse
import json
import re
import sys
from functools import partial
from pathlib import Path

from fault_agent import options, serving
from fault_agent.acknowledging import Acknowledging
from fault_agent.api import build_app
from fault_agent.arming import Arming
from fault_agent.audit import Audit
from fault_agent.clock import Clock, SystemClock
from fault_agent.cluster import ServiceAccount, chosen_api
from fault_agent.cuda_folder import CudaFolder
from fault_agent.cuda_node import CudaNode
from fault_agent.cuda_profiles import cuda_profiles
from fault_agent.discovery import Discovery
from fault_agent.expiry import Expiry
from fault_agent.gateway import Gateway
from fault_agent.guard import Guard
from fault_agent.hit_report import HitReport
from fault_agent.injecting import Injecting
from fault_agent.inventory import Allocations, Holders, Inventory
from fault_agent.kernel_log import DevKmsg, FileKernelLog, KernelLog
from fault_agent.kubelet_files import KubeletFiles, pod_names
from fault_agent.ledger import Ledger
from fault_agent.limits import Limits
from fault_agent.node import Node
from fault_agent.node_client import NodeClient, url_of
from fault_agent.platform_state import ClusterPlatform, NoPlatform, Platform
from fault_agent.pod_roster import PodRoster
from fault_agent.processes import Scans, scan
from fault_agent.refusal import CannotStart
from fault_agent.roster import FileRoster, NoRoster, Roster
from fault_agent.service import Service
from fault_agent.store import Store
from fault_agent.taking_back import TakingBack
from fault_agent.tls import checked
from fault_agent.xids import xid_table


def main(argv: list[str] | None = None) -> int:
    """Run one command until it ends: 0 = ended as asked, 2 = it can not start and said why on stderr."""
    chosen = options.parser().parse_args(argv)
    try:
        match chosen.command:
            case "node":
                _serve_node(chosen)
            case "gateway":
                _serve_gateway(chosen)
            case _:
                print(openapi_document())  # noqa: T201 - the command's output
    except CannotStart as error:
        print(f"fault-agent: {error}", file=sys.stderr)  # noqa: T201 - said to whoever started us
        return 2
    return 0


def openapi_document() -> str:
    """The OpenAPI document of both roles, as stable text."""
    app = build_app(Gateway(NoRoster(), NodeClient()))
    return json.dumps(app.openapi(), indent=2, sort_keys=True)


def build_node(chosen: argparse.Namespace, clock: Clock, store: Store) -> Node:
    """All parts of a node, with what an earlier process left open settled; raises CannotStart."""
    name = chosen.node
    log = _kernel_log(chosen.kernel_log, clock)
    audit = Audit(clock, chosen.state_dir)
    ledger = Ledger(name, store)
    if ledger.strangers():
        raise CannotStart(f"The state in {chosen.state_dir} belongs to node {', '.join(ledger.strangers())}.")
    inventory = _inventory(chosen)
    acknowledging = Acknowledging(ledger, clock, log)
    limits = Limits(name, chosen.allow_xids, chosen.max_active)
    injecting = Injecting(ledger, clock, log, inventory, xid_table(), limits)
    folder = CudaFolder(chosen.cuda_dir, clock)
    arming = Arming(ledger, clock, folder, inventory, cuda_profiles(), limits)
    taking_back = TakingBack(ledger, clock, _platform(chosen), acknowledging, arming)
    expiry = Expiry(ledger, clock, injecting, taking_back, acknowledging, arming, audit)
    pods = partial(pod_names, chosen.pod_logs_dir)
    cuda = CudaNode(ledger, arming, taking_back, HitReport(ledger, clock, folder, Scans(clock, scan), pods))
    holders = _holders(chosen, inventory)
    return Node(name, clock, log, inventory, holders, ledger, injecting, taking_back, expiry, audit, cuda)


def _serve_node(chosen: argparse.Namespace) -> None:
    _check_name(chosen.node)
    clock = SystemClock(chosen.boot_id_file)
    _check_boot_id(clock, chosen.boot_id_file)
    store = _store(chosen.state_dir)
    node = build_node(chosen, clock, store)
    node.expiry.turn()
    if not node.inventory.gpus:
        print("no GPU found yet; faults will be refused until a driver shows one", flush=True)  # noqa: T201 - said at start
    why = node.log.why_unusable()
    if why is not None:
        print(f"kernel log not usable: {why}; injections will be refused", flush=True)  # noqa: T201 - said at start
    if chosen.cuda_dir.exists() and (reason := node.cuda.state().reason) is not None:
        print(f"CUDA folder not usable: {reason}; CUDA faults will be refused", flush=True)  # noqa: T201 - said at start
    node.expiry.start()
    _serve(chosen, node, chosen.node)


def _serve_gateway(chosen: argparse.Namespace) -> None:
    client = NodeClient(_token(chosen.token_file), checked("--node-ca", chosen.node_ca), chosen.node_tls_name)
    _serve(chosen, Gateway(_roster(chosen), client, chosen.allow_nodes), None)


def _roster(chosen: argparse.Namespace) -> Roster:
    if chosen.roster is not None:
        return FileRoster(chosen.roster)
    account = ServiceAccount(chosen.service_account_dir)
    cluster = chosen_api(chosen.kube_api, chosen.kube_token_file, chosen.kube_ca, account)
    scheme = "http" if chosen.node_ca is None else "https"
    pods = PodRoster(
        cluster,
        chosen.namespace or account.namespace(),
        chosen.roster_from_pods,
        lambda address: url_of(scheme, address, chosen.node_port),
    )
    pods.start()
    return pods


def _serve(chosen: argparse.Namespace, service: Service, node: str | None) -> None:
    token = _token(chosen.token_file)
    if (chosen.tls_cert is None) != (chosen.tls_key is None):
        raise CannotStart("--tls-cert and --tls-key go together.")
    tls = None if chosen.tls_cert is None else (chosen.tls_cert, chosen.tls_key)
    if tls is not None:
        serving.check_tls(*tls)
    sock = serving.listening(chosen.listen, protected=token is not None and tls is not None)
    serving.serve(Guard(build_app(service), node, token), sock, tls)


def _inventory(chosen: argparse.Namespace) -> Inventory:
    if chosen.inventory is not None:
        return Inventory.load(chosen.node, chosen.inventory)
    return Inventory(chosen.node, (), Discovery(chosen.driver_files, chosen.nvidia_smi))


def _holders(chosen: argparse.Namespace, inventory: Inventory) -> Holders:
    if chosen.kubelet_dir is not None:
        return KubeletFiles(chosen.kubelet_dir, chosen.pod_logs_dir, inventory)
    return Allocations(chosen.allocations)


def _kernel_log(text: str, clock: Clock) -> KernelLog:
    kind, _, path = text.partition(":")
    if kind == "real":
        return DevKmsg(Path(path or "/dev/kmsg"))
    if kind == "file" and path:
        return FileKernelLog(Path(path), clock)
    raise CannotStart(f"--kernel-log takes `real` or `file:PATH`, not {text!r}.")


def _platform(chosen: argparse.Namespace) -> Platform:
    if chosen.kube_api is None:
        return NoPlatform()
    account = ServiceAccount(chosen.service_account_dir)
    return ClusterPlatform(chosen.node, chosen_api(chosen.kube_api, chosen.kube_token_file, chosen.kube_ca, account))


def _store(folder: Path) -> Store:
    try:
        return Store(folder)
    except OSError as error:
        raise CannotStart(f"The state directory {folder} can not be used: {error.strerror}.") from error


def _token(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CannotStart(f"The token file {path} can not be read: {error}.") from error
    if not token:
        raise CannotStart(f"The token file {path} is empty.")
    return token


def _check_name(node: str | None) -> None:
    if node is None:
        raise CannotStart("--node NAME or the environment variable NODE_NAME is needed.")
    if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", node):
        raise CannotStart(f"--node takes a name as Kubernetes gives to nodes, not {node!r}.")


def _check_boot_id(clock: Clock, path: Path) -> None:
    try:
        clock.boot_id()
    except OSError as error:
        raise CannotStart(f"The boot id file {path} can not be read: {error.strerror}.") from error
