"""What each kind of workload is called, how many pods it wants and which they are."""

import pytest

from scenario_runner.adapters.kubernetes_objects import workload_state
from scenario_runner.core.states import WorkloadState

SELECTOR = {"matchLabels": {"app": "w"}}
GRAPH = {"components": [{"name": "a"}, {"name": "b", "replicas": 2, "multinode": {"nodeCount": 3}}]}
ALPHA = {"services": {"a": {"replicas": 0}, "b": {"replicas": 2}}}


@pytest.mark.parametrize(
    ("kind", "version", "spec", "status", "pods", "selector"),
    [
        ("deployment", "apps/v1", {"selector": SELECTOR}, {}, 1, "app=w"),
        ("statefulset", "apps/v1", {"selector": SELECTOR, "replicas": 4}, {}, 4, "app=w"),
        ("daemonset", "apps/v1", {"selector": SELECTOR}, {"desiredNumberScheduled": 5}, 5, "app=w"),
        ("leaderworkerset", "leaderworkerset.x-k8s.io/v1", {"replicas": 2, "leaderWorkerTemplate": {"size": 3}}, {}, 6,
         "leaderworkerset.sigs.k8s.io/name=w"),
        ("leaderworkerset", "leaderworkerset.x-k8s.io/v1", {}, {}, 1, "leaderworkerset.sigs.k8s.io/name=w"),
        ("dynamographdeployment", "nvidia.com/v1beta1", GRAPH, {}, 7, "nvidia.com/dynamo-graph-deployment-name=w"),
        ("dynamographdeployment", "nvidia.com/v1alpha1", ALPHA, {}, 2, "nvidia.com/dynamo-graph-deployment-name=w"),
    ],
)  # fmt: skip
def test_a_workload_is_seen_with_the_pods_it_wants(kind, version, spec, status, pods, selector):
    raw = {"metadata": {"name": "w", "namespace": "d", "uid": "u"}, "spec": spec, "status": status}
    assert workload_state(kind, version, raw) == WorkloadState(kind, "d", "w", "u", pods, selector, version)
