"""
What the keeper does when it is asked over its control socket; one line in, one line out.

    status                  JSON: {"components": [{"name", "pid", "state", "restarts"}, ...]}
    reboot NODE             ok when the machine is down; it comes back by itself with a new boot id
    kill COMPONENT SIGNAL   ok; what ends is started again after a moment
    stop COMPONENT          ok when it has ended; stays so until `start`
    start COMPONENT         ok
    down                    ok; the lab ends
"""

import json
import signal
import socket
from collections.abc import Callable
from dataclasses import asdict

from scenario_runner.lab import control
from scenario_runner.lab.staff import Staff

_PATIENCE = 1.0  # seconds that a client has to say what it wants


class Orders:
    """Carries out one order after the other."""

    def __init__(self, staff: Staff, reboot: Callable[[str], None], end: Callable[[str], None]) -> None:
        self._staff = staff
        self._reboot = reboot
        self._end = end

    def serve(self, listener: socket.socket) -> None:
        """Accept one client, answer its one line."""
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(_PATIENCE)
            try:
                words = control.read_line(connection).split()
                connection.sendall(f"{self.answer(words)}\n".encode())
            except OSError:  # whoever asked has left
                return

    def answer(self, words: list[str]) -> str:
        try:
            return self._obey(words)
        except KeyError as error:
            return f"error There is no {error.args[0]} in this lab."
        except ProcessLookupError:
            return f"error {words[1]} does not run."
        except ValueError as error:
            return f"error {error}"

    def _obey(self, words: list[str]) -> str:
        match words:
            case ["status"]:
                return json.dumps({"components": [asdict(one) for one in self._staff.states()]})
            case ["reboot", node]:
                self._reboot(node)
            case ["kill", component, number]:
                self._staff.signal(component, _signal(number))
            case ["stop", component]:
                self._staff.stop(component)
            case ["start", component]:
                self._staff.start_again(component)
            case ["down"]:
                self._end("it was told to end")
            case _:
                raise ValueError(f"{' '.join(words)!r} is no order that a keeper knows.")
        return "ok"


def _signal(text: str) -> int:
    """KILL, SIGKILL or 9. Raises ValueError."""
    if text.isdigit():
        return signal.Signals(int(text))
    try:
        return signal.Signals[text if text.startswith("SIG") else f"SIG{text}"]
    except KeyError as error:
        raise ValueError(f"{text} is no signal.") from error
