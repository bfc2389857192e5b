"""The server as a whole: discovery, tables, custom resources, refusals, tokens, logs, start and end."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scenario_runner.lab.apiserver.cells import duration
from tests.lab.apiserver.calls import Calls, Json, config, pod

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
CRD: Json = {
    "metadata": {"name": "ws.ct.io"},
    "spec": {
        "group": "ct.io",
        "names": {"plural": "ws", "singular": "w", "kind": "W", "listKind": "WList"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "additionalPrinterColumns": [
                    {"name": "Size", "type": "integer", "jsonPath": ".spec.n"},
                    {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
                ],
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["n"],
                                "properties": {"n": {"type": "integer", "minimum": 1}},
                            },
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}


def test_the_version_is_that_of_the_server_that_is_imitated(calls: Calls) -> None:
    assert calls.json("/version")["gitVersion"] == "v1.37.2"


def test_discovery_lists_groups_and_resources(calls: Calls) -> None:
    groups = {one["name"] for one in calls.json("/apis")["groups"]}
    assert groups >= {"apps", "policy", "coordination.k8s.io", "discovery.k8s.io", "events.k8s.io"}
    names = {one["name"] for one in calls.json("/api/v1")["resources"]}
    assert names >= {"nodes", "pods", "pods/eviction", "pods/log", "pods/binding", "services", "secrets"}


def test_openapi_tells_kubectl_that_the_server_validates(calls: Calls) -> None:
    assert "apis/apps/v1" in calls.json("/openapi/v3")["paths"]
    document = calls.json("/openapi/v3/apis/apps/v1")
    path = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]
    assert "fieldValidation" in [one["name"] for one in path["patch"]["parameters"]]
    assert "io.k8s.api.apps.v1.Deployment" in document["components"]["schemas"]


def test_a_table_has_the_columns_of_a_pod(calls: Calls) -> None:
    calls.post(f"{calls.core}/pods", pod("p"))
    table = calls.get(f"{calls.core}/pods", Accept=TABLE).json()
    shown = [one["name"] for one in table["columnDefinitions"] if one["priority"] == 0]
    assert (table["kind"], shown) == ("Table", ["Name", "Ready", "Status", "Restarts", "Age"])
    assert table["rows"][0]["cells"][:4] == ["p", "0/1", "Pending", "0"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (185, "3m5s"),
        (3599, "59m"),
        (3 * 3600 + 300, "3h5m"),
        (9 * 3600, "9h"),
        (50 * 3600, "2d2h"),
        (10 * 86400, "10d"),
    ],
)
def test_an_age_is_written_as_kubectl_writes_it(seconds: int, text: str) -> None:
    assert duration(seconds) == text


@pytest.fixture
def custom(calls: Calls) -> Iterator[str]:
    """The path of a custom resource in the test's namespace."""
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    assert calls.post(crds, CRD).status_code == 201
    yield f"/apis/ct.io/v1/namespaces/{calls.namespace}/ws"
    calls.delete(f"{crds}/ws.ct.io")


def test_a_custom_resource_is_served_and_checked_by_its_schema(calls: Calls, custom: str) -> None:
    refused = calls.post(custom, {"metadata": {"name": "w"}, "spec": {"n": 0}})
    assert refused.status_code == 422
    assert refused.json()["message"] == (
        'W.ct.io "w" is invalid: spec.n: Invalid value: 0: should be greater than or equal to 1'
    )
    missing = calls.post(custom, {"metadata": {"name": "w"}, "spec": {}})
    assert missing.json()["message"] == 'W.ct.io "w" is invalid: spec.n: Required value'
    created = calls.post(custom, {"metadata": {"name": "w"}, "spec": {"n": 2, "unknown": 1}})
    assert (created.status_code, created.json()["spec"]) == (201, {"n": 2})


def test_a_custom_resource_has_a_status_and_columns_of_its_own(calls: Calls, custom: str) -> None:
    calls.post(custom, {"metadata": {"name": "w"}, "spec": {"n": 2}})
    status = {"conditions": [{"type": "Ready", "status": "True"}], "free": "form"}
    patched = calls.patch(f"{custom}/w/status", {"status": status, "spec": {"n": 9}}).json()
    assert (patched["spec"], patched["status"], patched["metadata"]["generation"]) == ({"n": 2}, status, 1)
    table = calls.get(custom, Accept=TABLE).json()
    assert [one["cells"] for one in table["rows"]] == [["w", 2, "True"]]


def test_a_custom_resource_takes_no_strategic_patch(calls: Calls, custom: str) -> None:
    calls.post(custom, {"metadata": {"name": "w"}, "spec": {"n": 2}})
    response = calls.patch(f"{custom}/w", {"spec": {"n": 3}}, "application/strategic-merge-patch+json")
    assert (response.status_code, response.json()["reason"]) == (415, "UnsupportedMediaType")


def test_custom_objects_go_with_their_definition(calls: Calls, custom: str) -> None:
    calls.post(custom, {"metadata": {"name": "w"}, "spec": {"n": 2}})
    calls.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/ws.ct.io")
    assert calls.get(custom).status_code == 404
    calls.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", CRD)
    assert calls.json(custom)["items"] == []


