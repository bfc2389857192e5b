"""Tells every event to every listener; a listener that breaks never hurts a run, it becomes a note."""

import threading
from collections.abc import Callable, Sequence

from scenario_runner.core.events import Event


class Broadcast:
    """Callable with an event, from any thread; listeners hear one event at a time."""

    def __init__(self, listeners: Sequence[Callable[[Event], None]]) -> None:
        self._listeners = tuple(listeners)
        self._lock = threading.RLock()
        self._broken: dict[int, str] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self._broken.values())

    def __call__(self, event: Event) -> None:
        with self._lock:
            for number, listener in enumerate(self._listeners):
                try:
                    listener(event)
                except Exception as exc:  # noqa: BLE001 - a full disk under a log file must not cost the undo
                    told = f"the listener {_name(listener)} broke at {type(event).__name__}: {exc!r}"
                    self._broken.setdefault(number, told)


def _name(listener: Callable[[Event], None]) -> str:
    return getattr(listener, "__qualname__", type(listener).__name__)
