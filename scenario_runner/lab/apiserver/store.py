"""The objects, their one growing version, and the history that watches replay."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from scenario_runner.lab.apiserver.objects import Json, Key


@dataclass(frozen=True, slots=True)
class Change:
    """One write: `obj` is the object after it (for DELETED its last state), `before` the one it replaced."""

    version: int
    kind: Literal["ADDED", "MODIFIED", "DELETED"]
    key: Key
    obj: Json
    before: Json | None


class _Collection:
    """The objects of one resource, with the changes that are still remembered."""

    def __init__(self, history: int) -> None:
        self.objects: dict[Key, Json] = {}
        self.changes: deque[Change] = deque(maxlen=history)
        self.forgotten = 0
        self.listeners: list[Callable[[Change], None]] = []

    def remember(self, change: Change) -> None:
        if len(self.changes) == self.changes.maxlen:
            self.forgotten = self.changes[0].version
        self.changes.append(change)


class Store:
    """Single-threaded: whoever writes has told every listener before the write returns.

    Stored objects are never changed in place; readers may keep them, writers must clone.
    """

    def __init__(self, history: int = 2000) -> None:
        self.version = 1
        self._history = history
        self._collections: dict[tuple[str, str], _Collection] = {}
        self._listeners: list[Callable[[Change], None]] = []

    def _collection(self, group: str, plural: str) -> _Collection:
        return self._collections.setdefault((group, plural), _Collection(self._history))

    def get(self, key: Key) -> Json | None:
        return self._collection(key.group, key.plural).objects.get(key)

    def select(self, group: str, plural: str, namespace: str = "") -> list[Json]:
        """All objects of a resource, or those of one namespace, in the order of namespace and name."""
        found = self._collection(group, plural).objects
        return [found[key] for key in sorted(found) if not namespace or key.namespace == namespace]

    def as_of(self, group: str, plural: str, version: int) -> list[Json] | None:
        """What `select` answered at a version, for all namespaces; None where that is forgotten."""
        changes = self.since(group, plural, version)
        if changes is None:
            return None
        found: dict[Key, Json | None] = dict(self._collection(group, plural).objects)
        found |= {change.key: change.before for change in reversed(changes)}
        return [obj for _, obj in sorted(found.items()) if obj is not None]

    def everything(self) -> Iterator[tuple[Key, Json]]:
        """Each object with its key, as of this moment."""
        for collection in list(self._collections.values()):
            yield from list(collection.objects.items())

    def put(self, key: Key, obj: Json) -> Json:
        """Store an object; one that equals what is there keeps its version and tells nobody."""
        objects = self._collection(key.group, key.plural).objects
        before = objects.get(key)
        if before is not None:
            obj["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"]
            if obj == before:
                return before
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        objects[key] = obj
        self._tell(Change(self.version, "MODIFIED" if before else "ADDED", key, obj, before))
        return obj

    def remove(self, key: Key) -> Json:
        before = self._collection(key.group, key.plural).objects.pop(key)
        self.version += 1
        last = {**before, "metadata": {**before["metadata"], "resourceVersion": str(self.version)}}
        self._tell(Change(self.version, "DELETED", key, last, before))
        return last

    def _tell(self, change: Change) -> None:
        collection = self._collection(change.key.group, change.key.plural)
        collection.remember(change)
        for listener in [*self._listeners, *collection.listeners]:
            listener(change)

    def since(self, group: str, plural: str, version: int) -> list[Change] | None:
        """The changes of a resource after a version; None where some of them are forgotten."""
        collection = self._collection(group, plural)
        if version < collection.forgotten:
            return None
        return [change for change in collection.changes if change.version > version]

    def oldest(self, group: str, plural: str) -> int:
        return self._collection(group, plural).forgotten

    def on_change(self, listener: Callable[[Change], None]) -> None:
        """Call the listener with every change of every resource from now on."""
        self._listeners.append(listener)

    def follow(self, group: str, plural: str, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call the listener with every change of one resource; the answer is called to stop that."""
        listeners = self._collection(group, plural).listeners
        listeners.append(listener)
        return lambda: listeners.remove(listener)
