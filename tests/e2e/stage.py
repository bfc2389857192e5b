"""What a drill needs on the cluster: a sample service, the platform stand-in, somebody who boots machines again."""

import json
import secrets
import string
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.e2e.cluster import Cluster
from tests.e2e.image import DRIVER, RUNNER_IMAGE
from tests.e2e.place import API_ADDRESS
from tests.e2e.running import wait_for

PLATFORM = "nvsentinel"
SERVICE = "dynamo"
HOME = "gpu-3"  # of the platform; no victim of a drill
SCALE = 30  # how much faster than on a real platform everything is

ALREADY = "libutil.so.1"  # what the engines preload before any drill; of the C library, and nobody's otherwise

# Workers as strict clusters want them: nobody of name, who can write nowhere.
_LOCKED_DOWN = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "runAsGroup": 65532,
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
_PORT = 9477
_MANIFESTS = Path(__file__).parent / "manifests"
_SAMPLE = Path(__file__).parents[2] / "scenario_runner" / "lab" / "manifests.yaml"
_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


def deploy_service(cluster: Cluster) -> None:
    """The lab's own sample: three workers with a GPU each behind the Service `frontend`."""
    text = string.Template(_SAMPLE.read_text()).safe_substitute(NAMESPACE=SERVICE, REPLICAS="3", MODEL_LOAD_SECONDS="1")
    objects = [one for one in yaml.safe_load_all(text) if one]
    for one in objects:
        if one["kind"] == "Deployment":
            # There is a spare GPU for each worker: a rollout of all at once is over sooner.
            one["spec"]["strategy"] = {"rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}}
            for container in one["spec"]["template"]["spec"]["containers"]:
                container |= {"image": RUNNER_IMAGE, "imagePullPolicy": "Never", "securityContext": _LOCKED_DOWN}
                container["env"] += [
                    {"name": "LD_LIBRARY_PATH", "value": DRIVER},
                    {"name": "LD_PRELOAD", "value": ALREADY},
                ]
                container["resources"]["limits"]["memory"] = "256Mi"
        if one["kind"] == "Service":
            del one["spec"]["clusterIP"]  # the cluster chooses it
    _apply(cluster, objects)
    cluster.kubectl(f"--namespace={SERVICE}", "rollout", "status", "deployment/vllm-decode", "--timeout=120s")


def deploy_platform(cluster: Cluster) -> None:
    """Returns once faults are found that are written from now on."""
    values = {
        "TOKEN": secrets.token_hex(16),
        "FILES": json.dumps(_files(cluster)),
        "IMAGE": RUNNER_IMAGE,
        "PORT": str(_PORT),
        "HOME_NODE": HOME,
        "SCALE": str(SCALE),
    }
    text = string.Template((_MANIFESTS / "platform.yaml").read_text()).safe_substitute(values)
    _apply(cluster, [one for one in yaml.safe_load_all(text) if one])
    inside = f"--namespace={PLATFORM}"
    cluster.kubectl(inside, "rollout", "status", "daemonset/outpost", "--timeout=60s")
    wait_for(
        "the platform is ready",
        60,
        lambda: "ready" in cluster.try_kubectl(inside, "logs", "deployment/platform").stdout.splitlines(),
        every=0.5,
    )


def _files(cluster: Cluster) -> dict[str, str]:
    """What the platform is told about the cluster: who the API server is, where nodes are, which GPUs they have."""
    server = {"server": f"https://{API_ADDRESS}", "certificate-authority": f"{_ACCOUNT}/ca.crt"}
    kubeconfig = {
        "clusters": [{"name": "here", "cluster": server}],
        "users": [{"name": "me", "user": {"tokenFile": f"{_ACCOUNT}/token"}}],
    }
    nodes = {
        name: {"outpost": f"http://{cluster.address(name)}:{_PORT}", "inventory": f"/etc/platform/{name}.json"}
        for name in cluster.nodes
    }
    files: dict[str, object] = {
        "kubeconfig": kubeconfig,
        "nodes.json": {"nodes": nodes, "token_file": "/etc/outpost/token"},
    }
    for name in cluster.nodes:
        files[f"{name}.json"] = {"gpus": [{"uuid": gpu.uuid, "pci": gpu.pci} for gpu in cluster.gpus(name)]}
    return {name: json.dumps(content) for name, content in files.items()}


def _apply(cluster: Cluster, objects: list[dict[str, object]]) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    cluster.kubectl("apply", "--filename=-", stdin=text)


def remove(cluster: Cluster) -> None:
    """Everything that was deployed, and what the platform made."""
    for kind in ("rebootnodes", "gpuresets"):
        cluster.kubectl("delete", "customresourcedefinition", f"{kind}.janitor.dgxc.nvidia.com", "--ignore-not-found")
    for kind in ("clusterrole", "clusterrolebinding"):
        cluster.kubectl("delete", kind, "platform-stand-in", "--ignore-not-found")
    cluster.kubectl("delete", "namespace", PLATFORM, SERVICE, "--ignore-not-found", "--timeout=120s")


@contextmanager
def machine_room(cluster: Cluster) -> Iterator[list[str]]:
    """Boots every node again that goes down; yields the list of those that were booted."""
    stop, booted = threading.Event(), list[str]()

    def watch() -> None:
        while not stop.wait(0.5):
            for name in cluster.nodes:
                if not cluster.is_on(name):
                    cluster.power_on(name)
                    booted.append(name)

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            yield booted
        finally:
            stop.set()
            watching.result()  # raises what went wrong there
