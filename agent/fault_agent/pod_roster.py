"""Which nodes have an agent and where: from a watch of the agents' pods."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import quote, urlencode

from fault_agent.clock import monotonic
from fault_agent.cluster import ClusterApi, ClusterRefused
from fault_agent.refusal import Refusal
from fault_agent.roster import Agents, Missing

WATCH_SECONDS = 60  # the server ends a watch after that time, so a dead connection is noticed soon after
GRACE_SECONDS = 10
GONE_SECONDS = 600.0  # a node whose agent has left stays known for so long: nobody may take it for fault-free at once
RETRY_SECONDS = (0.2, 1.0, 2.0, 5.0)


@dataclass(frozen=True)
class AgentPod:
    """What counts of a pod; `created` is its creation timestamp, which sorts as text."""

    name: str
    node: str
    address: str | None
    phase: str
    leaving: bool
    created: str

    @classmethod
    def of(cls, pod: dict[str, Any]) -> "AgentPod":
        """Raises KeyError, TypeError or AttributeError if it is no pod."""
        meta, status = pod["metadata"], pod.get("status") or {}
        return cls(
            name=meta["name"],
            node=pod["spec"].get("nodeName") or "",
            address=status.get("podIP") or None,
            phase=status.get("phase") or "Pending",
            leaving=meta.get("deletionTimestamp") is not None,
            created=meta.get("creationTimestamp") or "",
        )

    @property
    def can_be_asked(self) -> bool:
        return self.address is not None and self.phase in ("Running", "Unknown")

    def rank(self) -> tuple[bool, bool, str, str]:
        """Among pods of one node the highest is asked: one that answers, that stays, the youngest."""
        return self.can_be_asked, not self.leaving, self.created, self.name


@dataclass
class KnownPods:
    """The pods as of the newest event, by uid, and when nodes lost their last one (seconds)."""

    pods: dict[str, AgentPod] = field(default_factory=dict)
    left: dict[str, float] = field(default_factory=dict)

    def replace(self, items: list[dict[str, Any]], now: float) -> None:
        """A whole list."""
        before = self.nodes()
        self.pods = {pod["metadata"]["uid"]: AgentPod.of(pod) for pod in items}
        self._note_left(before, now)

    def apply(self, kind: str, pod: dict[str, Any], now: float) -> None:
        """One event of a watch."""
        before = self.nodes()
        uid = pod["metadata"]["uid"]
        if kind == "DELETED":
            self.pods.pop(uid, None)
        else:
            self.pods[uid] = AgentPod.of(pod)
        self._note_left(before, now)

    def nodes(self) -> set[str]:
        return {pod.node for pod in self.pods.values() if pod.node}

    def agents(self, url: Callable[[str], str], now: float) -> Agents:
        """Node name -> URL, made from a pod's address by `url`."""
        self.left = {node: since for node, since in self.left.items() if now - since < GONE_SECONDS}
        found: dict[str, str | Missing] = {
            node: Missing(f"its agent's pod is gone since {now - since:.0f} s") for node, since in self.left.items()
        }
        for pod in sorted((pod for pod in self.pods.values() if pod.node), key=AgentPod.rank):
            if pod.can_be_asked and pod.address is not None:
                found[pod.node] = url(pod.address)
            else:
                found[pod.node] = Missing(f"its agent's pod {pod.name} is {pod.phase}")
        return found

    def _note_left(self, before: set[str], now: float) -> None:
        after = self.nodes()
        self.left = {node: since for node, since in self.left.items() if node not in after}
        self.left |= dict.fromkeys(before - after, now)


class PodRoster:
    """Lists the pods of `selector` in `namespace`, then watches them, for ever, in a daemon thread.

    `url` makes an agent's URL from its pod's address. While the cluster does not answer, what was known stays.
    """

    source: Literal["file", "pods"] = "pods"

    def __init__(self, cluster: ClusterApi, namespace: str, selector: str, url: Callable[[str], str]) -> None:
        self._cluster = cluster
        self._path = f"/api/v1/namespaces/{quote(namespace)}/pods"
        self._selector = selector
        self._url = url
        self._lock = threading.Lock()
        self._known = KnownPods()
        self._is_known = False
        self._problem: str | None = "it was not asked yet"

    def start(self) -> None:
        threading.Thread(target=self._run, name="roster", daemon=True).start()

    def agents(self) -> Agents:
        """Raises Refusal 503 until the cluster answered once."""
        with self._lock:
            if not self._is_known:
                message = f"The nodes are not known yet: the cluster does not list the agents' pods ({self._problem})."
                raise Refusal(503, "roster_unknown", message)
            return self._known.agents(self._url, monotonic())

    def why_stale(self) -> str | None:
        problem = self._problem
        return None if problem is None else f"The cluster does not list the agents' pods: {problem}."

    def _run(self) -> None:
        failures = 0
        pause = threading.Event()
        while True:
            try:
                self._listen()
                failures = 0
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                self._problem = _in_words(error)
                failures += 1
            pause.wait(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])

    def _listen(self) -> None:
        """List once, then watch from there until the server no longer has the history."""
        listed = self._cluster.get(f"{self._path}?{urlencode({'labelSelector': self._selector})}")
        with self._lock:
            self._known.replace(listed["items"], monotonic())
            self._is_known, self._problem = True, None
        version: str | None = listed["metadata"]["resourceVersion"]
        pause = threading.Event()
        while version is not None:
            began = monotonic()
            version = self._watch(version)
            pause.wait(max(0.0, RETRY_SECONDS[0] - (monotonic() - began)))  # a server that hangs up at once

    def _watch(self, version: str) -> str | None:
        """One watch; returns the version to go on from, None if it is too old for the server."""
        query = {
            "labelSelector": self._selector,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        try:
            for event in self._cluster.stream(f"{self._path}?{urlencode(query)}", WATCH_SECONDS + GRACE_SECONDS):
                if event["type"] == "ERROR":
                    return None
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    self._apply(event)
        except ClusterRefused as error:
            if error.status == HTTPStatus.GONE:
                return None
            raise
        return version

    def _apply(self, event: dict[str, Any]) -> None:
        with self._lock:
            self._known.apply(event["type"], event["object"], monotonic())


def _in_words(error: Exception) -> str:
    if isinstance(error, OSError):
        return str(error)
    return f"its answer is not a list of pods ({type(error).__name__})"
