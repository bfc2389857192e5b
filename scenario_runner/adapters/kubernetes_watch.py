"""One watch of the API server: a list, then every change from that version on, in a thread of its own, until closed."""

import json
import threading
from collections.abc import Callable
from typing import Any

from scenario_runner.adapters.kubernetes_errors import Silent
from scenario_runner.adapters.kubernetes_lists import pages, selection
from scenario_runner.adapters.kubernetes_objects import list_path, to_state
from scenario_runner.adapters.kubernetes_rest import KubernetesRest, Lines
from scenario_runner.core.ports import Seen, Watch
from scenario_runner.core.states import State
from scenario_runner.errors import StepBroken, TargetRefused, TargetUnreachable

Json = Any
_SERVER_SECONDS = 240  # after which the server ends a watch; we go on from where it was
_SOONEST, _LATEST = 0.2, 2.0  # seconds between tries to find the thread again
_NOT_INSTALLED = 5.0  # seconds between looks for a custom resource that the cluster does not know
_FORGOTTEN = {"Expired", "Gone", "http_410"}  # refusals after which only a new list helps


class KubernetesWatch:
    """
    Implements `core.ports.Subscription`; nothing but `close` ends it, what goes wrong is told as a gap.

    A connection that breaks is no gap: the next one continues from the same version. A gap begins when the server can
    not be reached, is silent or has forgotten that version, and ends with "found again".
    """

    def __init__(self, rest: KubernetesRest, watch: Watch, sink: Callable[[Seen], None], silence: float) -> None:
        self._rest = rest
        self._watch = watch
        self._sink = sink
        self._silence = silence
        self._path = list_path(watch.what, watch.namespace)
        self._query = selection(watch.selector, {"metadata.name": watch.name})
        self._to_state = to_state(watch.what)
        self._known: dict[str, State] = {}  # by uid, as they were last told
        self._version = ""  # "": a list is due
        self._synced = False
        self._lost = False
        self._pause = _SOONEST
        self._closed = threading.Event()
        self._lines: Lines | None = None
        self._thread = threading.Thread(target=self._follow, name=f"watch {watch.what}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End the watch; once this returns, the sink hears nothing more."""
        self._closed.set()
        if self._lines is not None:
            self._lines.close()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=2.0)

    def _follow(self) -> None:
        while not self._closed.is_set():
            try:
                self._follow_once()
            except Silent as silence:
                self._lose(str(silence), relist=True)
            except StepBroken as trouble:
                self._stumble(trouble)

    def _follow_once(self) -> None:
        if not self._version:
            self._list()
        query = {
            **self._query,
            "watch": "true",
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_SERVER_SECONDS),
        }
        self._lines = self._rest.stream(self._path, query, silence=self._silence)
        if self._closed.is_set():  # `close` came too early to see the lines
            self._lines.close()
        self._find()
        if self._read(self._lines) == 0:  # a server that ends each watch at once is not asked in a tight loop
            self._closed.wait(_SOONEST)

    def _read(self, lines: Lines) -> int:
        """Take in lines until the connection ends or breaks; return how many came."""
        count = 0
        try:
            for line in lines:
                self._change(line)
                count += 1
        except Silent:
            raise
        except TargetUnreachable:
            pass  # no gap yet: the next connection goes on from the same version
        return count

    def _stumble(self, trouble: StepBroken) -> None:
        code = trouble.code if isinstance(trouble, TargetRefused) else ""
        if code in _FORGOTTEN:
            self._lose("the API server has forgotten the last state that we saw", relist=True)
            return
        if code == "NotFound":
            self._sync()  # nothing there is the whole list
            self._closed.wait(_NOT_INSTALLED)
            return
        self._lose(str(trouble))
        self._closed.wait(self._pause)
        self._pause = min(_LATEST, self._pause * 2)

    def _list(self) -> None:
        listed: dict[str, State] = {}
        version = ""
        for page in pages(self._rest, self._path, self._query, patient=False):  # tries and their pauses are ours
            if page is None:
                raise TargetRefused(f"the API server knows no {self._watch.what}", code="NotFound")
            kind = str(page.get("kind", "")).removesuffix("List")
            listed |= {item["metadata"]["uid"]: self._state_of({"kind": kind, **item}) for item in page["items"]}
            version = page["metadata"]["resourceVersion"]
        for uid in self._known.keys() - listed.keys():
            self._tell("gone", self._known[uid])
        for state in listed.values():
            self._tell("state", state)
        self._known = listed
        self._version = version
        self._sync()

    def _change(self, line: bytes) -> None:
        if not line.strip():
            return
        change = json.loads(line)
        kind, raw = change["type"], change["object"]
        if kind == "ERROR":
            raise TargetRefused(f"the API server ended a watch: {raw.get('message')}", code=raw.get("reason", ""))
        self._version = raw["metadata"]["resourceVersion"]
        if kind == "BOOKMARK":
            return
        state = self._state_of(raw)
        if kind == "DELETED":
            self._known.pop(raw["metadata"]["uid"], None)
            self._tell("gone", state)
        else:
            self._known[raw["metadata"]["uid"]] = state
            self._tell("state", state)

    def _state_of(self, raw: Json) -> State:
        try:
            return self._to_state(raw)
        except (KeyError, TypeError, ValueError, AttributeError) as odd:
            raise TargetRefused(f"the API server sent one of {self._watch.what} without its {odd}") from odd

    def _sync(self) -> None:
        if not self._synced:
            self._synced = True
            self._send(Seen(self._watch, "synced"))

    def _lose(self, why: str, *, relist: bool = False) -> None:
        if relist:
            self._version = ""
        if not self._lost:
            self._lost = True
            self._send(Seen(self._watch, "gap", detail=f"lost: {why}"))

    def _find(self) -> None:
        self._pause = _SOONEST
        if self._lost:
            self._lost = False
            self._send(Seen(self._watch, "gap", detail="found again"))

    def _tell(self, kind: str, state: State) -> None:
        self._send(Seen(self._watch, kind, state, initial=not self._synced))

    def _send(self, seen: Seen) -> None:
        if not self._closed.is_set():
            self._sink(seen)
