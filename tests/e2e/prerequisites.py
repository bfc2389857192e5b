"""What the machine must have; Debian packages that are missing get installed, the rest is said in one sentence."""

import os
import platform
import shutil
from pathlib import Path

from tests.e2e import cgroups
from tests.e2e.place import Trouble
from tests.e2e.running import try_to_run

_PACKAGES = {
    "iproute2": "networks of the nodes",
    "util-linux": "namespaces of the nodes",
    "openssl": "certificates",
    "nftables": "Services, by kube-proxy",
    "iptables": "host ports, by a network plugin",
    "conntrack": "Services, by kube-proxy",
    "gcc": "building runc and the first program of each node",
    "libc6-dev": "building runc and the first program of each node",
    "libseccomp-dev": "building runc",
    "pkg-config": "building runc",
    "mmdebstrap": "the system inside the images",
}


def require() -> None:
    """Install what is missing; raises Trouble if this machine can not have a cluster."""
    require_machine(platform.system(), platform.machine(), os.geteuid())
    cgroups.require_v1()
    require_packages()


def require_machine(system: str, processor: str, user: int) -> None:
    """Raises Trouble if such a one can not have a cluster."""
    if system != "Linux" or processor not in ("x86_64", "aarch64"):
        raise Trouble(f"A cluster needs Linux on x86_64 or aarch64, this is {system} {processor}.")
    if user != 0:
        raise Trouble("A cluster needs root: it makes namespaces, mounts and control groups.")


def require_packages() -> None:
    """Install those that are missing; raises Trouble if that fails."""
    if shutil.which("apt-get") is None:
        raise Trouble("A cluster needs Debian or a system made from it: packages are installed by apt-get.")
    missing = [name for name in _PACKAGES if not _is_installed(name)]
    if missing:
        _install(missing)


def require_real_time() -> None:
    """For drills, whose loads must start in time on processors that a cluster uses too; raises Trouble."""
    done = try_to_run("chrt", "--rr", "1", "true")
    if done.returncode:
        why = done.stderr.strip().removeprefix("chrt: ")
        raise Trouble(f"Drills need real-time priority for their loads, which is not to be had here: {why}.")


def require_kernel_log(device: Path = Path("/dev/kmsg")) -> None:
    """For drills, whose faults are lines there; raises Trouble."""
    try:
        os.close(os.open(device, os.O_WRONLY))
    except OSError as error:
        raise Trouble(f"Drills write faults into the kernel log, and {device} can not be: {error.strerror}.") from error


def _is_installed(package: str) -> bool:
    return try_to_run("dpkg-query", "--show", "--showformat=${db:Status-Abbrev}", package).stdout.startswith("ii")


def _install(packages: list[str]) -> None:
    reasons = "; ".join(f"{name} for {_PACKAGES[name]}" for name in packages)
    print(f"installing Debian packages that the cluster needs: {reasons}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages)
    done = try_to_run(*command, env=environment)
    if done.returncode:  # the list of packages may be old or empty
        try_to_run("apt-get", "update", "--quiet", env=environment)
        done = try_to_run(*command, env=environment)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Trouble(f"The Debian packages {', '.join(packages)} can not be installed: {last}")
