"""Filler: nodes and pods that exist in the API server only, kept alive by kwok, beside the cluster's real ones."""

import itertools
import json
import ssl
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import urllib3

from tests.e2e import binaries
from tests.e2e.cgroups import processes
from tests.e2e.cluster import Cluster
from tests.e2e.place import Place, Trouble
from tests.e2e.running import wait_for
from tests.e2e.stage import SERVICE

Json = dict[str, Any]

PODS_EACH = 10  # on each filler node
NAMESPACES = (SERVICE, *(f"team-{number}" for number in range(1, 10)))  # a tenth of the pods lives where the drill does
_CONFIG = Path(__file__).with_name("kwok.yaml")
_AT_ONCE = 4  # requests
_IMAGES = 50  # as many as a kubelet reports
_TAINT = {"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}


class Fleet:
    """Grows only; it goes with its cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._size = 0
        place = Place(cluster.name)
        trust = ssl.create_default_context(cafile=str(place.certificates / "ca.crt"))
        trust.load_cert_chain(place.certificates / "admin.crt", place.certificates / "admin.key")
        self._server = json.loads(place.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
        self._pool = urllib3.PoolManager(maxsize=_AT_ONCE, ssl_context=trust, retries=False)

    def begin(self) -> None:
        """Start kwok, and make the namespaces of the filler pods; the one of the drill is there."""
        place = Place(self._cluster.name)
        kwok = binaries.build((binaries.KWOK,))["kwok"]
        kubeconfig = place.kubeconfig_of("admin")
        self._cluster.control_plane.start_beside(
            "kwok", [str(kwok), f"--config={_CONFIG}", f"--kubeconfig={kubeconfig}"]
        )
        for name in NAMESPACES[1:]:
            self._cluster.kubectl("create", "namespace", name)
        for name in NAMESPACES:  # without it the API server refuses pods
            wait_for(f"{name} has its service account", 60, partial(self._has_account, name))

    def grow(self, nodes: int, say: Callable[[str], None]) -> None:
        """Until there are so many filler nodes, all of them ready and full of running pods."""
        numbers = range(self._size, nodes)
        self._size = nodes
        self._post_all(("/api/v1/nodes", _node(number)) for number in numbers)
        say(f"{nodes} filler nodes are made")
        self._post_all(itertools.chain.from_iterable(_pods(number) for number in numbers))
        say(f"{nodes * PODS_EACH} filler pods are made, and an event about each")
        wait_for("all filler nodes are ready", 300, lambda: self._ready() >= nodes, every=2)
        wait_for("all filler pods run", 900, self._all_run, every=2)

    def _has_account(self, namespace: str) -> bool:
        return self._cluster.try_kubectl("get", "serviceaccount", "default", f"--namespace={namespace}").returncode == 0

    def _ready(self) -> int:
        if "kwok" not in [program for _, program in processes(self._cluster.control_plane.group)]:
            raise Trouble(f"kwok has ended, see {Place(self._cluster.name).logs}/kwok.log.")
        chosen = ("get", "nodes", "--selector=type=filler")
        path = '{.items[*].status.conditions[?(@.type=="Ready")].status}'
        return self._cluster.kubectl(*chosen, f"--output=jsonpath={path}").split().count("True")

    def _all_run(self) -> bool:
        waiting = "--field-selector=status.phase!=Running"
        chosen = ("get", "pods", "--all-namespaces", "--selector=app=filler", waiting, "--output=name")
        return not self._cluster.kubectl(*chosen).strip()

    def _post_all(self, objects: Iterable[tuple[str, Json]]) -> None:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for batch in _batches(objects):  # not all of them in memory
                list(pool.map(lambda one: self._post(*one), batch))

    def _post(self, path: str, content: Json) -> None:
        answer = self._pool.request("POST", self._server + path, json=content, timeout=60)
        if answer.status >= 300:
            raise RuntimeError(f"the API server answered {answer.status} to filler: {answer.data[:300]!r}")


def _batches(objects: Iterable[tuple[str, Json]]) -> Iterator[list[tuple[str, Json]]]:
    each = iter(objects)
    while batch := list(itertools.islice(each, 500)):
        yield batch


def _node(number: int) -> Json:
    """Large as one of a kubelet, with eight GPUs, and closed to whatever is not filler."""
    name = f"filler-{number:04}"
    amounts = {"cpu": "96", "memory": "1Ti", "pods": "110", "nvidia.com/gpu": "8", "ephemeral-storage": "1Ti"}
    labels = {
        "type": "filler",
        "kubernetes.io/hostname": name,
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.count": "8",
        **{f"feature.node.example/property-{index}": "present" for index in range(40)},
    }
    images = [
        {"names": [f"registry.example/team/image-{index}@sha256:{index:064x}"], "sizeBytes": 10**9}
        for index in range(_IMAGES)
    ]
    return {
        "metadata": {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "spec": {"taints": [_TAINT], "providerID": f"kwok://{name}"},
        "status": {"capacity": amounts, "allocatable": amounts, "images": images},
    }


def _pods(number: int) -> Iterator[tuple[str, Json]]:
    """The pods of a node, each followed by an event about it."""
    for index in range(PODS_EACH):
        namespace = NAMESPACES[index % len(NAMESPACES)]
        name = f"filler-{number:04}-{index}"
        yield f"/api/v1/namespaces/{namespace}/pods", _pod(name, f"filler-{number:04}")
        about = {"apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": name}
        event = {"metadata": {"name": f"{name}.1"}, "involvedObject": about, "reason": "Started", "type": "Normal"}
        event |= {"message": "Started container main", "source": {"component": "kubelet"}, "count": 1}
        yield f"/api/v1/namespaces/{namespace}/events", event


def _pod(name: str, node: str) -> Json:
    environment = [{"name": f"SETTING_{index}", "value": f"value {index}"} for index in range(20)]
    container = {"name": "main", "image": "registry.example/team/image-1", "env": environment}
    return {
        "metadata": {"name": name, "labels": {"app": "filler", "team": "any"}},
        "spec": {"nodeName": node, "containers": [container], "tolerations": [{"operator": "Exists"}]},
    }
