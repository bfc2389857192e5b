"""What a lab leaves behind: processes, files, addresses."""

import socket
from pathlib import Path

from scenario_runner.lab.options import LabInfo
from scenario_runner.lab.processes import marked


def traces(info: LabInfo) -> list[str]:
    """Everything that is still there of a lab; empty once it is gone."""
    network = ".".join(info.api_url.removeprefix("http://").split(".")[:2])
    found = [f"process {pid}" for pid in sorted(marked(info.lab_id))]
    folder = Path(info.state_dir).parent
    found += [
        f"file {one.name}"
        for one in sorted(folder.iterdir())
        if one.name == info.name or one.name.startswith(f".{info.name}.")
    ]
    if Path(info.control).exists():
        found.append("control socket")
    found += [f"listener {address}" for address in _listening() if address.startswith(f"{network}.")]
    probe = socket.socket(socket.AF_UNIX)
    try:
        probe.bind(f"\0scenario-runner-lab-{network.split('.')[1]}")
    except OSError:
        found.append("number")
    finally:
        probe.close()
    return found


def _listening() -> list[str]:
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    addresses = [row[1].partition(":")[0] for row in rows if row[3] == "0A"]
    return [".".join(str(byte) for byte in reversed(bytes.fromhex(one))) for one in addresses]
