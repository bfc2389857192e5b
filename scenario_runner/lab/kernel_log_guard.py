"""Says why the real kernel log of this machine must be left alone: somebody else may act on what is written there."""

import os
from collections.abc import Iterator
from pathlib import Path

# Programs that act on GPU errors, or that contain a kubelet.
_LISTENERS = frozenset(
    {"kubelet", "nv-hostengine", "gpud", "node-problem-detector", "k3s", "k3s-server", "rke2", "kubelite", "k0s"}
)
_COMM_LENGTH = 15  # the kernel cuts a process's name there


def why_not_real(proc: Path = Path("/proc"), kmsg: Path = Path("/dev/kmsg")) -> str | None:
    """One sentence with everything that was found, or None if the real kernel log may be written."""
    found = [*_listeners(proc)]
    if (proc / "driver" / "nvidia").exists():
        found.append(f"an NVIDIA driver ({proc / 'driver' / 'nvidia'})")
    if found:
        return f"This machine may act on GPU errors in its kernel log: found {', '.join(found)}."
    if not os.access(kmsg, os.W_OK):
        return f"{kmsg} can not be written: the real kernel log needs root."
    return None


def _listeners(proc: Path) -> Iterator[str]:
    for folder in sorted(proc.iterdir()):
        if folder.name.isdigit() and (name := _listener(folder)):
            yield f"{name} (process {folder.name})"


def _listener(folder: Path) -> str | None:
    try:
        comm = (folder / "comm").read_text().strip()
    except OSError:  # it ended
        return None
    short = {name[:_COMM_LENGTH]: name for name in _LISTENERS}
    if comm in short:
        return short[comm]
    try:
        executable = (folder / "exe").readlink().name
    except OSError:  # a thread of the kernel, or somebody else's process
        return None
    return executable if executable in _LISTENERS else None
