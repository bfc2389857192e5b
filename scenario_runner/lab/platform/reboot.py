"""The order to reboot a node, given to the keeper of the lab, whose answer is not waited for."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Protocol


class RebootCall(Protocol):
    """An order that is on its way."""

    def answer(self) -> str | None:
        """`ok`, or one line that says what went wrong, or None as long as there is no answer."""


Ask = Callable[[str], RebootCall]


class KeeperCall:
    """Sends `reboot NODE` over the keeper's unix socket; `ok` or `error ...` comes back."""

    def __init__(self, path: Path, node: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(1.0)
        self._line = b""
        self._trouble = ""
        try:
            self._socket.connect(str(path))
            self._socket.sendall(f"reboot {node}\n".encode())
            self._socket.settimeout(0)
        except OSError as error:
            self._trouble = f"the keeper can not be asked: {error.strerror or error}"
            self._socket.close()

    def answer(self) -> str | None:
        while not self._trouble and not self._line.endswith(b"\n"):
            try:
                data = self._socket.recv(4096)
            except BlockingIOError:
                return None
            except OSError as error:
                self._trouble = f"the keeper broke off: {error.strerror}"
                break
            self._line += data
            if not data:
                break
        self._socket.close()
        return self._trouble or self._line.decode("utf-8", "replace").strip() or "the keeper hung up without an answer"


def ask_keeper(path: Path) -> Ask:
    """Orders go to the keeper that listens at `path`."""
    return lambda node: KeeperCall(path, node)
