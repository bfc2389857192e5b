"""The command line of the agent."""

import argparse
from pathlib import Path

from fault_agent import __version__

_WHAT = "Makes GPU nodes report XID errors through their kernel log, and takes them back."


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
    node.add_argument("--node", required=True, metavar="NAME", help="this node's name in the cluster")
    node.add_argument("--state-dir", required=True, type=Path, metavar="DIR", help="where faults are remembered")
    node.add_argument("--inventory", required=True, type=Path, metavar="FILE", help="the GPUs, as JSON")
    node.add_argument("--allocations", type=Path, metavar="FILE", help="who holds which GPU, as JSON")
    node.add_argument(
        "--kernel-log",
        required=True,
        metavar="real|file:PATH",
        help="`real[:PATH]` is /dev/kmsg, or where it is mounted",
    )
    node.add_argument("--boot-id-file", type=Path, default=Path("/proc/sys/kernel/random/boot_id"), metavar="FILE")
    node.add_argument("--allow-xids", type=_numbers, metavar="79,94", help="refuse all others")
    node.add_argument("--max-active", type=int, default=16, metavar="N", help="faults in force at once (16)")
    node.add_argument("--kube-api", metavar="URL", help="ask it whether the platform is repairing the node")
    node.add_argument("--kube-token-file", type=Path, metavar="FILE")
    node.add_argument("--kube-ca", type=Path, metavar="FILE")


def _gateway_options(gateway: argparse.ArgumentParser) -> None:
    _serving_options(gateway)
    gateway.add_argument(
        "--roster", required=True, type=Path, metavar="FILE", help="JSON map of node names to URLs of their agents"
    )
    gateway.add_argument("--allow-nodes", type=_names, metavar="A,B", help="refuse faults on all others")
    gateway.add_argument("--node-ca", type=Path, metavar="FILE", help="trusted for https URLs of the roster")


def _serving_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--listen", required=True, metavar="HOST:PORT", help="port 0 picks a free one")
    command.add_argument("--token-file", type=Path, metavar="FILE", help="require this bearer token")
    command.add_argument("--tls-cert", type=Path, metavar="FILE")
    command.add_argument("--tls-key", type=Path, metavar="FILE")


def _numbers(text: str) -> frozenset[int]:
    return frozenset(int(part) for part in text.split(","))


def _names(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(","))
