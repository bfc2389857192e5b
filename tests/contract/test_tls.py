"""Who an API server is has to be proved; whatever is wrong with a certificate is one sentence."""

import base64
import json
from contextlib import closing

import pytest

from scenario_runner.adapters.kubeconfig import select
from scenario_runner.adapters.kubernetes_cluster import KubernetesCluster
from scenario_runner.errors import TargetRefused, TargetUnreachable
from tests.contract.authority import Registry, server_context
from tests.contract.kubeconfigs import at, kubeconfig
from tests.contract.servers import hanging_up, nobody, serving
from tests.fakes import FakeClock

HERE = "IP:127.0.0.1"


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    return Registry(tmp_path_factory.mktemp("registry"))


@pytest.fixture
def ask(tmp_path, registry):
    """Ask a TLS server for its nodes, as a kubeconfig says."""

    def ask(pair, user=None, clients=None, url="", **cluster):
        trusted = {"certificate-authority": str(registry.cert)} | cluster
        with serving(lambda request: request.reply(200, {"items": []}), server_context(pair, clients)) as there:
            file = kubeconfig(tmp_path / "config", it=at(url or there, user, **trusted))
            with closing(KubernetesCluster(select([file], "it"), clock=FakeClock())) as it:
                try:
                    return it.nodes()
                except (TargetUnreachable, TargetRefused) as error:
                    error.args = (str(error).replace(there, "URL"),)
                    raise

    return ask


def told(call, *arguments, **more):
    with pytest.raises(TargetUnreachable) as caught:
        call(*arguments, **more)
    assert caught.value.sent is False
    return str(caught.value)


def test_a_server_whose_authority_is_named_is_trusted(ask, registry):
    assert ask(registry.pair(HERE)) == ()


def test_an_authority_may_stand_in_the_kubeconfig_itself(ask, registry):
    data = base64.b64encode(registry.cert.read_bytes()).decode()
    assert ask(registry.pair(HERE), **{"certificate-authority": None, "certificate-authority-data": data}) == ()


def test_a_server_that_nobody_vouches_for_is_not_spoken_to(ask, registry, tmp_path):
    stranger = Registry(tmp_path / "stranger", "stranger")
    assert told(ask, stranger.pair(HERE)) == (
        f"the API server at URL shows a certificate that {tmp_path / 'config'} does not trust "
        "(unable to get local issuer certificate)"
    )


def test_a_server_whose_certificate_has_expired_is_told(ask, registry):
    assert told(ask, registry.expired(HERE)) == (
        "the certificate of the API server at URL has expired: who runs it must renew it"
    )


def test_a_server_with_the_certificate_of_another_is_told(ask, registry):
    assert told(ask, registry.pair("DNS:elsewhere")) == (
        "the API server at URL shows a certificate for another name "
        "(IP address mismatch, certificate is not valid for '127.0.0.1')"
    )


def test_the_name_that_a_kubeconfig_expects_counts_where_it_names_one(ask, registry):
    assert ask(registry.pair("DNS:elsewhere"), **{"tls-server-name": "elsewhere"}) == ()


def test_a_server_that_speaks_no_tls_is_told(tmp_path, registry):
    with serving(lambda request: request.reply(200, {"items": []})) as url:
        secure = url.replace("http:", "https:")
        file = kubeconfig(tmp_path / "config", it=at(secure, **{"certificate-authority": str(registry.cert)}))
        with closing(KubernetesCluster(select([file], "it"), clock=FakeClock())) as cluster:
            assert told(cluster.nodes) == (
                f"the API server at {secure} does not speak TLS: its address should begin with http://"
            )


def test_a_server_that_goes_away_in_the_handshake_is_asked_again(tmp_path, registry):
    with hanging_up() as url:
        file = kubeconfig(tmp_path / "config", it=at(url, **{"certificate-authority": str(registry.cert)}))
        clock = FakeClock()
        it = KubernetesCluster(select([file], "it"), clock=clock)
        with closing(it), pytest.raises(TargetUnreachable) as caught:
            it.nodes()
    assert str(caught.value).startswith(f"the connection to the API server at {url} broke off (")
    assert clock.monotonic() > 3


def test_a_client_certificate_is_shown(ask, registry, tmp_path):
    mine = Registry(tmp_path / "people", "people")
    pair = mine.pair("DNS:me")
    user = {"client-certificate": str(pair.cert), "client-key": str(pair.key)}
    assert ask(registry.pair(HERE), user, mine.cert) == ()


def test_a_client_certificate_that_has_expired_is_told_with_its_day(tmp_path, registry):
    people = Registry(tmp_path / "people", "people")
    pair = people.expired("DNS:me")
    user = {"client-certificate": str(pair.cert), "client-key": str(pair.key)}
    refusal = {"kind": "Status", "apiVersion": "v1", "reason": "Unauthorized", "message": "Unauthorized"}
    with serving(lambda request: request.reply(401, refusal), server_context(registry.pair(HERE))) as url:
        file = kubeconfig(tmp_path / "config", it=at(url, user, **{"certificate-authority": str(registry.cert)}))
        it = KubernetesCluster(select([file], "it"), clock=FakeClock())
        with closing(it), pytest.raises(TargetRefused) as caught:
            it.nodes()
    assert str(caught.value) == (
        f"the API server at {url} does not accept the credentials of it in {tmp_path / 'config'}: the client "
        "certificate expired on 2020-01-02 00:00 UTC (401)"
    )


def test_a_client_certificate_may_come_from_a_plugin(ask, registry, tmp_path):
    mine = Registry(tmp_path / "people", "people")
    pair = mine.pair("DNS:me")
    shown = {"clientCertificateData": pair.cert.read_text(), "clientKeyData": pair.key.read_text()}
    file = tmp_path / "credential.json"
    api = "client.authentication.k8s.io/v1"
    file.write_text(json.dumps({"apiVersion": api, "kind": "ExecCredential", "status": shown}))
    user = {"exec": {"apiVersion": api, "command": "cat", "args": [str(file)]}}
    assert ask(registry.pair(HERE), user, mine.cert) == ()


def test_a_proxy_that_is_not_there_is_told(ask, registry):
    with nobody() as proxy:
        said = told(ask, registry.pair(HERE), **{"proxy-url": proxy})
    assert said == (
        f"the API server at URL is not reachable: the proxy {proxy.removeprefix('http://')} does not let us through "
        "(Connection refused)"
    )
