"""A node whose kubelet falls silent is thought lost, and whole again when the kubelet speaks."""

from pathlib import Path

import pytest

from scenario_runner.lab import control
from scenario_runner.lab.lab import Lab
from tests.lab_fixture import Json, LabClient, eventually

pytestmark = pytest.mark.lab

PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture
def steadfast(client: LabClient):
    """A pod on gpu-1 that is never evicted."""
    spec: Json = {
        "nodeName": "gpu-1",
        "tolerations": [{"operator": "Exists"}],
        "containers": [{"name": "main", "image": "x", "command": ["sleep", "600"]}],
    }
    client.call("POST", PODS, {"metadata": {"name": "steadfast"}, "spec": spec})
    yield f"{PODS}/steadfast"
    client.call("DELETE", f"{PODS}/steadfast?gracePeriodSeconds=0")
    eventually(lambda: client.get(f"{PODS}/steadfast") is None, "the pod is gone")


def readiness(client: LabClient, path: str) -> str:
    pod = client.get(path)
    assert pod is not None
    return next((one["status"] for one in pod["status"].get("conditions", []) if one["type"] == "Ready"), "")


def is_whole(client: LabClient) -> bool:
    node = client.get("/api/v1/nodes/gpu-1")
    assert node is not None
    pods = client.call("GET", "/api/v1/namespaces/dynamo/pods")["items"]
    ready = [readiness(client, f"/api/v1/namespaces/dynamo/pods/{one['metadata']['name']}") for one in pods]
    return not node["spec"].get("taints") and ready == ["True"] * 3


def test_pods_are_ready_again_after_their_kubelet_was_silent(lab: Lab, client: LabClient, steadfast: str) -> None:
    keeper = Path(lab.info.control)
    eventually(lambda: readiness(client, steadfast) == "True", "the pod is ready")
    control.ask(keeper, "kill kubelet-gpu-1 STOP")
    try:
        eventually(lambda: readiness(client, steadfast) == "False", "the node is thought lost")
    finally:
        control.ask(keeper, "kill kubelet-gpu-1 CONT")
    eventually(lambda: readiness(client, steadfast) == "True", "the pod is ready again")
    eventually(lambda: is_whole(client), "the node takes pods again, and the service has all of its own")
