"""Which cluster a command acts on, by its context, from inside a pod, and again for the sake of an earlier run."""

import pytest

from scenario_runner.app.backend import again, backend, real
from scenario_runner.app.clusters import WAYS, choose_context, connect, way_to_services
from scenario_runner.app.place import AgentWish, Place
from scenario_runner.cli import main
from scenario_runner.engine.run_card import RunCard
from scenario_runner.errors import Refused, TargetUnreachable, WrongCommand
from tests.app.small_api import UID, SmallApi, status
from tests.contract.kubeconfigs import at, kubeconfig
from tests.contract.servers import nobody, serving

ELSEWHERE = AgentWish("http://127.0.0.1:1")


def card(identity, file, context="prod"):
    where = ("cluster prod", str(file), "http://127.0.0.1:1", "")
    return RunCard("run-a", "drill", "d.yaml", "0" * 64, identity, *where, (), context=context)


def close(found):
    found.cluster.close()
    found.agent.close()


def test_a_cluster_is_told_by_context_address_and_identity(tmp_path):
    with serving(SmallApi()) as url:
        file = kubeconfig(tmp_path / "config", prod=at(f"{url}/a-secret"))
        with pytest.raises(Exception, match="does not exist"):  # the path belongs to the address: nothing is there
            real(Place(context="prod", kubeconfig=file, agent=ELSEWHERE))
        file = kubeconfig(tmp_path / "config", prod=at(url))
        found = real(Place(context="prod", kubeconfig=file, agent=ELSEWHERE))
        close(found)
    assert (found.words, found.identity, found.is_lab) == (f"cluster prod at {url}", UID, False)
    assert found.agents == "fault agents at http://127.0.0.1:1"
    assert (found.address.kubeconfig, found.address.context) == (str(file), "prod")


def test_a_server_that_is_not_there_is_told_without_the_path_of_its_address(tmp_path):
    with nobody() as url:
        file = kubeconfig(tmp_path / "config", prod=at(f"{url}/a-secret"))
        with pytest.raises(TargetUnreachable) as caught:
            connect(Place(context="prod", kubeconfig=file))
    assert str(caught.value) == f"the API server at {url} is not reachable (Connection refused)"


def test_a_cluster_that_may_not_be_asked_who_it_is_is_told_with_what_grants_it(tmp_path):
    forbidden = {"/api/v1/namespaces/kube-system": status(403, "Forbidden", "namespaces is forbidden")}
    with serving(SmallApi(forbidden)) as url:
        file = kubeconfig(tmp_path / "config", prod=at(url))
        with pytest.raises(Refused) as caught:
            connect(Place(context="prod", kubeconfig=file))
    assert str(caught.value) == (
        "we may not get namespaces kube-system, by which clusters are told apart: the ClusterRole scenario-runner "
        "(Helm chart agent/deploy/runner) grants it"
    )


def test_the_command_line_offers_every_way_to_services():
    offered = next(one for one in main.commands["run"].params if one.name == "reach")
    assert tuple(offered.type.choices) == WAYS


def test_a_login_that_fails_is_a_reason_not_to_begin(tmp_path):
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-login"}}
    file = kubeconfig(tmp_path / "config", prod=at("https://127.0.0.1:1", user))
    with pytest.raises(Refused) as caught:
        connect(Place(context="prod", kubeconfig=file))
    assert str(caught.value) == "the command 'no-such-login', which logs context prod in, is not installed"


def test_without_a_context_a_pod_is_in_its_own_cluster(tmp_path):
    (tmp_path / "token").write_text("mine")
    pod = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    assert choose_context(Place(), pod, tmp_path).context == "in-cluster"
    assert choose_context(Place(context="in-cluster"), pod, tmp_path).context == "in-cluster"
    file = kubeconfig(tmp_path / "config", prod=at("https://127.0.0.1:1"))
    assert choose_context(Place(context="prod", kubeconfig=file), pod, tmp_path).context == "prod"


def test_a_kubeconfig_alone_does_not_say_which_cluster_is_meant(tmp_path):
    file = kubeconfig(tmp_path / "config", dev=at("https://127.0.0.1:1"), prod=at("https://127.0.0.1:2"))
    with pytest.raises(WrongCommand) as caught:
        choose_context(Place(kubeconfig=file), {})
    assert str(caught.value) == (
        "say which cluster is meant: --lab for one on this machine, or --context NAME (dev, prod)"
    )


def test_a_lab_and_a_context_are_two_clusters():
    with pytest.raises(WrongCommand) as caught, backend(Place(use_lab=True, context="prod")):
        raise AssertionError
    assert str(caught.value) == "--lab and --context are two clusters: keep one"


@pytest.mark.parametrize(
    ("wish", "inside", "way"),
    [("auto", True, "direct"), ("auto", False, "api-proxy"), ("node-port", False, "node-port")],
)
def test_services_are_reached_straight_inside_and_through_the_api_server_outside(wish, inside, way):
    assert way_to_services(wish, inside=inside) == way


def test_the_cluster_of_an_earlier_run_is_found_again(tmp_path):
    with serving(SmallApi()) as url:
        file = kubeconfig(tmp_path / "config", prod=at(url))
        found = again(card(UID, file))
        close(found)
    assert (found.identity, found.address.context) == (UID, "prod")


def test_another_cluster_under_the_same_context_is_left_alone(tmp_path):
    with serving(SmallApi()) as url:
        file = kubeconfig(tmp_path / "config", prod=at(url))
        with pytest.raises(Refused) as caught:
            again(card("another-uid", file))
    assert str(caught.value) == f"context prod is another cluster by now: {UID}, the run's was another-uid"
