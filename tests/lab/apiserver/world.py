"""A cluster in virtual time: the API with all controllers, and kubelets that do what a test tells them."""

import heapq
import itertools
from collections.abc import Callable
from typing import Any

from scenario_runner.lab.apiserver.api import Api
from scenario_runner.lab.apiserver.deletion import Deletion
from scenario_runner.lab.apiserver.objects import Json, dig, is_going, set_condition, timestamp
from scenario_runner.lab.apiserver.resources import Target
from scenario_runner.lab.controllers import Settings, start_controllers

START = 1_800_000_000.0


class VirtualTimers:
    """Timers that run when a test moves the time."""

    def __init__(self) -> None:
        self.time = START
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._taken_back: set[int] = set()
        self._numbers = itertools.count()

    def now(self) -> float:
        return self.time

    def call_later(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        number = next(self._numbers)
        heapq.heappush(self._due, (self.time + seconds, number, call))
        return lambda: self._taken_back.add(number)

    def advance(self, seconds: float) -> None:
        end = self.time + seconds
        while self._due and self._due[0][0] <= end:
            due, number, call = heapq.heappop(self._due)
            self.time = max(self.time, due)
            if number not in self._taken_back:
                call()
        self.time = end


class World:
    """Kubelets act only in `run_kubelets`, and only those of nodes that are not `dead`."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.timers = VirtualTimers()
        settings = settings or Settings(node_grace=8, eviction_after=5, start_grace=20)
        self.api = Api.empty(self.timers.now, settings.eviction_after)
        start_controllers(self.api, settings, self.timers)
        self.dead: set[str] = set()
        self.unready: set[str] = set()
        self.advance(0)

    def advance(self, seconds: float) -> None:
        self.timers.advance(seconds)

    def _at(self, plural: str, namespace: str, name: str = "") -> Target:
        resource = self.api.catalog.builtin(plural)
        return Target(resource, namespace if resource.namespaced else "", name)

    # What clients do

    def get(self, plural: str, name: str, namespace: str = "default") -> Json:
        return self.api.get(self._at(plural, namespace, name))

    def create(self, plural: str, body: Json, namespace: str = "default") -> Json:
        created = self.api.create(self._at(plural, namespace), body)
        self.advance(0)
        return created

    def edit(self, plural: str, name: str, edit: Callable[[Json], Any], namespace: str = "default") -> None:
        def change(obj: Json) -> Json:
            edit(obj)
            return obj

        self.api.change(self._at(plural, namespace, name), change)
        self.advance(0)

    def delete(self, plural: str, name: str, wanted: Deletion | None = None, namespace: str = "default") -> None:
        self.api.delete(self._at(plural, namespace, name), wanted or Deletion())
        self.advance(0)

    def pods(self, namespace: str = "default") -> list[Json]:
        return self.api.select("pods", namespace)

    def events(self, reason: str) -> list[str]:
        return [one["message"] for one in self.api.select("events") if one["reason"] == reason]

    # What nodes do

    def add_node(self, name: str, gpus: int = 8, **labels: str) -> None:
        amounts = {"cpu": "64", "memory": "512Gi", "pods": "110", "nvidia.com/gpu": str(gpus)}
        status = {"capacity": amounts, "allocatable": amounts, "conditions": [self._ready()]}
        meta = {"name": name, "labels": {"kubernetes.io/hostname": name} | labels}
        self.api.create(self.api.at("nodes"), {"metadata": meta, "status": status})
        lease = {"metadata": {"name": name}, "spec": {"holderIdentity": name}}
        self.api.create(self.api.at("leases", "kube-node-lease"), lease)
        self.beat()

    def _ready(self) -> Json:
        beat = timestamp(self.timers.time)
        return {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": beat}

    def beat(self) -> None:
        """Every living node renews its lease, and says that it is ready where the server believes otherwise."""
        renewed = timestamp(self.timers.time).replace("Z", f".{self.timers.time % 1 * 1e6:06.0f}Z")
        for node in self.api.select("nodes"):
            name = node["metadata"]["name"]
            if name in self.dead:
                continue
            self.edit("leases", name, lambda lease: lease["spec"].update(renewTime=renewed), "kube-node-lease")
            at = self.api.at("nodes", name=name, sub="status")
            if dig(node, "status.conditions")[0]["status"] != "True":
                self.api.change(at, self._with_ready)
        self.advance(0)

    def _with_ready(self, node: Json) -> Json:
        set_condition(node, self._ready(), self.timers.time)
        return node

    def run_kubelets(self) -> None:
        """Start what is bound, confirm what is going, until nothing is left to do."""
        for _ in range(50):
            before = self.api.store.version
            for pod in self.api.select("pods"):
                node = pod["spec"].get("nodeName")
                if node and node not in self.dead:
                    self._run(pod)
            self.advance(0)
            if self.api.store.version == before:
                return
        raise AssertionError("the cluster does not settle")

    def _run(self, pod: Json) -> None:
        meta = pod["metadata"]
        at = self.api.at("pods", meta["namespace"], meta["name"], "status")
        if is_going(pod):
            self.api.delete(self.api.at("pods", meta["namespace"], meta["name"]), Deletion(0, meta["uid"]))
        elif pod["spec"]["containers"][0]["image"] in self.unready:
            self.api.change(at, lambda obj: self._started(obj, "False"))
        else:
            self.api.change(at, lambda obj: self._started(obj, "True"))

    def _started(self, pod: Json, ready: str) -> Json:
        last = pod["metadata"]["uid"][:2]
        pod["status"] |= {"phase": "Running", "podIP": f"10.244.0.{int(last, 16)}"}
        set_condition(pod, {"type": "Ready", "status": ready}, self.timers.time)
        return pod

    def live(self, seconds: float, step: float = 1.0) -> None:
        """Let time pass, with heartbeats and kubelets at work."""
        for _ in range(round(seconds / step)):
            self.advance(step)
            self.beat()
            self.run_kubelets()


def pod_template(image: str = "server:1", gpus: int = 0, **spec: Any) -> Json:
    container: Json = {"name": "main", "image": image, "ports": [{"name": "http", "containerPort": 8000}]}
    if gpus:
        container["resources"] = {"limits": {"nvidia.com/gpu": gpus}}
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]} | spec}


def deployment(replicas: int = 3, image: str = "server:1", gpus: int = 0, **spec: Any) -> Json:
    template = pod_template(image, gpus)
    selector = {"matchLabels": {"app": "web"}}
    body = {"replicas": replicas, "selector": selector, "template": template} | spec
    return {"metadata": {"name": "web"}, "spec": body}


def pod(name: str, gpus: int = 0, **spec: Any) -> Json:
    template = pod_template(gpus=gpus, **spec)
    return {"metadata": {"name": name, "labels": {"app": "web"}}, "spec": template["spec"]}
