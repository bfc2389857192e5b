"""What the run's watches make of the cluster: dated changes, each once, and gaps."""

from dataclasses import replace

import pytest

from scenario_runner.core.clock import Deadline
from scenario_runner.core.observations import ObservationLog
from scenario_runner.core.plan import ResolvedTarget
from scenario_runner.core.ports import Watch
from scenario_runner.core.states import Condition, EventState, PodState, ResourceState
from scenario_runner.core.targets import NodesTarget, NodeTarget
from scenario_runner.engine.watches import Watches
from scenario_runner.errors import StepBroken
from tests.fakes import plan_of

REBOOTS = Watch("janitor.dgxc.nvidia.com/v1alpha1/rebootnodes")


@pytest.fixture
def watches(world):
    world.log = ObservationLog(world.undo_clock)
    watches = Watches(world.cluster, world.log)
    watches.begin(plan_of(), (REBOOTS,), Deadline.after(world.clock, 5.0))
    return watches


def changes(world, subject, name=None):
    return [
        (one.at, one.name, one.fact, one.was, one.value) for one in world.log.select(subject, name) if not one.initial
    ]


@pytest.mark.usefixtures("watches")
class TestObservations:
    def test_what_is_there_at_the_beginning_is_initial_and_no_change(self, world):
        assert changes(world, "node") == []
        assert world.log.value("node", "gpu-1", "ready") == "True"
        assert world.log.value("node", "gpu-1", "label/accelerator") == "nvidia"
        assert all(one.initial for one in world.log.select("pod"))

    def test_each_change_of_a_node_is_told_once(self, world):
        world.time.advance(5.0)
        ill = {"SysLogsXIDError": Condition("True", "", "ErrorCode:79")}
        for _ in range(2):
            world.cluster.change_node("gpu-1", conditions=ill, unschedulable=True, labels={"state": "quarantined"})
        world.time.advance(9.0)
        world.cluster.change_node("gpu-1", labels={"state": None}, unschedulable=False)

        assert changes(world, "node") == [
            (5.0, "gpu-1", "schedulable", "true", "false"),
            (5.0, "gpu-1", "message/SysLogsXIDError", "", "ErrorCode:79"),
            (5.0, "gpu-1", "condition/SysLogsXIDError", "", "True"),
            (5.0, "gpu-1", "label/state", "", "quarantined"),
            (9.0, "gpu-1", "schedulable", "false", "true"),
            (9.0, "gpu-1", "label/state", "quarantined", ""),
        ]
        assert world.log.latest("node", "gpu-1", "condition/SysLogsXIDError").detail == "ErrorCode:79"

    def test_a_pod_that_goes_and_comes_back_by_the_same_name_is_another_one(self, world):
        pod = world.cluster.pod_states["dynamo", "vllm-decode-1"]
        world.cluster.remove(pod)
        world.cluster.put(replace(pod, uid="another", ready=False, node="gpu-2"))

        told = [(fact, was, value) for _, _, fact, was, value in changes(world, "pod", "dynamo/vllm-decode-1")]
        assert told[0] == ("gone", "", "true")
        assert ("uid", "", "another") in told
        assert told[-1] == ("gone", "true", "")
        assert world.log.value("pod", "dynamo/vllm-decode-1", "ready") == "false"

    def test_an_event_counts_again_only_when_it_happened_again(self, world):
        event = EventState("default", "e", "uid-e", "Node", "gpu-1", "SysLogsXIDErrorIsNotHealthy", "ErrorCode:94")
        for count in (1, 1, 2):
            world.cluster.event(replace(event, count=count))
        world.cluster.event(replace(event, uid="another", message="ErrorCode:31"))

        assert [(one.name, one.value, one.detail) for one in world.log.select("event")] == [
            ("Node/gpu-1", "SysLogsXIDErrorIsNotHealthy", "ErrorCode:94"),
            ("Node/gpu-1", "SysLogsXIDErrorIsNotHealthy", "ErrorCode:94"),
            ("Node/gpu-1", "SysLogsXIDErrorIsNotHealthy", "ErrorCode:31"),
        ]

    def test_a_remediation_is_followed(self, world):
        reboot = ResourceState("RebootNode", "", "maintenance-gpu-1-1", "u", "gpu-1", "")
        world.cluster.put(reboot)
        world.cluster.put(replace(reboot, state="NodeReady"))

        assert [(fact, value) for _, _, fact, _, value in changes(world, "resource")] == [
            ("state", ""), ("node", "gpu-1"), ("state", "NodeReady"),
        ]  # fmt: skip

    def test_a_gap_is_an_observation_each_time(self, world):
        world.cluster.gap("nodes", "410 Gone")
        world.cluster.gap("nodes", "410 Gone")

        assert [(one.name, one.value) for one in world.log.select("watch", fact="gap")] == [("nodes", "410 Gone")] * 2

    def test_what_no_target_is_about_is_not_followed(self, world):
        world.cluster.put(PodState("kube-system", "x", "u", labels={"app": "vllm-decode"}))
        world.cluster.put(PodState("dynamo", "other", "u", labels={"app": "other"}))
        world.cluster.change_node("gpu-3", unschedulable=True)
        world.cluster.event(EventState("elsewhere", "e", "uid-e", "Pod", "x", "Started", ""))

        assert [changes(world, subject) for subject in ("pod", "node", "event")] == [[], [], []]

    def test_a_pod_that_gets_other_labels_is_gone(self, world):
        pod = world.cluster.pod_states["dynamo", "vllm-decode-1"]
        world.cluster.put(replace(pod, labels={"app": "other"}))

        assert changes(world, "pod")[0] == (0.0, "dynamo/vllm-decode-1", "gone", "", "true")


