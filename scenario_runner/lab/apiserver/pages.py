"""Lists in pages: every page shows the state of the first one's version."""

import base64
import json
from dataclasses import dataclass

from scenario_runner.lab.apiserver.failures import bad_request
from scenario_runner.lab.apiserver.objects import Json


@dataclass(frozen=True)
class Page:
    """At most `limit` objects (0: all of them) behind the place (namespace, name) where the last page ended."""

    limit: int
    version: int
    after: tuple[str, str] | None

    @classmethod
    def asked_for(cls, limit: int, token: str | None, current: int) -> "Page":
        """Raises ApiError (400) for a token that is none."""
        if not token:
            return cls(limit, current, None)
        try:
            version, namespace, name = json.loads(base64.urlsafe_b64decode(token))
        except ValueError as error:
            raise bad_request(f"invalid continue token: continue key is not valid: {error}") from error
        return cls(limit, version, (namespace, name))

    def of(self, objects: list[Json], *, is_counted: bool) -> tuple[list[Json], Json]:
        """The objects of this page, and the list's metadata: its version, and how to go on."""
        if self.after is not None:
            objects = [obj for obj in objects if _place(obj) > self.after]
        meta: Json = {"resourceVersion": str(self.version)}
        if self.limit and len(objects) > self.limit:
            position = json.dumps([self.version, *_place(objects[self.limit - 1])])
            meta["continue"] = base64.urlsafe_b64encode(position.encode()).decode()
            if is_counted:
                meta["remainingItemCount"] = len(objects) - self.limit
            objects = objects[: self.limit]
        return objects, meta


def _place(obj: Json) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
