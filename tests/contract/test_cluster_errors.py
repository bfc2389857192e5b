"""Everything that can go wrong between us and an API server becomes one of our errors, in a sentence, and in time."""

import inspect
from contextlib import closing

import pytest

from scenario_runner.adapters.kubernetes_cluster import KubernetesCluster
from scenario_runner.core.ports import Cluster, Edit, ObjectRef
from scenario_runner.errors import Refused, TargetRefused, TargetUnreachable
from tests.contract.clusters import write_kubeconfig
from tests.contract.servers import mute, nobody, resetting, serving
from tests.fakes import FakeClock

NODE = ObjectRef("v1", "Node", "", "gpu-1", "uid")
CALLS = {
    "identity": lambda cluster: cluster.identity(),
    "namespaces": lambda cluster: cluster.namespaces(),
    "node": lambda cluster: cluster.node("gpu-1"),
    "nodes": lambda cluster: cluster.nodes("a=b"),
    "pods": lambda cluster: cluster.pods("dynamo", "a=b"),
    "workload": lambda cluster: cluster.workload("deployment", "dynamo", "web"),
    "workloads": lambda cluster: cluster.workloads("dynamo"),
    "service": lambda cluster: cluster.service("dynamo", "web"),
    "node_names": lambda cluster: cluster.node_names(),
    "services": lambda cluster: cluster.services("dynamo"),
    "budgets": lambda cluster: cluster.budgets(),
    "logs": lambda cluster: cluster.logs("dynamo", "web-1", previous=False, max_bytes=100),
    "describe": lambda cluster: cluster.describe("node", "", "gpu-1"),
    "read": lambda cluster: cluster.read(ObjectRef("leases.io/v1", "Thing", "", "x")),
    "claim": lambda cluster: cluster.claim(NODE, "run/1"),
    "edit_claimed": lambda cluster: cluster.edit_claimed(NODE, "run/1", (Edit(("spec", "unschedulable"), None, True),)),
    "create": lambda cluster: cluster.create(ObjectRef("v1", "ConfigMap", "dynamo", "x"), "run/1", {}),
    "delete": lambda cluster: cluster.delete(NODE),
    "refuses_pod": lambda cluster: cluster.refuses_pod("dynamo", {"metadata": {}, "spec": {"containers": []}}),
    "edit": lambda cluster: cluster.edit(NODE, "1", (Edit(("spec", "unschedulable"), None, True),)),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())


@pytest.fixture
def ask(tmp_path):
    """Ask a server by its URL."""

    def ask(url, call, timeout=5.0, token=""):
        kubeconfig = write_kubeconfig(tmp_path, url, token)
        with closing(KubernetesCluster(kubeconfig, timeout=timeout, clock=FakeClock())) as cluster:
            return call(cluster)

    return ask


def refusing(status, reason="", message=""):
    return serving(lambda request: request.reply(status, {"kind": "Status", "reason": reason, "message": message}))


def test_every_method_of_the_port_is_asked_below():
    methods = {name for name, one in inspect.getmembers(Cluster, inspect.isfunction) if not name.startswith("_")}
    assert methods == {*CALLS, "follow"}


@every_call
def test_a_server_that_does_not_answer_costs_no_more_than_the_timeout(ask, call):
    with mute() as url, pytest.raises(TargetUnreachable) as caught:
        ask(url, call, timeout=0.1)
    assert (caught.value.sent, str(caught.value)) == (True, f"the API server at {url} did not answer within 0.1s")


@every_call
def test_a_server_that_is_not_there_is_told_with_its_address(ask, call):
    with nobody() as url, pytest.raises(TargetUnreachable) as caught:
        ask(url, call)
    assert (caught.value.sent, str(caught.value)) == (
        False, f"the API server at {url} is not reachable (Connection refused)",
    )  # fmt: skip


@every_call
def test_a_connection_that_breaks_again_and_again_is_told(ask, call):
    with resetting() as url, pytest.raises(TargetUnreachable) as caught:
        ask(url, call)
    assert caught.value.sent
    assert str(caught.value) == (
        f"the connection to the API server at {url} broke off (Remote end closed connection without response)"
    )


@pytest.mark.parametrize("call", [CALLS["node"], CALLS["nodes"], CALLS["edit"]])
@pytest.mark.parametrize("status", [401, 403, 404, 409, 500])
def test_no_message_shows_the_path_of_the_servers_address(ask, call, status):
    """A lab's address has a secret in it, and messages are printed and kept in reports."""
    with refusing(status, "Reason", "a message") as url:
        try:
            call_ended = str(ask(f"{url}/a-secret", call, timeout=0.2))
        except (TargetRefused, TargetUnreachable) as error:
            call_ended = str(error)
    assert "a-secret" not in call_ended


@every_call
def test_credentials_that_are_not_accepted_are_told_with_the_file_they_come_from(ask, call, tmp_path):
    with refusing(401, "Unauthorized", "Unauthorized") as url, pytest.raises(TargetRefused) as caught:
        ask(url, call)
    assert str(caught.value) == (
        f"the API server at {url} does not accept the credentials of me in {tmp_path / 'kubeconfig'} (401)"
    )


