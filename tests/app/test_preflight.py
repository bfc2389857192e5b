"""What a run may not do is found out before anything is touched, and told with what grants it."""

from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from scenario_runner.adapters.kubernetes_cluster import KubernetesCluster
from scenario_runner.app.backend import Address, Backend
from scenario_runner.app.preflight import needs, refuse_what_is_not_permitted, refuse_what_steps_object_to
from scenario_runner.core.permissions import Permission
from scenario_runner.core.plan import ResolvedTarget
from scenario_runner.core.targets import WorkloadTarget
from scenario_runner.errors import Refused
from scenario_runner.format.loader import load
from scenario_runner.format.plan import make_plan
from scenario_runner.format.variables import VariableSources
from scenario_runner.steps import STEPS
from scenario_runner.steps.patch_cuda import PatchCuda
from tests.app.small_api import SmallApi
from tests.contract.clusters import write_kubeconfig
from tests.contract.servers import serving
from tests.fakes import FakeClock, plan_of, planned
from tests.format.cluster import small_cluster

DRILL = """
version: 1
name: drill
namespace: dynamo
control: true
targets:
  front: {service: front, port: 8000, chat: {}}
steps:
- send_requests: {target: front, rate: 4/s, for: 5s}
  id: calm
- assert_success: {load: calm, ratio: at least 0.9}
"""
GRANTS = "(Helm chart agent/deploy/runner) grants it"


@pytest.fixture
def drill(tmp_path):
    """A plan whose requests go through the API server, and a cluster behind a small API server."""
    file = tmp_path / "drill.yaml"
    file.write_text(DRILL)
    cluster, agent = small_cluster()
    cluster.service_states["dynamo", "front"] = replace(
        cluster.service_states["dynamo", "front"], way="api-proxy", urls={8000: "https://api/proxy"}
    )
    plan = make_plan(load(file, VariableSources((), (), {}), STEPS), cluster, agent, seed=1)

    def backend(url, **address):
        it = KubernetesCluster(write_kubeconfig(tmp_path, url), clock=FakeClock())
        return Backend("cluster prod", Address("/config", **{"context": "prod", **address}), it, agent, "uid")

    return plan, backend


def refused(drill, forbidden, **address):
    plan, backend = drill
    api = SmallApi(forbidden=forbidden)
    with serving(api) as url:
        where = backend(url, **address)
        with closing(where.cluster), pytest.raises(Refused) as caught:
            refuse_what_is_not_permitted(plan, where)
    return str(caught.value).splitlines()


def test_each_verb_that_is_missing_is_one_sentence_with_the_role_that_grants_it(drill):
    def forbidden(review):
        return (review["verb"], review["resource"]) in {
            ("watch", "nodes"),
            ("get", "deployments"),
            ("create", "leases"),
        }

    assert refused(drill, forbidden) == [
        f"we may not watch nodes: the ClusterRole scenario-runner {GRANTS}",
        f"we may not get deployments.apps in namespace dynamo: the Role scenario-runner of that namespace {GRANTS}",
        "we may not create leases.coordination.k8s.io in namespace scenario-runner: "
        f"the Role scenario-runner of that namespace {GRANTS}",
    ]


def test_a_proxy_that_may_not_be_used_is_told_with_the_other_ways(drill):
    assert refused(drill, lambda review: review.get("subresource") == "proxy") == [
        "we may not get services/proxy in namespace scenario-runner: "
        "say where the fault agents are with --agent URL, or run inside the cluster",
        "we may not create services/proxy in namespace scenario-runner: "
        "say where the fault agents are with --agent URL, or run inside the cluster",
        "we may not create services/proxy front in namespace dynamo: "
        "choose another way with --reach, or run inside the cluster",
        "we may not get services/proxy front in namespace dynamo: "
        "choose another way with --reach, or run inside the cluster",
    ]


def test_reviews_name_group_namespace_and_subresource(drill):
    plan, backend = drill
    api = SmallApi()
    with serving(api) as url:
        where = backend(url)
        with closing(where.cluster):
            refuse_what_is_not_permitted(plan, where)
    assert {"verb": "get", "resource": "namespaces", "name": "kube-system"} in api.reviews
    assert {"verb": "get", "resource": "pods", "subresource": "log", "namespace": "dynamo"} in api.reviews
    assert {"verb": "list", "group": "policy", "resource": "poddisruptionbudgets"} in api.reviews


def test_inside_the_cluster_no_proxy_is_needed(drill):
    plan, backend = drill
    inside = backend("http://127.0.0.1:1", context="in-cluster")
    with closing(inside.cluster):
        assert Permission("create", "services/proxy", namespace="scenario-runner") not in needs(plan, inside)


def test_a_lab_forbids_nothing(drill):
    plan, backend = drill
    where = backend("http://127.0.0.1:1", context="")
    with closing(where.cluster):
        refuse_what_is_not_permitted(plan, where)


@pytest.mark.parametrize(
    ("permission", "words"),
    [
        (Permission("list", "nodes"), "list nodes"),
        (Permission("patch", "deployments", "apps", "dynamo"), "patch deployments.apps in namespace dynamo"),
        (Permission("create", "pods/eviction", namespace="dynamo"), "create pods/eviction in namespace dynamo"),
        (Permission("get", "namespaces", name="kube-system"), "get namespaces kube-system"),
    ],
)
def test_a_permission_is_told_in_the_words_of_roles(permission, words):
    assert permission.words == words


def test_what_steps_object_to_is_told_before_anything_is_touched(world):
    """A lab has no permissions, but its workloads may be unfit as well."""
    fit, unfit = PatchCuda(target="worker"), PatchCuda(target="worker", containers=("vllm",))
    where: Any = SimpleNamespace(cluster=world.cluster)
    refuse_what_steps_object_to(plan_of(fit), where, world)
    with pytest.raises(Refused) as refused:
        refuse_what_steps_object_to(plan_of(fit, planned(unfit, "library")), where, world)
    assert str(refused.value) == "step library: Deployment vllm-decode has no container vllm; it has main"
    refuse_what_steps_object_to(plan_of(planned(unfit, "library", when=False)), where, world)


def test_workloads_of_other_kinds_are_asked_for_where_a_target_is_one():
    group = WorkloadTarget("dynamographdeployment", "dynamo", "w", "uid", "a=b", 1, "nvidia.com/v1beta1")
    plan = plan_of(PatchCuda(target="graph"), resolved=(ResolvedTarget("graph", "graph", group, "graph"),))
    where: Any = SimpleNamespace(address=Address("", context="prod", agent_url="http://agents"), agent=None)
    asked = [one.words for one in needs(plan, where) if one.group == "nvidia.com"]
    assert asked == [f"{verb} dynamographdeployments.nvidia.com in namespace dynamo" for verb in ("get", "patch")]
