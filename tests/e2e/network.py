"""The network: a namespace with a bridge for the control plane, one more for each node, and a cable between them."""

from pathlib import Path

from tests.e2e.place import BRIDGE_ADDRESS, MACHINES, Machine, Place
from tests.e2e.running import run, try_to_run

_NAMESPACES = Path("/run/netns")


def make(place: Place) -> None:
    """
    Nothing of it touches the machine's own network, and there is no way out of it.

    A pod's packets are routed, not bridged: each node knows by a static route which node has which pods.
    """
    _make_namespace(place.namespace())
    _in_control_plane(place, "link", "add", "bridge", "type", "bridge")
    _in_control_plane(place, "addr", "add", f"{BRIDGE_ADDRESS}/24", "dev", "bridge")
    _in_control_plane(place, "link", "set", "bridge", "up")
    for one in MACHINES:
        _plug_in(place, one)


def _plug_in(place: Place, machine: Machine) -> None:
    namespace = place.namespace(machine)
    _make_namespace(namespace)
    ends = ("add", machine.link, "type", "veth", "peer", "name", "eth0", "netns", namespace)
    _in_control_plane(place, "link", *ends)
    _in_control_plane(place, "link", "set", machine.link, "master", "bridge", "up")
    _in_control_plane(place, "route", "add", machine.pods, "via", machine.address)
    inside = ("ip", "-n", namespace)
    run(*inside, "addr", "add", f"{machine.address}/24", "dev", "eth0")
    run(*inside, "link", "set", "eth0", "up")
    run(*inside, "route", "add", "default", "via", BRIDGE_ADDRESS)
    for other in MACHINES:
        if other != machine:
            run(*inside, "route", "add", other.pods, "via", other.address)


def _make_namespace(name: str) -> None:
    run("ip", "netns", "add", name)
    run("ip", "-n", name, "link", "set", "lo", "up")
    run("nsenter", f"--net={_NAMESPACES / name}", "sysctl", "-qw", "net.ipv4.ip_forward=1")


def cut(place: Place, machine: Machine) -> None:
    """Pull the cable, at the bridge's end: at the node's end the node would lose its routes."""
    _in_control_plane(place, "link", "set", machine.link, "down")


def join(place: Place, machine: Machine) -> None:
    """Plug the cable in again."""
    _in_control_plane(place, "link", "set", machine.link, "up")


def entered(place: Place, machine: Machine | None, command: list[str]) -> list[str]:
    """A command line that runs in the network of a node or of the control plane, and only in its network."""
    return ["nsenter", f"--net={_NAMESPACES / place.namespace(machine)}", "--", *command]


def remove(place: Place) -> None:
    """Links, addresses, routes and packet filter rules go with their namespaces."""
    for path in namespaces(place):
        try_to_run("ip", "netns", "delete", path.name)


def namespaces(place: Place) -> list[Path]:
    """Those that exist."""
    names = [place.namespace(), *(place.namespace(one) for one in MACHINES)]
    return [path for name in names if (path := _NAMESPACES / name).exists()]


def _in_control_plane(place: Place, *arguments: str) -> None:
    run("ip", "-n", place.namespace(), *arguments)
