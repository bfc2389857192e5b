"""The keeper's control socket: one line asks, one line answers (`ok`, `error SENTENCE`, or JSON for `status`)."""

import socket
from pathlib import Path

from scenario_runner.errors import TargetRefused, TargetUnreachable

_LONGEST_PATH = 100  # the kernel's limit for a socket's path is 107 bytes
_LONGEST_LINE = 4096


def fits(path: Path) -> bool:
    return len(bytes(path)) <= _LONGEST_PATH


def listen(path: Path) -> socket.socket:
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(path))
    path.chmod(0o600)
    server.listen(8)
    return server


def ask(path: Path, words: str, timeout: float = 10.0) -> str:
    """Raises TargetUnreachable when nobody answers, TargetRefused with the keeper's sentence."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(timeout)
        try:
            client.connect(str(path))
            client.sendall(f"{words}\n".encode())
            answer = read_line(client)
        except OSError as error:
            raise TargetUnreachable(f"The keeper of the lab does not answer at {path}: {error}.") from error
    if answer.startswith("error "):
        raise TargetRefused(answer.removeprefix("error "))
    return answer


def read_line(connection: socket.socket) -> str:
    """Read up to the end of line or of the connection."""
    data = b""
    while not data.endswith(b"\n"):
        part = connection.recv(_LONGEST_LINE)
        if not part:
            break
        data += part
    return data.decode("utf-8", "replace").strip()
