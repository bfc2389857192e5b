"""How we say who we are: tokens, files that are renewed, passwords and plugins; and what is told when that fails."""

import json
import sys
from contextlib import closing
from datetime import timedelta

import pytest

from scenario_runner.adapters.credentials import Plugin
from scenario_runner.adapters.kubeconfig import select
from scenario_runner.adapters.kubernetes_cluster import KubernetesCluster
from scenario_runner.errors import Refused, TargetRefused, TargetUnreachable
from tests.contract.kubeconfigs import at, kubeconfig
from tests.contract.servers import serving
from tests.fakes import FakeClock

UNAUTHORIZED = {"kind": "Status", "apiVersion": "v1", "reason": "Unauthorized", "message": "Unauthorized"}
API = "client.authentication.k8s.io/v1"


class Door:
    """Lets in who says one of the words, and notes what was said."""

    def __init__(self, *words):
        self.heard = []
        self.words = words

    def __call__(self, request):
        said = request.headers["Authorization"]
        self.heard.append(said)
        if said in self.words:
            request.reply(200, {"items": []})
        else:
            request.reply(401, UNAUTHORIZED)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def enter(tmp_path, clock):
    """A cluster behind a door, for a user as a kubeconfig describes one."""

    def enter(door, user, call):
        with serving(door) as url:
            file = kubeconfig(tmp_path / "config", it=at(url, user))
            with closing(KubernetesCluster(select([file], "it"), clock=clock)) as cluster:
                return call(cluster)

    return enter


def plugin(tmp_path, code, **more):
    """A plugin that runs a few lines of Python."""
    script = tmp_path / "plugin.py"
    script.write_text(f"import json, os, sys\n{code}\n")
    return {"exec": {"apiVersion": API, "command": sys.executable, "args": [str(script)], **more}}


def prints(**status):
    credential = {"apiVersion": API, "kind": "ExecCredential", "status": status}
    return f"print({json.dumps(credential)!r})"


def twice(cluster):
    cluster.nodes()
    cluster.nodes()


def test_a_password_is_sent_as_kubectl_does(enter):
    door = Door("Basic bWU6d29yZA==")
    enter(door, {"username": "me", "password": "word"}, twice)


def test_a_token_in_a_file_is_read_anew_each_time(enter, tmp_path):
    door = Door("Bearer one", "Bearer two")
    (tmp_path / "token").write_text("one\n")

    def call(cluster):
        cluster.nodes()
        (tmp_path / "token").write_text("two\n")
        cluster.nodes()

    enter(door, {"tokenFile": "token"}, call)
    assert door.heard == ["Bearer one", "Bearer two"]


def test_a_token_file_that_is_gone_is_told(enter, tmp_path):
    with pytest.raises(TargetUnreachable) as caught:
        enter(Door(), {"tokenFile": "token"}, twice)
    assert str(caught.value) == f"the token in {tmp_path}/token cannot be read: No such file or directory"


def test_a_plugin_is_asked_once_as_long_as_its_token_holds(enter, tmp_path):
    door = Door("Bearer secret")
    counting = f"open({str(tmp_path / 'runs')!r}, 'a').write('x')\n"
    enter(door, plugin(tmp_path, counting + prints(token="secret")), twice)
    assert (tmp_path / "runs").read_text() == "x"


def test_a_plugin_whose_token_has_expired_is_asked_again(enter, tmp_path, clock):
    end = (clock.now() + timedelta(seconds=60)).isoformat().replace("+00:00", "Z")
    runs = tmp_path / "runs"
    code = (
        f"open({str(runs)!r}, 'a').write('x')\n"
        f"end = {{'expirationTimestamp': {end!r}}} if len(open({str(runs)!r}).read()) == 1 else {{}}\n"
        f"print(json.dumps({{'apiVersion': {API!r}, 'status': {{'token': 'secret', **end}}}}))"
    )

    def call(cluster):
        cluster.nodes()
        clock.sleep(49)
        cluster.nodes()
        clock.sleep(2)  # ten seconds before its end
        cluster.nodes()

    enter(Door("Bearer secret"), plugin(tmp_path, code), call)
    assert runs.read_text() == "xx"


def test_a_plugin_whose_token_is_not_accepted_any_more_is_asked_again(enter, tmp_path):
    file = tmp_path / "number"
    code = (
        f"open({str(file)!r}, 'a').write('x'); n = len(open({str(file)!r}).read())\n"
        f"print(json.dumps({{'apiVersion': {API!r}, 'status': {{'token': f'token-{{n}}'}}}}))"
    )
    door = Door("Bearer token-1")

    def call(cluster):
        cluster.nodes()
        door.words = ("Bearer token-2",)
        cluster.nodes()

    enter(door, plugin(tmp_path, code), call)
    assert door.heard == ["Bearer token-1", "Bearer token-1", "Bearer token-2"]


