"""The command line of the agent."""

import argparse
import os
from pathlib import Path

from fault_agent import __version__
from fault_agent.cluster import SERVICE_ACCOUNT
from fault_agent.cuda_folder import DEFAULT
from fault_agent.discovery import DRIVER_FILES
from fault_agent.kubelet_files import POD_LOGS

_WHAT = "Makes GPU nodes report XID errors and their processes see CUDA fail, and takes it back."


def parser() -> argparse.ArgumentParser:
    """The commands `node`, `gateway` and `openapi`; the chosen one is in `command`."""
    top = argparse.ArgumentParser(prog="fault-agent", description=_WHAT)
    top.add_argument("--version", action="version", version=f"fault-agent {__version__}")
    commands = top.add_subparsers(dest="command", required=True)
    _node_options(commands.add_parser("node", help="serve one GPU node"))
    _gateway_options(commands.add_parser("gateway", help="serve one API in front of all nodes"))
    commands.add_parser("openapi", help="print the OpenAPI document")
    return top


def _node_options(node: argparse.ArgumentParser) -> None:
    _serving_options(node)
    node.add_argument(
        "--node",
        default=os.environ.get("NODE_NAME"),
        metavar="NAME",
        help="this node's name in the cluster ($NODE_NAME)",
    )
    node.add_argument("--state-dir", required=True, type=Path, metavar="DIR", help="where faults are remembered")
    _gpu_options(node)
    node.add_argument(
        "--kernel-log",
        required=True,
        metavar="real|file:PATH",
        help="`real[:PATH]` is /dev/kmsg, or where it is mounted",
    )
    node.add_argument("--boot-id-file", type=Path, default=Path("/proc/sys/kernel/random/boot_id"), metavar="FILE")
    node.add_argument(
        "--cuda-dir",
        type=Path,
        default=DEFAULT,
        metavar="DIR",
        help=f"the control file of the CUDA library and the hits of processes ({DEFAULT})",
    )
    node.add_argument("--allow-xids", type=_numbers, metavar="79,94", help="refuse all others")
    node.add_argument("--max-active", type=int, default=16, metavar="N", help="faults in force at once (16)")
    _cluster_options(node, "ask it whether the platform is repairing the node; without it nobody is asked")


def _gpu_options(node: argparse.ArgumentParser) -> None:
    node.add_argument(
        "--inventory",
        type=Path,
        metavar="FILE",
        help=f"the GPUs, as JSON; without it {DRIVER_FILES} and nvidia-smi are asked",
    )
    node.add_argument(
        "--driver-files", type=Path, default=DRIVER_FILES, metavar="DIR", help="or where they are mounted"
    )
    node.add_argument("--nvidia-smi", default="nvidia-smi", metavar="FILE", help="if it is not in the PATH")
    holders = node.add_mutually_exclusive_group()
    holders.add_argument("--allocations", type=Path, metavar="FILE", help="who holds which GPU, as JSON")
    holders.add_argument(
        "--kubelet-dir",
        type=Path,
        metavar="DIR",
        help="the same from the kubelet's files; /var/lib/kubelet, or where it is mounted",
    )
    node.add_argument(
        "--pod-logs-dir",
        type=Path,
        default=POD_LOGS,
        metavar="DIR",
        help=f"where the kubelet keeps logs, for the names of pods ({POD_LOGS})",
    )


def _gateway_options(gateway: argparse.ArgumentParser) -> None:
    _serving_options(gateway)
    roster = gateway.add_mutually_exclusive_group(required=True)
    roster.add_argument("--roster", type=Path, metavar="FILE", help="JSON map of node names to URLs of their agents")
    roster.add_argument(
        "--roster-from-pods",
        metavar="LABEL_SELECTOR",
        help="watch these pods instead: spec.nodeName is the node, its agent answers at the pod's address",
    )
    gateway.add_argument("--namespace", metavar="NS", help="of those pods (this pod's own)")
    gateway.add_argument("--node-port", type=int, default=8091, metavar="PORT", help="of the agents in them (8091)")
    gateway.add_argument("--allow-nodes", type=_names, metavar="A,B", help="refuse faults on all others")
    gateway.add_argument(
        "--node-ca", type=Path, metavar="FILE", help="trusted for agents behind https; pods are then asked over https"
    )
    gateway.add_argument(
        "--node-tls-name", metavar="NAME", help="the name in every agent's certificate, instead of its address"
    )
    _cluster_options(gateway, "where the pods are watched (in-cluster)")


def _cluster_options(command: argparse.ArgumentParser, what_for: str) -> None:
    command.add_argument("--kube-api", metavar="URL|in-cluster", help=what_for)
    command.add_argument("--kube-token-file", type=Path, metavar="FILE")
    command.add_argument("--kube-ca", type=Path, metavar="FILE")
    command.add_argument(
        "--service-account-dir",
        type=Path,
        default=SERVICE_ACCOUNT,
        metavar="DIR",
        help=f"token, ca.crt and namespace of a pod ({SERVICE_ACCOUNT})",
    )


def _serving_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--listen", required=True, metavar="HOST:PORT", help="port 0 picks a free one")
    command.add_argument("--token-file", type=Path, metavar="FILE", help="require this bearer token")
    command.add_argument("--tls-cert", type=Path, metavar="FILE")
    command.add_argument("--tls-key", type=Path, metavar="FILE")


def _numbers(text: str) -> frozenset[int]:
    return frozenset(int(part) for part in text.split(","))


def _names(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(","))
