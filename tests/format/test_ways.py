"""How requests get to a service stands in the plan, with what that does to them."""

from dataclasses import replace

import pytest

from scenario_runner.errors import Refused
from scenario_runner.format.loader import load
from scenario_runner.format.plan import make_plan
from scenario_runner.format.plan_text import render
from scenario_runner.format.variables import VariableSources
from scenario_runner.steps import STEPS
from tests.format.cluster import small_cluster

DRILL = """
version: 1
name: drill
namespace: dynamo
control: true
targets:
  front: {service: front}
steps:
- send_requests: {target: front, rate: 4/s, for: 5s}
  id: calm
- assert_success: {load: calm, ratio: at least 0.9}
"""


def plan(folder, way, urls, text=DRILL):
    file = folder / "drill.yaml"
    file.write_text(text)
    cluster, agent = small_cluster()
    cluster.service_states["dynamo", "front"] = replace(
        cluster.service_states["dynamo", "front"], way=way, urls=urls, cluster_ip=""
    )
    return make_plan(load(file, VariableSources((), (), {}), STEPS), cluster, agent, seed=1)


@pytest.mark.parametrize(
    ("way", "words", "does"),
    [
        (
            "api-proxy",
            "through the API server's proxy",
            "latency includes the API server, which picks a ready pod for each request; what DNS and kube-proxy do is "
            "not measured, and while the API server is away every request fails",
        ),
        (
            "node-port",
            "through its port on a node",
            "requests enter through one node and fail with it, whatever the service does",
        ),
        (
            "load-balancer",
            "through its load balancer",
            "latency includes the load balancer, and its own checks decide which nodes it asks",
        ),
    ],
)
def test_a_way_is_told_with_what_it_does(tmp_path, way, words, does):
    made = plan(tmp_path, way, {8000: "http://there:1"})
    assert made.targets["front"].url == "http://there:1"
    text = render(made)
    assert f"Targets:\n  front  dynamo/front:8000 {words}   {{service: front}}\n" in text
    assert f"\nWhat the way of requests does:\n  front: {does}\n" in text


def test_a_way_that_leads_nowhere_is_refused(tmp_path):
    with pytest.raises(Refused) as caught:
        plan(tmp_path, "node-port", {})
    assert str(caught.value) == "target front: port 8000 of service front can not be reached through its port on a node"


def test_a_service_without_an_address_can_not_be_reached_straight(tmp_path):
    with pytest.raises(Refused) as caught:
        plan(tmp_path, "direct", {})
    assert str(caught.value) == "target front: service dynamo/front has no address of its own"


def test_a_credential_that_the_api_server_would_take_for_itself_is_refused(tmp_path):
    text = DRILL.replace("{service: front}", "{service: front, headers: {authorization: Bearer x}}")
    with pytest.raises(Refused) as caught:
        plan(tmp_path, "api-proxy", {8000: "https://api/proxy"}, text)
    assert str(caught.value) == (
        "target front: its header Authorization would be taken by the API server, whose proxy requests go through: "
        "choose another way with --reach, or run inside the cluster"
    )
    assert plan(tmp_path, "node-port", {8000: "http://there:1"}, text).targets["front"].headers
