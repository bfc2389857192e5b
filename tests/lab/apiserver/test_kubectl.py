"""A stock kubectl against the server: what an operator types during a drill."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.apiserver.calls import STRATEGIC, Calls, Json, config

KUBECTL = shutil.which("kubectl")
pytestmark = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")
Kubectl = Callable[..., str]

WEB: Json = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "replicas": 1,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main", "image": "server:1"}]},
        },
    },
}


@pytest.fixture
def kubectl(calls: Calls, tmp_path: Path) -> Kubectl:
    def run(*arguments: str, stdin: Json | None = None, code: int = 0) -> str:
        options = ["--server", calls.url, "--namespace", calls.namespace, "--cache-dir", str(tmp_path)]
        command = [str(KUBECTL), *options, "--kubeconfig", "/dev/null", *arguments]
        text = json.dumps(stdin) if stdin else None
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    return run


@pytest.fixture
def node(calls: Calls) -> Iterator[str]:
    """A node that says it is ready; the server waits 60 s for its first heartbeat."""
    name = f"node-{calls.namespace}"
    conditions = [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]
    amounts = {"cpu": "4", "memory": "8Gi", "pods": "10"}
    status = {"conditions": conditions, "allocatable": amounts, "nodeInfo": {"kubeletVersion": "v1.37.2"}}
    labels = {"kubernetes.io/hostname": name, "node-role.kubernetes.io/worker": ""}
    calls.post("/api/v1/nodes", {"metadata": {"name": name, "labels": labels}, "status": status})
    yield name
    calls.delete(f"/api/v1/nodes/{name}")


def run_pod(calls: Calls, node: str, name: str) -> None:
    """A running pod on that node, as a kubelet would report it."""
    spec = {"nodeName": node, "containers": [{"name": "main", "image": "i"}]}
    calls.post(f"{calls.core}/pods", {"metadata": {"name": name, "labels": {"app": "p"}}, "spec": spec})
    state = {"name": "main", "image": "i", "imageID": "", "ready": True, "restartCount": 2}
    state["state"] = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    conditions = [{"type": "Ready", "status": "True"}]
    status = {"phase": "Running", "podIP": "10.244.0.9", "conditions": conditions, "containerStatuses": [state]}
    calls.patch(f"{calls.core}/pods/{name}/status", {"status": status}, STRATEGIC)


def columns(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_get_nodes_shows_state_and_roles(kubectl: Kubectl, node: str) -> None:
    header, row = columns(kubectl("get", "node", node))
    assert header == ["NAME", "STATUS", "ROLES", "AGE", "VERSION"]
    assert [row[0], row[1], row[2], row[4]] == [node, "Ready", "worker", "v1.37.2"]


def test_cordon_and_uncordon_are_seen(kubectl: Kubectl, node: str) -> None:
    assert kubectl("cordon", node) == f"node/{node} cordoned\n"
    assert columns(kubectl("get", "node", node))[1][1] == "Ready,SchedulingDisabled"
    assert kubectl("uncordon", node) == f"node/{node} uncordoned\n"
    assert columns(kubectl("get", "node", node))[1][1] == "Ready"


def test_get_pods_shows_readiness_restarts_and_place(kubectl: Kubectl, calls: Calls, node: str) -> None:
    run_pod(calls, node, "p")
    header, row = columns(kubectl("get", "pods", "-o", "wide", "--no-headers=false"))
    assert header[:5] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert row[:4] == ["p", "1/1", "Running", "2"]
    assert row[5:7] == ["10.244.0.9", node]


def test_drain_evicts_what_a_budget_allows_and_waits_for_the_rest(kubectl: Kubectl, calls: Calls, node: str) -> None:
    run_pod(calls, node, "p")
    budget = {"minAvailable": 1, "selector": {"matchLabels": {"app": "p"}}}
    path = f"/apis/policy/v1/namespaces/{calls.namespace}/poddisruptionbudgets"
    calls.post(path, {"metadata": {"name": "b"}, "spec": budget})
    refused = kubectl("drain", node, "--force", "--timeout", "1s", code=1)
    assert "Cannot evict pod as it would violate the pod's disruption budget." in refused
    calls.delete(f"{path}/b")
    assert "evicting pod" in kubectl("drain", node, "--force", "--timeout", "1s", "--grace-period", "0")
    assert columns(kubectl("get", "node", node))[1][1] == "Ready,SchedulingDisabled"


def test_apply_twice_changes_once_and_rolls_out(kubectl: Kubectl) -> None:
    assert kubectl("apply", "-f", "-", stdin=WEB) == "deployment.apps/web created\n"
    assert kubectl("apply", "-f", "-", stdin=WEB) == "deployment.apps/web unchanged\n"
    header, row = columns(kubectl("get", "deployment", "web"))
    assert header == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert row[:2] == ["web", "0/1"]
    assert kubectl("set", "image", "deployment/web", "main=server:2") == "deployment.apps/web image updated\n"
    assert "2" in kubectl("rollout", "history", "deployment/web")
    assert kubectl("scale", "deployment/web", "--replicas=0") == "deployment.apps/web scaled\n"
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", "--timeout=10s")


def test_describe_shows_events(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=WEB)
    text = kubectl("describe", "deployment", "web")
    assert "Scaled up replica set web-" in text
    header, *rows = columns(kubectl("get", "events"))
    assert header == ["LAST", "SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    assert "ScalingReplicaSet" in [row[2] for row in rows]


def test_label_annotate_patch_and_delete(kubectl: Kubectl, calls: Calls) -> None:
    calls.post(f"{calls.core}/configmaps", config("c"))
    kubectl("label", "configmap", "c", "a=b")
    kubectl("annotate", "configmap", "c", "note=x")
    kubectl("patch", "configmap", "c", "--type", "merge", "-p", '{"data": {"n": "1"}}')
    found = calls.json(f"{calls.core}/configmaps/c")
    assert (found["metadata"]["labels"], found["metadata"]["annotations"]) == ({"a": "b"}, {"note": "x"})
    assert found["data"] == {"a": "1", "n": "1"}
    assert kubectl("delete", "configmap", "c").startswith('configmap "c" deleted')
    assert calls.get(f"{calls.core}/configmaps/c").status_code == 404


def test_an_unknown_field_is_refused_by_name(kubectl: Kubectl) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "dato": {}}
    assert 'unknown field "dato"' in kubectl("create", "-f", "-", stdin=body, code=1)


def test_get_watch_prints_changes_as_they_come(kubectl: Kubectl, calls: Calls, node: str) -> None:
    command = [str(KUBECTL), "--server", calls.url, "--kubeconfig", "/dev/null", "get", "node", node, "-w"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline(), process.stdout.readline()]
        kubectl("cordon", node)
        lines.append(process.stdout.readline())
        process.terminate()
    assert [line.split()[1] for line in lines] == ["STATUS", "Ready", "Ready,SchedulingDisabled"]


def test_what_the_lab_leaves_out_is_said_in_one_sentence(kubectl: Kubectl, calls: Calls, node: str) -> None:
    run_pod(calls, node, "p")
    applied = kubectl("apply", "--server-side", "-f", "-", stdin=WEB, code=1)
    assert "the embedded lab does not implement server-side apply; use a real cluster for it" in applied


def test_logs_are_fetched_from_the_kubelet(kubectl: Kubectl, calls: Calls, logging_node: str) -> None:
    run_pod(calls, logging_node, "p")
    text = kubectl("logs", "p", "--tail", "5")
    assert text.startswith(f"log of /containerLogs/{calls.namespace}/p/main?")
    assert "tailLines=5" in text
    assert "previous terminated container not found" in kubectl("logs", "p", "--previous", code=1)


def test_describe_node_shows_its_taints_and_pods(kubectl: Kubectl, calls: Calls, node: str) -> None:
    run_pod(calls, node, "p")
    kubectl("cordon", node)
    text = kubectl("describe", "node", node)
    assert "Taints:             node.kubernetes.io/unschedulable:NoSchedule" in text
    pods = text.partition("Non-terminated Pods:")[2].partition("Allocated resources:")[0]
    assert [calls.namespace, "p"] in [row[:2] for row in columns(pods)]
