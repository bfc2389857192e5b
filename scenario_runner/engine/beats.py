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
    """One daemon thread per beat. What is called must not raise."""

    def every(self, seconds: float, call: Callable[[], None], name: str) -> Callable[[], None]:
        over = threading.Event()

        def beat() -> None:
            while not over.wait(seconds):
                call()

        thread = threading.Thread(target=beat, name=name, daemon=True)
        thread.start()

        def end() -> None:
            over.set()
            if thread is not threading.current_thread():
                thread.join(timeout=10.0)

        return end
