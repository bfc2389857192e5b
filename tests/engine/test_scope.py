"""What a recovery of a plan may act on: what its targets stand for, and nothing beside it."""

from scenario_runner.app.claiming import scope_of
from scenario_runner.core.plan import ResolvedTarget
from scenario_runner.core.targets import EndpointTarget, NodesTarget, NodeTarget, PodTarget
from scenario_runner.engine.run_card import Scope
from tests.fakes import plan_of


def resolved(**targets):
    return tuple(ResolvedTarget(name, name, target, name) for name, target in targets.items())


def test_the_targets_of_a_plan_are_its_scope():
    assert scope_of(plan_of()) == Scope(("dynamo",), ("uid-gpu-1", "uid-vllm-decode"))


def test_every_kind_of_target_counts_with_its_namespace_and_its_uid():
    targets = resolved(
        pod=PodTarget("elsewhere", "web-1", "uid-pod", "gpu-1"),
        both=NodesTarget((NodeTarget("gpu-1", "uid-1"), NodeTarget("gpu-2", "uid-2"))),
        one=NodeTarget("gpu-3", "uid-3"),
        url=EndpointTarget("http://127.0.0.1"),
    )

    assert scope_of(plan_of(resolved=targets, namespace="own")) == Scope(
        ("elsewhere", "own"), ("uid-1", "uid-2", "uid-3", "uid-pod")
    )