def test_a_plugin_gets_its_environment_and_is_told_about_the_cluster(enter, tmp_path):
    seen = tmp_path / "seen.json"
    code = (
        f"json.dump([os.environ['REGION'], json.loads(os.environ['KUBERNETES_EXEC_INFO'])], open({str(seen)!r}, 'w'))\n"
        + prints(token="secret")
    )
    user = plugin(tmp_path, code, env=[{"name": "REGION", "value": "north"}], provideClusterInfo=True)
    enter(Door("Bearer secret"), user, twice)
    region, info = json.loads(seen.read_text())
    assert (region, info["kind"], info["spec"]["interactive"]) == ("north", "ExecCredential", False)
    assert info["spec"]["cluster"]["server"].startswith("http://127.0.0.1:")


def test_a_plugin_that_is_not_installed_is_told_with_its_hint(enter):
    user = {"exec": {"apiVersion": API, "command": "no-such-login", "installHint": "type apt install no-such-login"}}
    with pytest.raises(TargetUnreachable) as caught:
        enter(Door(), user, twice)
    assert str(caught.value) == (
        "the command 'no-such-login', which logs context it in, is not installed; type apt install no-such-login"
    )


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (
            "sys.exit('first\\nyour session has ended: log in again')",
            "ended with 1: your session has ended: log in again",
        ),
        ("sys.exit(3)", "ended with 3: it says nothing"),
        ("print('hello')", "printed neither a token nor a certificate with its key"),
        (prints(), "printed neither a token nor a certificate with its key"),
        (
            "print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1beta1', 'status': {'token': 'x'}}))",
            "speaks client.authentication.k8s.io/v1beta1, and the kubeconfig asks for client.authentication.k8s.io/v1",
        ),
    ],
)
def test_a_plugin_that_fails_is_told_in_its_own_words(enter, tmp_path, code, says):
    with pytest.raises(TargetUnreachable) as caught:
        enter(Door(), plugin(tmp_path, code), twice)
    assert caught.value.sent is False
    assert str(caught.value) == f"the command {sys.executable!r}, which logs context it in, {says}"


def test_credentials_that_stay_are_not_sent_twice(enter, tmp_path):
    door = Door()
    with pytest.raises(TargetRefused) as caught:
        enter(door, {"token": "old"}, lambda cluster: cluster.nodes())
    assert door.heard == ["Bearer old"]
    assert str(caught.value).endswith(f" does not accept the credentials of it in {tmp_path / 'config'} (401)")


def test_who_acts_as_somebody_else_is_refused_rather_than_taken_for_oneself(enter, tmp_path):
    with pytest.raises(Refused) as caught:
        enter(Door(), {"token": "x", "as": "intern", "as-groups": ["interns"]}, twice)
    assert str(caught.value) == (
        f"user it in {tmp_path / 'config'} acts as somebody else (as, as-groups), which is not supported: "
        "log in as the one who may do it"
    )


def test_a_way_to_log_in_that_kubernetes_dropped_is_told(enter, tmp_path):
    with pytest.raises(Refused) as caught:
        enter(Door(), {"auth-provider": {"name": "gcp"}}, twice)
    assert str(caught.value) == (
        f"user it in {tmp_path / 'config'} logs in by the auth-provider gcp, which Kubernetes does not know any more: "
        "let the cloud's own command write the kubeconfig anew"
    )


def test_of_several_ways_to_log_in_the_same_one_is_taken_as_by_kubectl(enter, tmp_path):
    (tmp_path / "token").write_text("of the file")
    password = {"username": "me", "password": "word"}
    both = {**plugin(tmp_path, prints(token="of the plugin")), **password}
    heard = []
    for user in ({"token": "its own", "tokenFile": "token", **both}, {"token": "its own", **both}, both):
        door = Door()
        with pytest.raises(TargetRefused):
            enter(door, user, lambda cluster: cluster.nodes())
        heard.append(door.heard[0])
    assert heard == ["Bearer of the file", "Bearer its own", "Basic bWU6d29yZA=="]


def test_a_plugin_that_does_not_end_is_ended_and_told(tmp_path):
    marker = tmp_path / "began"
    user = plugin(tmp_path, f"open({str(marker)!r}, 'w').close(); import time; time.sleep(600)")
    file = kubeconfig(tmp_path / "config", it=at("http://127.0.0.1:1", user))
    asked = Plugin(select([file], "it"), FakeClock(), seconds=1)
    with pytest.raises(TargetUnreachable) as caught:
        asked.headers()
    assert str(caught.value) == f"the command {sys.executable!r}, which logs context it in, did not end within 1s"
    assert marker.exists()
