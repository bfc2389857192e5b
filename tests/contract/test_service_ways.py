"""Where requests to a Service go on each way, and that a load really gets there through an API server with TLS."""

from contextlib import closing

import pytest

from scenario_runner.adapters.kubeconfig import select
from scenario_runner.adapters.kubernetes_cluster import KubernetesCluster
from scenario_runner.adapters.load_process import LoadProcess
from scenario_runner.adapters.service_ways import Entrance
from scenario_runner.core.clock import Bell, Deadline, Look, SystemClock, wait_until
from scenario_runner.core.samples import LoadOrder
from scenario_runner.errors import Refused
from tests.app.small_api import SmallApi, service
from tests.contract.authority import Registry, server_context
from tests.contract.clusters import write_kubeconfig
from tests.contract.kubeconfigs import at, kubeconfig
from tests.contract.servers import serving
from tests.fakes import FakeClock

WEB = "/api/v1/namespaces/dynamo/services/web"
NODES = [
    {
        "status": {
            "conditions": [{"type": "Ready", "status": ready}],
            "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": "gpu"}],
        }
    }
    for address, ready in (("10.0.0.1", "False"), ("10.0.0.2", "True"))
]


@pytest.fixture
def reached(tmp_path):
    """The way and the URLs of service dynamo/web; the address of the API server stands as API."""

    def reached(way, **spec):
        web = service("web", "dynamo", 8000, **spec)
        web |= {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}} if way == "load-balancer" else {}
        with serving(SmallApi({WEB: web, "/api/v1/nodes": {"items": NODES}})) as url:
            it = KubernetesCluster(write_kubeconfig(tmp_path, url), clock=FakeClock(), reach=way)
            with closing(it):
                found = it.service("dynamo", "web")
            return found.way, {port: one.replace(url, "API") for port, one in found.urls.items()}

    return reached


@pytest.mark.parametrize(
    ("way", "spec", "urls"),
    [
        ("direct", {}, {8000: "http://10.96.0.9:8000"}),
        ("direct", {"clusterIP": "fd00::9"}, {8000: "http://[fd00::9]:8000"}),
        ("direct", {"clusterIP": "None"}, {}),
        ("api-proxy", {}, {8000: "API/api/v1/namespaces/dynamo/services/http:web:8000/proxy"}),
        ("api-proxy", {"clusterIP": "None"}, {8000: "API/api/v1/namespaces/dynamo/services/http:web:8000/proxy"}),
        ("node-port", {"first_port": {"nodePort": 31000}}, {8000: "http://10.0.0.2:31000"}),
        ("node-port", {}, {}),
        ("load-balancer", {}, {8000: "http://192.0.2.7:8000"}),
    ],
)
def test_a_service_is_reached(reached, way, spec, urls):
    assert reached(way, **spec) == (way, urls)


def test_requests_can_not_go_through_a_proxy_in_front_of_the_api_server(tmp_path):
    with serving(SmallApi({WEB: service("web", "dynamo", 8000)})) as url:
        # This small server takes whole URLs as well, as a proxy does.
        file = kubeconfig(tmp_path / "config", it=at("http://127.0.0.1:1", **{"proxy-url": url}))
        it = KubernetesCluster(select([file], "it"), clock=FakeClock(), reach="api-proxy")
        with closing(it), pytest.raises(Refused) as caught:
            it.service("dynamo", "web")
    assert str(caught.value) == (
        "requests to service dynamo/web can not go through the proxy in front of the API server: "
        "choose another way with --reach, or run inside the cluster"
    )


def test_a_load_shows_who_we_are_to_the_api_server_when_it_starts(tmp_path):
    """With TLS on both sides and a token that is read when the load starts: none of it stands in the plan."""
    registry = Registry(tmp_path / "registry")
    mine = registry.pair("DNS:me")
    kept = {"client-certificate": str(mine.cert), "client-key": str(mine.key), "tokenFile": str(tmp_path / "token")}
    heard = []

    def behind(request):
        heard.append((request.path, request.headers["Authorization"], request.headers["X-Mine"]))
        request.reply(200, "hello")

    (tmp_path / "token").write_text("old")
    both = Registry(tmp_path / "servers")
    with serving(SmallApi(behind=behind), server_context(both.pair("IP:127.0.0.1"), registry.cert)) as url:
        file = kubeconfig(tmp_path / "config", it=at(url, kept, **{"certificate-authority": str(both.cert)}))
        with closing(KubernetesCluster(select([file], "it"), reach="api-proxy")) as it:
            (tmp_path / "token").write_text("new")
            succeeded = send(Entrance(it.rest), f"{url}/api/v1/namespaces/dynamo/services/http:web:8000/proxy/x?y=1")
    assert succeeded == 3
    assert heard == [("/api/v1/namespaces/dynamo/services/http:web:8000/proxy/x?y=1", "Bearer new", "1")] * 3


def test_a_load_that_goes_elsewhere_tells_nobody_who_we_are(tmp_path):
    heard = []

    def answer(request):
        heard.append(request.headers["Authorization"])
        request.reply(200, "hello")

    with serving(answer) as url, serving(SmallApi()) as api:
        it = KubernetesCluster(write_kubeconfig(tmp_path, api, token="secret"))
        with closing(it):
            send(Entrance(it.rest), url)
    assert heard == [None] * 3


def send(entrance, url):
    """How many of three requests succeed."""
    clock = SystemClock(Bell())
    run = LoadProcess(clock, entrance).start(LoadOrder("calm", url, headers={"X-Mine": "1"}, every=0.05, count=3))
    try:
        wait_until("the load", lambda: Look(run.finished, run.broken, None), Deadline.after(clock, 30), every=0.05)
        return run.samples.select().succeeded
    finally:
        run.close()
