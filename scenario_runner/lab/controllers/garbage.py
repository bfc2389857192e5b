"""Deletes what lost its last owner, and works off the finalizers of foreground and orphaning deletion."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from scenario_runner.lab.apiserver.api import Api
from scenario_runner.lab.apiserver.deletion import PROPAGATION, Deletion
from scenario_runner.lab.apiserver.objects import Json, Key, is_going
from scenario_runner.lab.apiserver.store import Change


@dataclass(frozen=True)
class Garbage:
    """The garbage collector. A key is an object that may have to go, or an owner that is going."""

    api: Api

    def touched(self, change: Change) -> Iterable[Key]:
        meta = change.obj["metadata"]
        if change.kind == "DELETED":
            yield from (key for key, _ in self._dependents(meta["uid"]))
            owners = {reference["uid"] for reference in meta.get("ownerReferences") or []}
            if owners:
                yield from (key for key, obj in self.api.store.everything() if obj["metadata"]["uid"] in owners)
        elif meta.get("ownerReferences") or _has_work(change.obj):
            yield change.key

    def _dependents(self, uid: str) -> Iterator[tuple[Key, Json]]:
        for key, obj in self.api.store.everything():
            if any(reference["uid"] == uid for reference in obj["metadata"].get("ownerReferences") or []):
                yield key, obj

    def reconcile(self, key: Key) -> float | None:
        obj = self.api.store.get(key)
        if obj is None:
            return None
        if _has_work(obj):
            self._work_off(key, obj)
        elif not is_going(obj):
            self._settle(key, obj)
        return None

    def _settle(self, key: Key, obj: Json) -> None:
        """Delete an object that names owners none of which exists; of several, forget those that do not."""
        owners = {reference["uid"] for reference in obj["metadata"].get("ownerReferences") or []}
        lost = owners - {one["metadata"]["uid"] for _, one in self.api.store.everything()}
        if lost == owners:
            if owners:
                self.api.delete(self.api.target_of(key))
            return
        self._forget_owners(key, lost)

    def _forget_owners(self, key: Key, uids: set[str]) -> None:
        def edit(obj: Json) -> Json:
            owners = obj["metadata"].get("ownerReferences") or []
            obj["metadata"]["ownerReferences"] = [one for one in owners if one["uid"] not in uids]
            return obj

        self.api.change(self.api.target_of(key), edit)

    def _work_off(self, key: Key, owner: Json) -> None:
        uid, finalizers = owner["metadata"]["uid"], owner["metadata"]["finalizers"]
        dependents = list(self._dependents(uid))
        if PROPAGATION["Orphan"] in finalizers:
            for one, _obj in dependents:
                self._forget_owners(one, {uid})
            self._drop_finalizer(key, PROPAGATION["Orphan"])
            return
        for one, obj in dependents:
            if not is_going(obj):
                has_own = any(True for _ in self._dependents(obj["metadata"]["uid"]))
                self.api.delete(
                    self.api.target_of(one), Deletion(propagation="Foreground" if has_own else "Background")
                )
        if not list(self._dependents(uid)):
            self._drop_finalizer(key, PROPAGATION["Foreground"])

    def _drop_finalizer(self, key: Key, finalizer: str) -> None:
        def edit(obj: Json) -> Json:
            obj["metadata"]["finalizers"] = [one for one in obj["metadata"]["finalizers"] if one != finalizer]
            return obj

        self.api.change(self.api.target_of(key), edit)


def _has_work(obj: Json) -> bool:
    finalizers = obj["metadata"].get("finalizers") or []
    return is_going(obj) and any(one in finalizers for one in PROPAGATION.values())
