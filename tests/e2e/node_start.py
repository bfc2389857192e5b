"""The first program of a node: makes a machine out of fresh namespaces, then becomes its process number 1."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

# The kubelet insists on these values, which count for the whole machine: it gets files of its own that say so.
_SYSCTLS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


def _mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *(str(one) for one in arguments)], check=True)


def _cover(target: str, file: Path, text: str) -> None:
    """Let `target` read as `text` on this node."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    if Path(target).exists():
        _mount("--bind", file, target)


def _mount_system(hierarchies: list[str]) -> None:
    _mount("--make-rprivate", "/")  # nothing that is mounted from now on is seen outside
    _mount("-t", "proc", "proc", "/proc")
    _mount("-t", "sysfs", "sysfs", "/sys")  # shows the devices of this network namespace
    _mount("-t", "tmpfs", "-o", "mode=755", "cgroup", "/sys/fs/cgroup")
    for name in hierarchies:  # within a namespace of control groups: the node's own group looks like the root
        folder = Path("/sys/fs/cgroup", name)
        folder.mkdir()
        _mount("-t", "cgroup", "-o", "none,name=systemd" if name == "systemd" else name, "cgroup", folder)


def _mount_disk(disk: Path) -> None:
    _mount("-t", "tmpfs", "-o", "mode=755", "run", "/run")
    for name in ("lib", "log"):
        (disk / name).mkdir(exist_ok=True)
        _mount("--bind", disk / name, f"/var/{name}")
    for name in ("kubelet", "containerd"):
        Path("/var/lib", name).mkdir(exist_ok=True)


def main(name: str, disk: Path, first: str, hierarchies: list[str]) -> None:
    """Raises whatever goes wrong: the starter reads it in the log and sees that `disk/booted` does not appear."""
    _mount_system(hierarchies)
    _mount_disk(disk)
    subprocess.run(["hostname", name], check=True)
    for path, value in _SYSCTLS.items():
        _cover(f"/proc/sys/{path}", disk / "sysctl" / path, f"{value}\n")
    machine_id = disk / "machine-id"
    _cover("/etc/machine-id", machine_id, machine_id.read_text() if machine_id.exists() else f"{uuid.uuid4().hex}\n")
    _cover("/etc/resolv.conf", disk / "resolv.conf", "")  # with a name server, a failing pull would take 10 seconds
    boot_id = f"{uuid.uuid4()}\n"
    _cover("/proc/sys/kernel/random/boot_id", disk / "boot_id", boot_id)
    _mount("--make-rshared", "/")  # pods may ask for mounts that propagate
    (disk / "booted").write_text(boot_id)
    os.execv(first, [first])


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4:])