def followed(world, plan):
    """The watches of a plan, but for those of events."""
    Watches(world.cluster, ObservationLog(world.undo_clock)).begin(plan, (), Deadline.after(world.clock, 5.0))
    return [one.watch for one in world.cluster.subscriptions if one.watch.what != "events"]


def with_nodes(*names):
    plan, more = plan_of(), NodesTarget(tuple(NodeTarget(name, f"uid-{name}") for name in names))
    return replace(plan, resolved=(*plan.resolved, ResolvedTarget("more", "", more, "")))


def test_each_node_of_a_plan_has_a_watch_and_so_has_each_workload(world):
    assert followed(world, plan_of()) == [
        Watch("nodes", name="gpu-1"), Watch("pods", "dynamo", selector="app=vllm-decode"),
    ]  # fmt: skip


def test_many_nodes_share_one_watch_that_tells_of_no_others(world, watches):
    names = [f"gpu-{number}" for number in range(3, 14)]
    watches.widen(with_nodes(*names), Deadline.after(world.clock, 5.0))
    for name in ("gpu-1", "gpu-2", "gpu-3"):
        world.cluster.change_node(name, unschedulable=True)

    assert [one.watch.name for one in world.cluster.subscriptions if one.watch.what == "nodes"] == ["gpu-1", ""]
    assert [name for _, name, *_ in changes(world, "node")] == ["gpu-1", "gpu-3"]


def test_a_plan_that_names_no_pods_follows_those_of_its_namespace(world):
    assert followed(world, replace(plan_of(), resolved=())) == [Watch("pods", "dynamo")]


def test_a_node_that_a_plan_names_later_is_followed_from_then_on(world, watches):
    world.cluster.change_node("gpu-2", unschedulable=True)
    assert world.log.value("node", "gpu-2", "schedulable") == ""
    watches.widen(with_nodes("gpu-1", "gpu-2"), Deadline.after(world.clock, 5.0))
    world.cluster.change_node("gpu-2", unschedulable=False)

    assert changes(world, "node") == [(0.0, "gpu-2", "schedulable", "false", "true")]
    assert [one.watch.name for one in world.cluster.subscriptions if one.watch.what == "nodes"] == ["gpu-1", "gpu-2"]


def test_a_workload_finds_its_pods_by_their_labels(world, watches):
    target = plan_of().targets["worker"]
    world.cluster.put(PodState("dynamo", "other", "u", labels={"app": "other"}))

    assert [pod.name for pod in watches.pods(target)] == ["vllm-decode-1", "vllm-decode-2", "vllm-decode-3"]


def test_a_closed_watch_hears_nothing(world, watches):
    watches.close()
    world.cluster.change_node("gpu-1", unschedulable=True)

    assert changes(world, "node") == []


def test_a_kind_that_the_cluster_does_not_know_is_a_gap_and_hurts_nothing(world):
    class Unknown:
        def follow(self, watch, sink):
            if watch == REBOOTS:
                raise StepBroken("no such resource")
            return world.cluster.follow(watch, sink)

    log = ObservationLog(world.undo_clock)
    Watches(Unknown(), log).begin(plan_of(), (REBOOTS,), Deadline.after(world.clock, 5.0))

    assert [(one.name, one.value) for one in log.select("watch", fact="gap")] == [(REBOOTS.what, "no such resource")]


def test_a_list_that_never_comes_is_named(world):
    world.cluster.mute |= {"pods", "events"}

    with pytest.raises(StepBroken) as broken:
        Watches(world.cluster, ObservationLog(world.undo_clock)).begin(plan_of(), (), Deadline.after(world.clock, 5.0))
    assert (
        str(broken.value)
        == "the API server gave no complete list of: pods in dynamo, events in default, events in dynamo"
    )
    assert world.time.elapsed == 5.0
