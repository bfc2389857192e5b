"""The ways through a proxy: one that the kubeconfig names, or one of the environment, as kubectl takes them."""

from contextlib import closing

import pytest

from scenario_runner.adapters.kubeconfig import select
from scenario_runner.adapters.kubernetes_access import Access
from scenario_runner.adapters.kubernetes_cluster import KubernetesCluster
from scenario_runner.errors import TargetUnreachable
from tests.contract.authority import Registry, server_context
from tests.contract.kubeconfigs import at, kubeconfig
from tests.contract.servers import serving
from tests.contract.tunnel import Tunnel
from tests.fakes import FakeClock

HERE, FAR = "IP:127.0.0.1", "kubernetes.example.org:6443"  # a name that nobody has
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "ALL_PROXY", "all_proxy")


@pytest.fixture
def environment(monkeypatch):
    """Sets variables; those of the machine that the tests run on do not count."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch.setenv


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    return Registry(tmp_path_factory.mktemp("registry"))


@pytest.fixture
def server(registry):
    """An API server that is one of this machine and, behind a proxy, a far one; it has no nodes."""
    tls = server_context(registry.pair(HERE, "DNS:kubernetes.example.org"))
    with serving(lambda request: request.reply(200, {"items": []}), tls) as url:
        yield url


@pytest.fixture
def nodes(tmp_path, registry, environment):
    def ask(address, **more):
        trusted = {"certificate-authority": str(registry.cert), **more}
        file = kubeconfig(tmp_path / "config", it=at(f"https://{address}", **trusted))
        with closing(KubernetesCluster(select([file], "it"), clock=FakeClock())) as cluster:
            return cluster.nodes()

    return ask


def test_a_proxy_of_the_environment_is_used(nodes, server, environment):
    with Tunnel(server) as tunnel:
        environment("HTTPS_PROXY", tunnel.url)
        assert nodes(FAR) == ()
        assert tunnel.asked == [FAR]


def test_a_server_on_this_machine_is_spoken_to_without_the_proxy_of_the_environment(nodes, server, environment):
    with Tunnel(server) as tunnel:
        environment("HTTPS_PROXY", tunnel.url)
        assert nodes(server.removeprefix("https://")) == ()
        assert tunnel.asked == []


def test_a_server_that_is_excepted_is_spoken_to_without_the_proxy_of_the_environment(tmp_path, environment):
    environment("HTTPS_PROXY", "http://127.0.0.1:1")
    file = kubeconfig(tmp_path / "config", it=at(f"https://{FAR}"))
    proxies = []
    for excepted in ("elsewhere.example", "elsewhere.example,.example.org"):
        environment("NO_PROXY", excepted)
        with closing(Access(select([file], "it"), FakeClock())) as access:
            proxies.append(access.proxy)
    assert proxies == ["http://127.0.0.1:1", ""]


def test_the_proxy_of_the_kubeconfig_wins_and_is_used_for_every_server(nodes, server, environment):
    here = server.removeprefix("https://")
    with Tunnel(server) as tunnel, Tunnel(server) as other:
        environment("HTTPS_PROXY", other.url)
        environment("NO_PROXY", "127.0.0.1,.example.org")
        assert (nodes(here, **{"proxy-url": tunnel.url}), nodes(FAR, **{"proxy-url": tunnel.url})) == ((), ())
        assert (tunnel.asked, other.asked) == ([here, FAR], [])


def test_a_proxy_that_asks_for_a_login_is_told(nodes):
    with Tunnel(status="407 Proxy Authentication Required") as tunnel, pytest.raises(TargetUnreachable) as caught:
        nodes(FAR, **{"proxy-url": tunnel.url})
    assert str(caught.value) == (
        f"the API server at https://{FAR} is not reachable: the proxy {tunnel.url.removeprefix('http://')} does not "
        "let us through (407 Proxy Authentication Required)"
    )
