"""Things that happen again and again beside the steps: a thread each here, events of virtual time in tests."""

import threading
from collections.abc import Callable
from typing import Protocol


class Beats(Protocol):
    """Calls functions regularly."""

    def every(self, seconds: float, call: Callable[[], None], name: str) -> Callable[[], None]:
        """Call again and again, the first time after `seconds`; what is returned ends it (and waits for a call)."""
        ...


class ThreadBeats:
    """One daemon thread per beat."""

    def __init__(self, complain: Callable[[str], None] = lambda _: None) -> None:
        self._complain = complain

    def every(self, seconds: float, call: Callable[[], None], name: str) -> Callable[[], None]:
        over = threading.Event()

        def beat() -> None:
            while not over.wait(seconds):
                try:
                    call()
                except Exception as exc:  # noqa: BLE001 - one bad beat must not end the beating
                    self._complain(f"bug in {name}: {exc!r}")

        thread = threading.Thread(target=beat, name=name, daemon=True)
        thread.start()

        def end() -> None:
            over.set()
            if thread is not threading.current_thread():
                thread.join(timeout=10.0)

        return end
