"""`python -m tests.e2e.cluster`: keep a cluster and play with it."""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.e2e import ending, starting
from tests.e2e.cgroups import Group, processes
from tests.e2e.cluster import Cluster
from tests.e2e.place import CONTROL_PLANE, MACHINES, Place, Trouble

DEFAULT_NAME = "main"


def main(argv: list[str] | None = None) -> int:
    """0, or 1 with one sentence on stderr."""
    options = _parser().parse_args(argv)
    try:
        _COMMANDS[options.command](options)
    except Trouble as trouble:
        print(trouble, file=sys.stderr)
        return 1
    return 0


def _up(options: argparse.Namespace) -> None:
    cluster = starting.up(options.name, kept=True, say=_say)
    _say(f"export KUBECONFIG={cluster.kubeconfig} PATH={cluster.kubectl_path.parent}:{cluster.helm_path.parent}:$PATH")


def _say(text: str) -> None:
    print(text, flush=True)


def _down(options: argparse.Namespace) -> None:
    ending.down(Place(options.name))
    print(f"nothing is left of cluster {options.name}")


def _status(options: argparse.Namespace) -> None:
    cluster = _existing(options.name)
    place, total = Place(options.name), 0
    print(f"KUBECONFIG={cluster.kubeconfig}")
    for part in (CONTROL_PLANE, *cluster.nodes):
        group = Group(place.group).below(part)
        for number, program in processes(group):
            megabytes = _resident(number)
            total += megabytes
            print(f"{part:14} {number:8} {megabytes:6} MB  {program}")
    print(f"{total} MB in all")
    nodes = cluster.try_kubectl("get", "nodes", "--request-timeout=3s")
    print(nodes.stdout.strip() or f"the API server does not answer: {nodes.stderr.strip()}")


def _resident(process: int) -> int:
    """Megabytes of memory; 0 if it is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS:"))


def _logs(options: argparse.Namespace) -> None:
    logs = sorted(Place(_existing(options.name).name).logs.glob("*.log"))
    if options.program is None:
        for one in logs:
            print(f"{one.stat().st_size:10} {one}")
        return
    chosen = [one for one in logs if options.program in one.stem]
    if not chosen:
        raise Trouble(f"There is no log of {options.program}, only of {', '.join(one.stem for one in logs)}.")
    for one in chosen:
        print(f"==> {one} <==")
        print("\n".join(one.read_text(errors="replace").splitlines()[-options.lines :]))


def _existing(name: str) -> Cluster:
    if not Place(name).state.exists():
        raise Trouble(f"There is no cluster named {name}.")
    return Cluster.attach(name)


def _to_node(verb: Callable[[Cluster, str], None]) -> Callable[[argparse.Namespace], None]:
    return lambda options: verb(_existing(options.name), options.node)


_TO_NODES: Mapping[str, tuple[str, Callable[[Cluster, str], None]]] = {
    "off": ("cut a node's power", Cluster.power_off),
    "on": ("boot a node", Cluster.power_on),
    "cut": ("take a node off the network", Cluster.cut),
    "join": ("put a node on the network again", Cluster.join),
}
_COMMANDS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "up": _up,
    "down": _down,
    "status": _status,
    "logs": _logs,
    "load": lambda options: _existing(options.name).load_images(),
    **{name: _to_node(verb) for name, (_, verb) in _TO_NODES.items()},
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.add_argument("--name", default=DEFAULT_NAME, help="of the cluster (default: %(default)s)")
        return added

    command("up", "start a cluster that stays until `down`")
    command("down", "take it away, whatever is left of it")
    command("status", "its processes, their memory, and its nodes")
    logs = command("logs", "the list of its logs, or the end of some")
    logs.add_argument("program", nargs="?", help="a part of a log's name, e.g. kubelet or gpu-1")
    logs.add_argument("--lines", type=int, default=40)
    command("load", "build the project's images from the working tree and give them to all nodes")
    for name, (text, _) in _TO_NODES.items():
        command(name, text).add_argument("node", choices=[one.name for one in MACHINES])
    return parser