def test_everybody_may_do_everything(calls: Calls) -> None:
    attributes = {"resourceAttributes": {"verb": "delete", "resource": "nodes"}}
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    response = calls.post(path, {"spec": attributes})
    assert response.status_code == 201
    assert response.json()["status"]["allowed"] is True


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("pods/p/exec", "exec"),
        ("pods/p/attach", "attach"),
        ("pods/p/portforward", "port-forward"),
        ("pods/p/proxy/x", "the proxy subresource"),
    ],
)
def test_what_is_left_out_says_so(calls: Calls, path: str, what: str) -> None:
    response = calls.post(f"{calls.core}/{path}", {})
    assert (response.status_code, response.json()["message"]) == (
        501,
        f"the embedded lab does not implement {what}; use a real cluster for it",
    )


def test_rbac_and_server_side_apply_are_left_out(calls: Calls) -> None:
    assert calls.get("/apis/rbac.authorization.k8s.io/v1/clusterroles").status_code == 501
    response = calls.patch(f"{calls.core}/configmaps/c?fieldManager=m", config("c"), "application/apply-patch+yaml")
    assert (response.status_code, response.json()["message"]) == (
        501,
        "the embedded lab does not implement server-side apply; use a real cluster for it",
    )


def test_protobuf_is_refused_and_yaml_is_read(calls: Calls) -> None:
    path = f"{calls.core}/configmaps"
    assert calls.send(path, b"k8s\0...", "application/vnd.kubernetes.protobuf").status_code == 415
    assert calls.send(path, b"metadata: {name: y}\ndata: {a: b}\n", "application/yaml").status_code == 201


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("get", "/api/v1/bogus", 404),
        ("get", "/apis/nowhere.io/v1", 404),
        ("get", "/api/v1/namespaces/default/pods/p/bogus", 404),
        ("delete", "/api/v1/namespaces/default/pods/p/binding", 405),
    ],
)
def test_a_path_that_is_not_served_is_a_status(calls: Calls, method: str, path: str, code: int) -> None:
    response = getattr(calls, method)(path)
    assert (response.status_code, response.json()["kind"]) == (code, "Status")


def test_logs_come_from_the_kubelet_of_the_pod(calls: Calls, logging_node: str) -> None:
    body = pod("p")
    body["spec"]["nodeName"] = logging_node
    calls.post(f"{calls.core}/pods", body)
    response = calls.get(f"{calls.core}/pods/p/log?tailLines=5")
    assert (response.status_code, response.text) == (200, f"log of /containerLogs/{calls.namespace}/p/c?tailLines=5\n")
    refused = calls.get(f"{calls.core}/pods/p/log?previous=true")
    assert (refused.status_code, refused.json()["message"]) == (400, "previous terminated container not found")
    unknown = calls.get(f"{calls.core}/pods/p/log?container=x")
    assert (unknown.status_code, unknown.json()["message"]) == (400, "container x is not valid for pod p")


def test_a_pod_without_a_node_has_no_log(calls: Calls) -> None:
    calls.post(f"{calls.core}/pods", pod("p", labels={}))
    response = calls.get(f"{calls.core}/pods/p/log")
    assert (response.status_code, response.json()["message"]) == (400, 'pod "p" does not have a host assigned')


FORKING = """
import os, sys
from scenario_runner.lab.apiserver.main import main
child = os.fork()
if child == 0:
    os._exit(main(["--listen", "127.0.0.1:0"]))
print(child, flush=True)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_main_serves_in_a_freshly_forked_child() -> None:
    with subprocess.Popen([sys.executable, "-c", FORKING], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child, ready = int(parent.stdout.readline()), parent.stdout.readline()
        with Calls(ready.removeprefix("ready ").strip(), "default") as calls:
            assert calls.get("/readyz").text == "ok"
        os.kill(child, signal.SIGTERM)
        assert parent.wait(10) == 0


def start(*options: str) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "scenario_runner.lab.apiserver", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("ready http://127.0.0.1:")
    return process, line.removeprefix("ready ").strip()


def test_a_server_with_a_token_lets_nobody_else_in(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret\n")
    process, url = start("--token-file", str(token))
    with process:
        with Calls(url, "default") as stranger:
            assert stranger.get("/readyz").text == "ok"
            assert stranger.get("/api/v1/nodes").json() == {
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Failure",
                "message": "Unauthorized",
                "reason": "Unauthorized",
                "code": 401,
            }
        with Calls(url, "default", "secret") as friend:
            assert friend.get("/api/v1/nodes").status_code == 200
        process.terminate()
        assert process.wait(10) == 0


def test_sigterm_ends_open_watches_and_the_server() -> None:
    process, url = start()
    ended: list[list[Json]] = []
    with process, Calls(url, "default") as calls:
        watch = threading.Thread(
            target=lambda: ended.append(calls.watch_to_end("/api/v1/namespaces?watch=1")), daemon=True
        )
        watch.start()
        with Calls(url, "default") as other:
            other.watch("/api/v1/namespaces", lambda: None, 1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        watch.join(10)
    assert len(ended) == 1
