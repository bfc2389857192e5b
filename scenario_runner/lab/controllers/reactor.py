"""Runs controllers: each names the keys that a change touches, and looks at those again, soon or later."""

import asyncio
import sys
import traceback
from collections.abc import Callable, Iterable
from typing import Protocol

from scenario_runner.lab.apiserver.objects import Key
from scenario_runner.lab.apiserver.store import Change, Store

Cancel = Callable[[], None]
_RETRY = 1.0  # seconds after a reconcile that failed
_AT_ONCE = 50  # reconciles before requests get their turn


class Timers(Protocol):
    """Calls back later; the answer takes the call back."""

    def call_later(self, seconds: float, call: Callable[[], None]) -> Cancel: ...


class LoopTimers:
    """Timers of the running event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def call_later(self, seconds: float, call: Callable[[], None]) -> Cancel:
        return self._loop.call_later(seconds, call).cancel


class Controller(Protocol):
    """Brings the world closer to what objects ask for, one key at a time."""

    def touched(self, change: Change) -> Iterable[Key]:
        """The keys to look at again because of a change. Must not write."""
        ...

    def reconcile(self, key: Key) -> float | None:
        """Act; the answer is in how many seconds this key wants to be looked at again without a change."""
        ...


class Reactor:
    """Feeds every change to every controller, each key once however often it was touched."""

    def __init__(self, store: Store, controllers: Iterable[Controller], timers: Timers) -> None:
        self._controllers = list(controllers)
        self._timers = timers
        self._waiting: dict[tuple[int, Key], None] = {}
        self._alarms: dict[tuple[int, Key], Cancel] = {}
        self._is_called = False
        store.on_change(self._on_change)

    def _on_change(self, change: Change) -> None:
        for index, controller in enumerate(self._controllers):
            for key in controller.touched(change):
                self._enqueue((index, key))

    def _enqueue(self, item: tuple[int, Key]) -> None:
        self._waiting[item] = None
        if not self._is_called:
            self._is_called = True
            self._timers.call_later(0, self._work)

    def _work(self) -> None:
        self._is_called = False
        for _ in range(_AT_ONCE):
            if not self._waiting:
                return
            item = next(iter(self._waiting))
            del self._waiting[item]
            self._reconcile(item)
        if self._waiting:
            self._enqueue(next(iter(self._waiting)))

    def _reconcile(self, item: tuple[int, Key]) -> None:
        if cancel := self._alarms.pop(item, None):
            cancel()
        index, key = item
        try:
            again = self._controllers[index].reconcile(key)
        except Exception:  # noqa: BLE001 - one odd object must not stop all controllers; it is told and retried
            print(f"{type(self._controllers[index]).__name__} {key}:", file=sys.stderr)  # noqa: T201
            traceback.print_exc()
            again = _RETRY
        if again is not None:
            self._alarms[item] = self._timers.call_later(max(again, 0.001), lambda: self._enqueue(item))
