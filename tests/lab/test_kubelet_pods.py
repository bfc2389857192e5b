"""Pods of a real lab: run, crash, are probed, rebooted and deleted."""

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import which

import pytest

from scenario_runner.lab import control
from scenario_runner.lab.lab import Lab
from scenario_runner.lab.processes import start_time
from tests.lab_fixture import Json, LabClient, eventually

pytestmark = pytest.mark.lab

PODS = "/api/v1/namespaces/default/pods"
Run = Callable[..., str]


@pytest.fixture
def run(client: LabClient) -> Iterator[Run]:
    """Create a pod from its container; returns its path. Deleted afterwards."""
    paths: list[str] = []

    def create(name: str, container: Json, **spec: object) -> str:
        full = {"name": "main", "image": "x"} | container
        pod = {"metadata": {"name": name, "labels": {"app": name}}, "spec": {"containers": [full]} | spec}
        client.call("POST", PODS, pod)
        paths.append(f"{PODS}/{name}")
        return paths[-1]

    yield create
    for path in paths:
        if client.get(path) is not None:
            client.call("DELETE", f"{path}?gracePeriodSeconds=0")
        eventually(lambda path=path: client.get(path) is None, f"{path} is gone")


def state(client: LabClient, path: str) -> Json:
    pod = client.get(path)
    assert pod is not None
    rows = pod["status"].get("containerStatuses") or [{"state": {}, "lastState": {}, "restartCount": 0}]
    return rows[0] | {"phase": pod["status"]["phase"]}


def phase(client: LabClient, path: str, wanted: str) -> Json:
    return eventually(lambda: found if (found := state(client, path))["phase"] == wanted else None, f"{path} {wanted}")


def test_a_pod_that_crashes_is_restarted_with_pauses(client: LabClient, run: Run) -> None:
    path = run("crasher", {"command": ["sh", "-c", "echo run; exit 3"]})

    def is_waiting() -> Json | None:
        found = state(client, path)
        is_backed_off = found["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"
        return found if is_backed_off and found["restartCount"] >= 2 else None

    found = eventually(is_waiting, "the pod is in CrashLoopBackOff")
    last = found["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"], found["ready"]) == (3, "Error", False)
    assert client.text("GET", f"{path}/log?previous=true") == "run\n"


def test_a_container_ended_by_a_signal_has_its_number(client: LabClient, run: Run) -> None:
    path = run("shot", {"command": ["sh", "-c", "kill -9 $$"]}, restartPolicy="Never")
    assert phase(client, path, "Failed")["state"]["terminated"]["exitCode"] == 137


