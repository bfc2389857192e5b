"""A few paths of the Kubernetes API in memory; `test_api.py` holds it to what the real one does."""

import copy
from collections.abc import Mapping
from typing import Any

from scenario_runner.lab.platform.api import ApiTrouble, Json

_LISTED_BY_NODE = "spec.nodeName="


class FakeApi:
    """Objects by path. `blocked` are pods whose eviction a budget refuses, `down` makes every call fail."""

    def __init__(self) -> None:
        self.objects: dict[str, Json] = {}
        self.blocked: set[str] = set()
        self.lingering: set[str] = set()  # pods that stay, terminating, when evicted
        self.down = False
        self.calls = 0
        self.history: list[tuple[str, Json]] = []  # (path, object) after each change

    def get(self, path: str) -> Json | None:
        self._call(path)
        return copy.deepcopy(self.objects.get(path))

    def select(self, path: str, query: Mapping[str, str]) -> list[Json]:
        self._call(path)
        selector = query.get("fieldSelector", "")
        assert selector == "" or selector.startswith(_LISTED_BY_NODE)
        node = selector.removeprefix(_LISTED_BY_NODE)
        found = [one for key, one in sorted(self.objects.items()) if _is_in(key, path)]
        return copy.deepcopy([one for one in found if not node or one["spec"]["nodeName"] == node])

    def create(self, path: str, body: Json) -> Json:
        self._call(path)
        if path.endswith("/eviction"):
            return self._evict(path.removesuffix("/eviction"))
        key = f"{path}/{body['metadata']['name']}"
        if key in self.objects:
            raise ApiTrouble(409, f"{key} exists")
        return self._store(key, copy.deepcopy(body))

    def patch(self, path: str, body: Json, *, strategic: bool = False) -> Json:
        self._call(path)
        key = path.removesuffix("/status")
        if key not in self.objects:
            raise ApiTrouble(404, f"{key} not found")
        changed = copy.deepcopy(self.objects[key])
        body = {"status": body["status"]} if path != key else {part: body[part] for part in body if part != "status"}
        _merge(changed, copy.deepcopy(body), strategic=strategic)
        return self._store(key, changed)

    def put(self, path: str, obj: Json) -> None:
        """What a test does behind the stand-in's back."""
        self._store(path, obj)

    def remove(self, path: str) -> None:
        del self.objects[path]

    def _evict(self, pod: str) -> Json:
        if pod not in self.objects:
            raise ApiTrouble(404, f"{pod} not found")
        if pod in self.blocked:
            raise ApiTrouble(429, "Cannot evict pod as it would violate the pod's disruption budget.")
        if pod in self.lingering:
            self.objects[pod]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        else:
            del self.objects[pod]
        return {"kind": "Status", "status": "Success"}

    def _store(self, path: str, obj: Json) -> Json:
        self.objects[path] = obj
        self.history.append((path, copy.deepcopy(obj)))
        return copy.deepcopy(obj)

    def _call(self, path: str) -> None:
        self.calls += 1
        if self.down:
            raise ApiTrouble(0, f"{path}: connection refused")


def _is_in(key: str, collection: str) -> bool:
    if collection == "/api/v1/pods":
        return key.startswith("/api/v1/namespaces/") and "/pods/" in key
    return key.rpartition("/")[0] == collection


def _merge(into: Any, patch: Any, *, strategic: bool) -> None:
    for key, value in patch.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict):
            _merge(into.setdefault(key, {}), value, strategic=strategic)
        elif strategic and key == "conditions":
            new = {one["type"]: one for one in value}
            kept = [one for one in into.get(key, []) if one["type"] not in new]
            into[key] = [*kept, *value]
        else:
            into[key] = value