@pytest.mark.parametrize("call", [one for name, one in CALLS.items() if name != "refuses_pod"])
def test_what_is_not_allowed_is_told_in_the_words_of_the_server(ask, call):
    with (
        refusing(403, "Forbidden", 'nodes is forbidden: User "me" cannot list nodes') as url,
        pytest.raises(TargetRefused) as caught,
    ):
        ask(url, call)
    assert caught.value.code == "Forbidden"
    assert str(caught.value).startswith(f"the API server at {url} does not allow ")
    assert str(caught.value).endswith(': nodes is forbidden: User "me" cannot list nodes')


def test_a_webhook_that_takes_no_dry_runs_says_nothing_about_a_pod(ask):
    text = 'admission webhook "a.example.com" does not support dry run'
    with refusing(400, "BadRequest", text) as url:
        assert ask(url, CALLS["refuses_pod"]) == ""


def test_why_a_pod_would_not_be_admitted_is_an_answer_in_the_words_of_the_server(ask):
    with refusing(403, "Forbidden", 'pods "x" is forbidden: violates PodSecurity "restricted:latest"') as url:
        told = ask(url, CALLS["refuses_pod"])
    assert told.endswith(': pods "x" is forbidden: violates PodSecurity "restricted:latest"')


@every_call
@pytest.mark.parametrize(("status", "sent"), [(429, False), (500, True), (503, True)])
def test_a_server_in_trouble_is_worth_another_try(ask, call, status, sent):
    with refusing(status, "Trouble", "etcd is slow") as url, pytest.raises(TargetUnreachable) as caught:
        ask(url, call)
    assert caught.value.sent is sent
    assert str(caught.value).startswith(f"the API server at {url} answered {status} to ")
    assert str(caught.value).endswith(": etcd is slow")


@pytest.mark.parametrize("call", [one for name, one in CALLS.items() if name != "logs"])
def test_what_is_no_api_server_is_recognised(ask, call):
    with (
        serving(lambda request: request.reply(200, "<html>hello</html>")) as url,
        pytest.raises(TargetRefused) as caught,
    ):
        ask(url, call)
    assert caught.value.code == "NotKubernetes"


def test_the_token_of_the_kubeconfig_is_sent(ask):
    seen = []

    def answer(request):
        seen.append(request.headers["Authorization"])
        request.reply(200, {"items": []})

    with serving(answer) as url:
        ask(url, lambda cluster: cluster.nodes(), token="secret")
    assert seen == ["Bearer secret"]


def test_a_kubeconfig_that_does_not_exist_is_told(tmp_path):
    with pytest.raises(Refused) as caught:
        KubernetesCluster(tmp_path / "nothing")
    assert str(caught.value).startswith(f"kubeconfig {tmp_path / 'nothing'} cannot be used: ")


@pytest.mark.parametrize("text", ["", "- 1", "kind: Config\n", "a: [", '{"current-context": "x"}'])
def test_a_kubeconfig_that_is_none_is_told(tmp_path, text):
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(Refused) as caught:
        KubernetesCluster(path)
    assert str(caught.value).startswith(f"kubeconfig {path} cannot be used: ")


def test_a_kind_of_workload_that_does_not_exist_is_told_with_those_that_do(ask):
    with nobody() as url, pytest.raises(TargetRefused) as caught:
        ask(url, lambda cluster: cluster.workload("deploy", "dynamo", "web"))
    assert str(caught.value) == (
        "deploy is no kind of workload; there are deployment, statefulset, daemonset, leaderworkerset,"
        " dynamographdeployment"
    )


def test_a_result_that_the_server_finds_invalid_is_no_conflict(ask):
    node = {"metadata": {"uid": "uid", "resourceVersion": "1", "name": "gpu-1"}, "spec": {}}

    def answer(request):
        if request.command == "PATCH":
            request.reply(422, {"kind": "Status", "reason": "Invalid", "message": "spec.unschedulable: not a word"})
        else:
            request.reply(200, node)

    with serving(answer) as url, pytest.raises(TargetRefused) as caught:
        ask(url, CALLS["edit"])
    assert caught.value.code == "Invalid"
    assert str(caught.value) == "the API server refuses PATCH /api/v1/nodes/gpu-1: spec.unschedulable: not a word"


def test_an_object_that_changes_between_the_look_and_the_patch_is_a_conflict(ask):
    versions = iter(["1", "2"])

    def answer(request):
        if request.command == "PATCH":
            request.reply(422, {"kind": "Status", "reason": "Invalid", "message": "test failed"})
        else:
            request.reply(200, {"metadata": {"uid": "uid", "resourceVersion": next(versions), "name": "gpu-1"}})

    with serving(answer) as url, pytest.raises(TargetRefused) as caught:
        ask(url, CALLS["edit"])
    assert (caught.value.code, str(caught.value)) == ("Conflict", "Node gpu-1 has changed since it was read")


def test_the_patch_tests_uid_and_version_before_it_changes_anything(ask):
    bodies = []
    node = {"metadata": {"uid": "uid", "resourceVersion": "1", "name": "gpu-1"}, "spec": {}}

    def answer(request):
        if request.command == "PATCH":
            bodies.append((request.headers["Content-Type"], request.body))
        request.reply(200, node)

    with serving(answer) as url:
        ask(url, CALLS["edit"])
    assert bodies == [
        (
            "application/json-patch+json",
            b'[{"op": "test", "path": "/metadata/uid", "value": "uid"}, '
            b'{"op": "test", "path": "/metadata/resourceVersion", "value": "1"}, '
            b'{"op": "add", "path": "/spec/unschedulable", "value": true}]',
        )
    ]