def test_a_container_that_can_not_start_says_so(client: LabClient, run: Run) -> None:
    path = run("nothing", {"command": ["/no/such/program"]}, restartPolicy="Never")
    ended = phase(client, path, "Failed")["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (128, "StartError")
    assert ended["message"] == "[Errno 2] No such file or directory: '/no/such/program'"


def test_a_container_sees_its_variables_volumes_and_gpus(client: LabClient, run: Run) -> None:
    data = {"word": "hello", "file.txt": "from a map"}
    maps = "/api/v1/namespaces/default/configmaps"
    client.call("POST", maps, {"metadata": {"name": "seen"}, "data": data})
    script = (
        'echo "$WORD $NAME $(WORD)"; cat /etc/seen/file.txt; echo; echo "$NVIDIA_VISIBLE_DEVICES" | tr , "\\n" | wc -l'
    )
    env = [
        {"name": "WORD", "valueFrom": {"configMapKeyRef": {"name": "seen", "key": "word"}}},
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    container = {
        "command": ["sh", "-c", script],
        "env": env,
        "resources": {"limits": {"nvidia.com/gpu": 1}},
        "volumeMounts": [{"name": "seen", "mountPath": "/etc/seen"}],
    }
    volumes = [{"name": "seen", "configMap": {"name": "seen"}}]
    path = run("seer", container, restartPolicy="Never", volumes=volumes)
    phase(client, path, "Succeeded")
    client.call("DELETE", f"{maps}/seen")
    assert client.text("GET", f"{path}/log") == "hello seer hello\nfrom a map\n1\n"


def test_a_failed_liveness_probe_restarts_the_container(client: LabClient, run: Run) -> None:
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1}
    path = run("ill", {"command": ["sleep", "600"], "livenessProbe": probe})
    found = eventually(lambda: now if (now := state(client, path))["restartCount"] else None, "a restart")
    assert found["lastState"]["terminated"]["exitCode"] == 143


def test_only_ready_pods_get_connections(client: LabClient, run: Run, tmp_path: Path) -> None:
    switch = tmp_path / "ready"
    probe = {"exec": {"command": ["test", "-e", str(switch)]}, "periodSeconds": 1, "failureThreshold": 1}
    server = ["python3", "-m", "http.server", "--bind", "$(POD_IP)", "18080"]
    env = [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
    ports = [{"name": "http", "containerPort": 18080}]
    run("switched", {"command": server, "env": env, "ports": ports, "readinessProbe": probe})
    services = "/api/v1/namespaces/default/services"
    spec = {"selector": {"app": "switched"}, "ports": [{"port": 18081, "targetPort": "http"}]}
    client.call("POST", services, {"metadata": {"name": "switched"}, "spec": spec})
    try:
        host = eventually(
            lambda: client.call("GET", f"{services}/switched")["spec"].get("clusterIP") or None, "an address"
        )
        eventually(lambda: "running" in state(client, f"{PODS}/switched")["state"] or None, "the pod runs")
        assert not is_open(host, 18081)
        switch.touch()
        eventually(lambda: is_open(host, 18081), "the service answers")
        switch.unlink()
        eventually(lambda: not is_open(host, 18081), "the service refuses")
    finally:
        client.call("DELETE", f"{services}/switched")


def test_the_sample_service_answers_every_connection(client: LabClient) -> None:
    service = client.call("GET", "/api/v1/namespaces/dynamo/services/frontend")
    assert [ask_models(service["spec"]["clusterIP"], 8000) for _ in range(30)] == [b"HTTP/1.1 200"] * 30


def ask_models(host: str, port: int) -> bytes:
    with socket.create_connection((host, port), timeout=5) as connection:
        connection.sendall(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
        return connection.recv(12)


def is_open(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=5) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return connection.recv(8) == b"HTTP/1.0"
    except ConnectionError:
        return False


def test_deleting_a_pod_ends_its_processes_before_the_object_goes(client: LabClient, run: Run) -> None:
    script = 'trap "sleep 0.3; echo bye; exit 0" TERM; echo $$; while :; do sleep 0.05; done'
    path = run("polite", {"command": ["sh", "-c", script]})
    pid = int(eventually(lambda: log_of(client, path) or None, "the pod has written its pid"))
    client.call("DELETE", path)
    eventually(lambda: client.get(path) is None, "the pod is gone")
    assert start_time(pid) == ""


def log_of(client: LabClient, path: str) -> str:
    is_running = "running" in state(client, path)["state"]
    return client.text("GET", f"{path}/log") if is_running else ""


def test_a_rebooted_node_has_a_new_boot_id_and_its_pods_are_back(client: LabClient, lab: Lab, run: Run) -> None:
    path = run("rebooted", {"command": ["sh", "-c", "echo $$; exec sleep 600"]}, nodeName="gpu-3")
    pid = int(eventually(lambda: log_of(client, path) or None, "the pod has written its pid"))
    before = boot_ids(client)
    assert control.ask(Path(lab.info.control), "reboot gpu-3") == "ok"
    assert start_time(pid) == ""
    after = eventually(lambda: now if (now := boot_ids(client))["gpu-3"] != before["gpu-3"] else None, "a new boot id")
    assert {name for name in after if after[name] != before[name]} == {"gpu-3"}
    found = eventually(
        lambda: now if (now := state(client, path))["restartCount"] and now["ready"] else None, "the pod is back"
    )
    last = found["lastState"]["terminated"]
    assert (found["restartCount"], last["exitCode"], last["reason"]) == (1, 255, "Unknown")
    deployment = "/apis/apps/v1/namespaces/dynamo/deployments/vllm-decode"
    eventually(lambda: client.call("GET", deployment)["status"].get("readyReplicas") == 3, "the service is whole")
    assert client.call("GET", f"{lab.info.gateway_url}/api/v1/gpus?node_name=gpu-3")["boot_id"] == after["gpu-3"]


def boot_ids(client: LabClient) -> dict[str, str]:
    nodes = client.call("GET", "/api/v1/nodes")["items"]
    return {one["metadata"]["name"]: one["status"]["nodeInfo"]["bootID"] for one in nodes}


def test_a_kubelet_that_was_killed_leaves_no_process_behind(client: LabClient, lab: Lab, run: Run) -> None:
    path = run("orphan", {"command": ["sh", "-c", "echo $$; exec sleep 600"]}, nodeName="gpu-2")
    pid = int(eventually(lambda: log_of(client, path) or None, "the pod has written its pid"))
    control.ask(Path(lab.info.control), "kill kubelet-gpu-2 KILL")
    eventually(lambda: state(client, path)["restartCount"] == 1 or None, "the container was restarted")
    assert start_time(pid) == ""


def test_the_agent_knows_who_holds_a_gpu(client: LabClient, lab: Lab) -> None:
    pods = client.call("GET", "/api/v1/namespaces/dynamo/pods")["items"]
    gateway = f"{lab.info.gateway_url}/api/v1/gpus?node_name="
    seats = [gpu for node in lab.info.nodes for gpu in client.call("GET", gateway + node)["gpus"]]
    held = {one["pod"] for seat in seats for one in seat["held_by"] if one["namespace"] == "dynamo"}
    assert held == {one["metadata"]["name"] for one in pods}


@pytest.mark.skipif(which("kubectl") is None, reason="there is no kubectl here")
def test_kubectl_reads_the_lab(client: LabClient, lab: Lab, run: Run) -> None:
    phase(client, run("talker", {"command": ["echo", "hello"]}, restartPolicy="Never"), "Succeeded")
    rows = [row.split() for row in kubectl(lab, "get", "nodes", "--no-headers").splitlines()]
    assert [row[:2] for row in rows] == [["gpu-1", "Ready"], ["gpu-2", "Ready"], ["gpu-3", "Ready"]]
    assert kubectl(lab, "logs", "talker", "-n", "default") == "hello\n"
    assert "Started container main" in kubectl(lab, "describe", "pod", "talker", "-n", "default")


def kubectl(lab: Lab, *words: str) -> str:
    environment = os.environ | {"KUBECONFIG": lab.info.kubeconfig}
    done = subprocess.run(["kubectl", *words], env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
