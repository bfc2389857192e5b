"""A node whose kubelet is the check itself: it says what it is told to, and nothing by itself but its heartbeat."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.contract.kubernetes.server import Json, Space

GPU = "nvidia.com/gpu"
_TAINT = "contract.example.com/mine"  # keeps everybody else's pods away
_BEAT = 0.5  # seconds
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass
class Puppet:
    """Its pods become ready by `play`, but for those of an image in `sick`."""

    space: Space
    name: str
    sick: set[str] = field(default_factory=set)

    @property
    def pods(self) -> Json:
        """What the spec of a pod needs to be scheduled here and nowhere else."""
        tolerations = [{"key": _TAINT, "operator": "Exists"}]
        return {"nodeSelector": {"kubernetes.io/hostname": self.name}, "tolerations": tolerations}

    def join(self) -> None:
        """Register, and be ready."""
        node = {
            "kind": "Node",
            "metadata": {"name": self.name, "labels": {"kubernetes.io/hostname": self.name}},
            "spec": {"taints": [{"key": _TAINT, "effect": "NoSchedule"}]},
        }
        self.space.made(node)
        amounts = {"cpu": "8", "memory": "8Gi", "pods": "20", GPU: "2"}
        self.say({"capacity": amounts, "allocatable": amounts, "addresses": [_address("Hostname", self.name)]})
        self.say_ready("True")

    def say(self, status: Json) -> None:
        answer = self.space.strategic("Node", self.name, {"status": status}, "status")
        assert answer.status == 200, answer.text

    def say_ready(self, status: str) -> None:
        reason = "KubeletReady" if status == "True" else "KubeletNotReady"
        ready = {"type": "Ready", "status": status, "reason": reason, "message": "says the check"}
        ready |= {"lastHeartbeatTime": _seconds(_now())}
        self.say({"conditions": [ready]})

    def beat(self) -> None:
        """Renew the lease, by which controllers know that a kubelet lives."""
        spec = {"holderIdentity": self.name, "leaseDurationSeconds": 40, "renewTime": _now()}
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": self.name}}
        path = f"{_LEASES}/{self.name}"
        answer = self.space.server.call("PATCH", path, {"spec": spec}, "application/merge-patch+json")
        if answer.status == 404:
            self.space.server.call("POST", _LEASES, lease | {"spec": spec})

    def leave(self) -> None:
        self.space.delete("Node", self.name)
        self.space.server.call("DELETE", f"{_LEASES}/{self.name}")

    def seen(self) -> Json:
        return self.space.read("Node", self.name).body

    def taints(self) -> list[tuple[str, str]]:
        """The taints besides its own."""
        found = self.seen()["spec"].get("taints") or []
        return sorted((one["key"], one["effect"]) for one in found if one["key"] != _TAINT)

    def is_ready(self) -> bool:
        """Ready for pods: also the controllers have seen it."""
        return not self.taints()

    # Its pods

    def run(self, name: str, *, ready: bool = True) -> None:
        """Say that a pod runs."""
        pod = self.space.read("Pod", name).body
        word = "True" if ready else "False"
        rows = [_running(one["name"], one["image"], ready=ready) for one in pod["spec"]["containers"]]
        conditions = [
            {"type": kind, "status": word, "lastTransitionTime": _seconds(_now())}
            for kind in ("Ready", "ContainersReady")
        ]
        address = f"10.244.250.{int(pod['metadata']['uid'][:2], 16) % 200 + 1}"
        status = {"phase": "Running", "containerStatuses": rows, "conditions": conditions}
        status |= {"podIP": address, "podIPs": [{"ip": address}]}
        self.space.strategic("Pod", name, {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}, "status")

    def finish(self, name: str, phase: str) -> None:
        self.space.strategic("Pod", name, {"status": {"phase": phase}}, "status")

    def bury(self, name: str) -> None:
        """Confirm that nothing of a pod is left."""
        self.space.delete("Pod", name, {"gracePeriodSeconds": 0})

    def play(self) -> list[Json]:
        """Do what a kubelet would do now; returns the pods as they were before."""
        found = self.space.listed("Pod", fieldSelector=f"spec.nodeName={self.name}").body["items"]
        for pod in found:
            name = pod["metadata"]["name"]
            if "deletionTimestamp" in pod["metadata"]:
                self.bury(name)
            elif pod["status"]["phase"] == "Pending":
                self.run(name, ready=pod["spec"]["containers"][0]["image"] not in self.sick)
        return list(found)


@contextmanager
def living(puppet: Puppet) -> Iterator[threading.Event]:
    """Its heartbeat, until the event that is handed out is set."""
    silent = threading.Event()

    def beat() -> None:
        while not silent.is_set():
            puppet.beat()
            silent.wait(_BEAT)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield silent
    finally:
        silent.set()
        thread.join()


def _address(kind: str, address: str) -> Json:
    return {"type": kind, "address": address}


def _seconds(stamp: str) -> str:
    return stamp.partition(".")[0] + "Z"


def _running(name: str, image: str, *, ready: bool) -> Json:
    state = {"running": {"startedAt": _seconds(_now())}}
    row: Json = {"name": name, "image": image, "imageID": "", "restartCount": 0}
    return row | {"ready": ready, "started": True, "state": state, "lastState": {}}
