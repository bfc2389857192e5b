"""Which cluster a kubeconfig means, and a sentence for everything that is wrong with one."""

import os

import pytest

from scenario_runner.adapters.kubeconfig import context_names, in_cluster, kubeconfig_files, select
from scenario_runner.errors import Refused
from tests.contract.kubeconfigs import at, kubeconfig

HERE = "https://127.0.0.1:6443"


def refused(call):
    with pytest.raises(Refused) as caught:
        call()
    return str(caught.value)


def test_the_context_that_is_asked_for_is_taken_not_the_current_one(tmp_path):
    file = kubeconfig(tmp_path / "config", current="dev", dev=at("https://dev:6443"), prod=at("https://prod:6443"))
    assert select([file], "prod").server == "https://prod:6443"
    assert select([file], None).server == "https://dev:6443"


def test_of_several_files_the_first_that_names_a_thing_wins(tmp_path):
    first = kubeconfig(tmp_path / "first", a=at("https://first:1"))
    second = kubeconfig(tmp_path / "second", a=at("https://second:1"), b=at("https://second:2"))
    assert select([first, second], "a").server == "https://first:1"
    assert select([first, second], "b").server == "https://second:2"
    assert select([first, second], None).context == "a"
    assert context_names([first, second]) == ("a", "b")


def test_files_that_a_kubeconfig_names_are_found_beside_it(tmp_path):
    user = {"client-certificate": "me.pem", "client-key": "/keys/me.key"}
    file = kubeconfig(tmp_path / "sub" / "config", it=at(HERE, user, **{"certificate-authority": "../ca.pem"}))
    chosen = select([file], "it")
    assert chosen.user == {"client-certificate": str(tmp_path / "sub" / "me.pem"), "client-key": "/keys/me.key"}
    assert chosen.cluster["certificate-authority"] == f"{tmp_path}/sub/../ca.pem"


def test_an_unknown_context_is_told_with_what_was_probably_meant_and_what_there_is(tmp_path):
    file = kubeconfig(tmp_path / "config", prod=at(HERE), staging=at(HERE))
    assert refused(lambda: select([file], "prd")) == (
        f"there is no context prd in {file}: did you mean prod? the contexts are prod, staging"
    )
    assert refused(lambda: select([file], "x")) == f"there is no context x in {file}: the contexts are prod, staging"


def test_a_context_whose_cluster_or_user_is_missing_is_told(tmp_path):
    file = tmp_path / "config"
    file.write_text(
        "clusters: [{name: c, cluster: {server: 'https://x'}}]\n"
        "contexts: [{name: a, context: {cluster: gone}}, {name: b, context: {cluster: c, user: gone}}]\n"
    )
    assert refused(lambda: select([file], "a")) == f"context a in {file} names the cluster 'gone', which is not there"
    assert refused(lambda: select([file], "b")) == f"context b in {file} names the user 'gone', which is not there"


@pytest.mark.parametrize(
    ("cluster", "says"),
    [
        ({}, "names a cluster without a server"),
        ({"server": "ftp://x"}, "names the server ftp://x, which is no http or https address"),
        (
            {"server": "http://10.0.0.1:8080"},
            "names http://10.0.0.1:8080 without TLS: anybody on the way could be the API server",
        ),
        (
            {"server": HERE, "insecure-skip-tls-verify": True},
            "asks not to verify the API server (insecure-skip-tls-verify): a drill must be sure which cluster it "
            "acts on; give its certificate-authority instead",
        ),
    ],
)
def test_a_server_that_nobody_can_be_sure_of_is_refused(tmp_path, cluster, says):
    file = kubeconfig(tmp_path / "config", it={"cluster": cluster})
    assert refused(lambda: select([file], "it")) == f"context it in {file} {says}"


def test_the_file_of_the_command_line_goes_before_those_of_the_environment(tmp_path):
    given = kubeconfig(tmp_path / "given", it=at(HERE))
    other = kubeconfig(tmp_path / "other", it=at(HERE))
    assert kubeconfig_files(given, {"KUBECONFIG": str(other)}) == (given,)


def test_files_of_the_environment_that_do_not_exist_are_left_out(tmp_path):
    there = kubeconfig(tmp_path / "there", it=at(HERE))
    assert kubeconfig_files(None, {"KUBECONFIG": f"{tmp_path / 'gone'}{os.pathsep}{there}"}) == (there,)


def test_without_both_the_usual_file_is_taken(tmp_path):
    usual = kubeconfig(tmp_path / ".kube" / "config", it=at(HERE))
    assert kubeconfig_files(None, {"HOME": str(tmp_path)}) == (usual,)


def test_no_kubeconfig_at_all_is_told_with_the_places_that_were_looked_at(tmp_path):
    assert refused(lambda: kubeconfig_files(tmp_path / "none", {})) == f"there is no kubeconfig {tmp_path / 'none'}"
    assert refused(lambda: kubeconfig_files(None, {"KUBECONFIG": "/no/where"})) == (
        "KUBECONFIG names no file that exists: /no/where"
    )
    assert refused(lambda: kubeconfig_files(None, {"HOME": str(tmp_path)})) == (
        f"there is no kubeconfig: neither --kubeconfig nor KUBECONFIG is given, and {tmp_path}/.kube/config "
        "does not exist"
    )


def test_a_pod_finds_its_own_cluster_and_service_account(tmp_path):
    (tmp_path / "token").write_text("mine")
    environment = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    chosen = in_cluster(environment, tmp_path)
    assert chosen is not None
    assert (chosen.context, chosen.server) == ("in-cluster", "https://10.96.0.1:443")
    assert chosen.user == {"tokenFile": str(tmp_path / "token")}
    assert chosen.cluster["certificate-authority"] == str(tmp_path / "ca.crt")
    assert in_cluster(environment | {"KUBERNETES_SERVICE_HOST": "fd00::1"}, tmp_path).server == "https://[fd00::1]:443"


def test_outside_of_pods_there_is_no_own_cluster(tmp_path):
    assert in_cluster({}, tmp_path) is None
    assert in_cluster({"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}, tmp_path) is None


def test_the_address_for_people_shows_neither_a_path_nor_a_password(tmp_path):
    file = kubeconfig(tmp_path / "config", it=at("https://me:word@127.0.0.1:6443/secret/path"))
    assert select([file], "it").address == "https://127.0.0.1:6443"
