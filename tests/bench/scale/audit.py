"""What the API server itself wrote down about the requests of one user: how many, of which verb, for what."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.e2e.cluster import Cluster
from tests.e2e.control_plane import API_SERVER
from tests.e2e.place import Place

Json = dict[str, Any]

_SETTLED = 1.0  # seconds without a new line


@dataclass(frozen=True)
class Request:
    """One request: `resource` may have a subresource ("pods/log"), `path` is without its query."""

    verb: str
    resource: str
    namespace: str
    path: str
    labels: str = ""
    fields: str = ""
    name: str = ""

    @property
    def what(self) -> str:
        """Verb, resource, and for what would otherwise be all of them, how they are chosen."""
        if self.verb not in ("list", "watch"):
            return f"{self.verb} {self.resource}"
        chosen = " and ".join(word for word, there in (("labels", self.labels), ("fields", self.fields)) if there)
        where = "one namespace" if self.namespace else "all"
        return f"{self.verb} {self.resource} of {where}" + (f" by {chosen}" if chosen else "")


class Audit:
    """The audit log of the cluster's API server, which is started again for it."""

    def __init__(self, cluster: Cluster, user: str) -> None:
        state = Place(cluster.name).state
        policy, self._log = state / "audit-policy.json", state / "audit.log"
        rules = [{"level": "Metadata", "users": [user]}, {"level": "None"}]
        content = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": rules}
        policy.write_text(json.dumps(content))
        cluster.control_plane.kill(API_SERVER)
        cluster.control_plane.start(API_SERVER, f"--audit-policy-file={policy}", f"--audit-log-path={self._log}")
        cluster.control_plane.wait_until_ready()

    @property
    def end(self) -> int:
        """How long the log is by now, in bytes, once nothing more is added to it."""
        size = -1
        while size != (size := self._log.stat().st_size if self._log.exists() else 0):
            time.sleep(_SETTLED)
        return size

    def since(self, begin: int) -> tuple[Request, ...]:
        """Every request that came after that, each once."""
        end = self.end
        with self._log.open("rb") as file:
            file.seek(begin)
            lines = file.read(end - begin).splitlines()
        return tuple(requests(map(json.loads, lines)))


def requests(entries: Iterable[Json]) -> Iterator[Request]:
    """A long answer has two entries, of which the last may be yet to come."""
    seen: set[str] = set()
    for one in entries:
        if one["auditID"] not in seen:
            seen.add(one["auditID"])
            yield _request(one)


def _request(entry: Json) -> Request:
    about = entry.get("objectRef") or {}
    address = urlsplit(entry["requestURI"])
    query = {key: values[0] for key, values in parse_qs(address.query).items()}
    sub = f"/{about['subresource']}" if "subresource" in about else ""
    resource = f"{about.get('resource', '')}{sub}" or address.path
    return Request(
        entry["verb"],
        resource,
        about.get("namespace", ""),
        address.path,
        query.get("labelSelector", ""),
        query.get("fieldSelector", ""),
        about.get("name", ""),
    )


def most_asked_list(requests: Iterable[Request]) -> tuple[str, int]:
    """The list that was asked for most often, and how often; what is listed again and again is polled."""
    lists = Counter(
        f"{one.what} {one.labels}{one.fields}" if one.namespace == "" else f"{one.what} {one.namespace} {one.labels}"
        for one in requests
        if one.verb == "list"
    )
    return lists.most_common(1)[0] if lists else ("none", 0)
