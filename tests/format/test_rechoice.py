"""Choosing targets again after a rollout of ours: where they were if that can be, else as the scenario picks."""

from dataclasses import replace

import pytest

from scenario_runner.core.targets import GpuTarget, NodeTarget, PodTarget
from scenario_runner.errors import Refused
from scenario_runner.format.loader import load
from scenario_runner.format.plan import make_plan
from scenario_runner.format.rechoice import Rechoice
from scenario_runner.steps import STEPS as KINDS
from tests.format.cluster import pod, small_cluster
from tests.format.files import NOTHING_GIVEN

HEAD = """version: 1
name: drill
namespace: dynamo
targets:
  worker: {workload: deployment/w}
  front: {service: front}
"""
STEPS = """guards: {max_nodes: 1, allow: [cordon, drain, reboot, breaker]}
steps:
- patch_cuda: worker
- inject_xid: {target: victim, xid: 79}
- send_requests: {target: front, count: 30, every: 1s}
  id: load
- assert_success: {load: load, ratio: at least 0.5}
"""


class Here:
    """A cluster, a plan made in it, and the nodes that were claimed since."""

    def __init__(self, folder, targets, seed, steps):
        self.cluster, self.agent = small_cluster()
        file = folder / "drill.yaml"
        file.write_text(HEAD + targets + steps)
        self.plan = make_plan(load(file, NOTHING_GIVEN, KINDS), self.cluster, self.agent, seed=seed)
        self.owned = []

    def move(self, name, to, index=0):
        """The pod of that name is replaced by one on another node, where it holds that GPU."""
        old = next(one for one in self.cluster.pods("dynamo") if one.name == name)
        self.cluster.remove(old)
        self.cluster.put(pod(f"{name}-new", to))
        for node, seats in self.agent.nodes.items():
            kept = [replace(one, held_by=tuple(set(one.held_by) - {f"dynamo/{name}"})) for one in seats]
            if node == to:
                kept[index] = replace(kept[index], held_by=(*kept[index].held_by, f"dynamo/{name}-new"))
            self.agent.nodes[node] = tuple(kept)

    def again(self, struck=()):
        found = Rechoice(self.cluster, self.agent, self.owned.append)(self.plan, "worker", frozenset(struck))
        return {one.name: one for one in found}


@pytest.fixture
def made(tmp_path):
    return lambda targets, seed=1, steps=STEPS: Here(tmp_path, targets, seed, steps)


def test_a_pod_that_came_back_on_the_same_gpu_changes_only_who_holds_it(made):
    here = made("  victim: {gpu_of: worker}\n")
    here.move("w-a", "gpu-2", 1)
    found = here.again()["victim"]
    assert isinstance(found.target, GpuTarget)
    assert (found.place, found.chosen) == ("GPU-21", "GPU 1 of gpu-2, held by w-a-new")
    assert (found.target.held_by, here.owned) == ("dynamo/w-a-new", [])


def test_another_gpu_of_the_same_node_comes_before_other_nodes(made):
    here = made("  victim: {gpu_of: worker}\n")
    here.move("w-a", "gpu-2", 0)
    assert (here.again()["victim"].chosen, here.owned) == ("GPU 0 of gpu-2, held by w-a-new", [])


def test_a_node_that_no_pod_came_back_to_is_left_for_the_first_one_by_name_and_that_one_is_claimed(made):
    here = made("  victim: {gpu_of: worker}\n")
    here.move("w-a", "gpu-3")
    assert here.again()["victim"].chosen == "GPU 0 of gpu-3, held by w-a-new"
    assert here.owned == [NodeTarget("gpu-3", "uid-gpu-3")]


def test_an_index_that_the_scenario_names_counts_again(made):
    here = made("  victim: {gpu_of: {workload: worker, index: 1}}\n")
    here.move("w-a", "gpu-3", 0)
    assert here.again()["victim"].chosen == "GPU 1 of gpu-1, held by w-b"


def test_the_seed_decides_again_where_the_scenario_asks_for_it(made):
    found = {made("  victim: {gpu_of: worker, pick: random}\n", seed).again()["victim"].chosen for seed in range(8)}
    assert found == {f"GPU 1 of {node}, held by {name}" for name, node in (("w-a", "gpu-2"), ("w-b", "gpu-1"),
                                                                          ("w-c", "gpu-3"))}  # fmt: skip


def test_what_was_found_through_a_node_of_the_workload_follows_it(made):
    here = made("  place: {node_of: worker}\n  victim: {gpu_of: {node: place, index: 1}}\n")
    here.move("w-a", "gpu-3")
    found = here.again()
    assert (found["place"].target, found["place"].chosen) == (
        NodeTarget("gpu-3", "uid-gpu-3"), "gpu-3, runs w-a-new",
    )  # fmt: skip
    assert found["victim"].chosen == "GPU 1 of gpu-3, held by w-c"


def test_a_pod_is_another_pod(made):
    here = made("  victim: {gpu_of: worker}\n  one: {pod: {workload: worker}}\n")
    here.move("w-a", "gpu-2", 1)
    assert here.again()["one"].target == PodTarget("dynamo", "w-a-new", "uid-w-a-new", "gpu-2")


def test_what_was_struck_stays(made):
    here = made("  victim: {gpu_of: worker}\n")
    here.move("w-a", "gpu-3")
    assert here.again(struck=["gpu-2"]) == {}


def test_a_node_that_the_guards_forbid_is_passed_over(made):
    here = made("  victim: {gpu_of: worker}\n")
    here.move("w-a", "gpu-3")
    here.cluster.change_node("gpu-3", unschedulable=True)
    assert here.again()["victim"].chosen == "GPU 1 of gpu-1, held by w-b"


def test_where_every_other_node_is_forbidden_each_reason_is_told(made):
    here = made("  victim: {gpu_of: worker}\n")
    here.move("w-a", "gpu-3")
    here.cluster.change_node("gpu-3", unschedulable=True)
    here.cluster.change_node("gpu-1", labels={"scenario-runner/allow": None})
    with pytest.raises(Refused) as refused:
        here.again()
    assert str(refused.value) == (
        "target victim, which was GPU 1 of gpu-2, held by w-a, has left gpu-2, and nothing else may be hit: "
        "node gpu-3 is cordoned already; allow_sick: true in guards accepts that; "
        "node gpu-1 is not labelled scenario-runner/allow=true"
    )


def test_agents_that_know_no_gpu_of_the_new_pods_yet_are_told_of(made):
    here = made("  victim: {gpu_of: worker}\n")
    here.agent.nodes = {
        node: tuple(replace(one, held_by=()) for one in seats) for node, seats in here.agent.nodes.items()
    }
    with pytest.raises(Refused) as refused:
        here.again()
    assert str(refused.value) == "target victim: the fault agents know no pod of worker that holds such a GPU"


def test_the_plan_says_that_a_victim_will_be_chosen_again(made):
    told = [one for one in made("  victim: {gpu_of: worker}\n").plan.consequences if one.startswith("victim")]
    assert told == [
        "victim is chosen again once step 01-patch_cuda has replaced the pods of worker: it stays on its node if one "
        "of them comes back there, else it is on another one that the guards let us hit"
    ]


def test_a_cuda_fault_alone_cordons_nothing_so_that_no_circuit_breaker_stands_against_another_node(made):
    here = made("  victim: {gpu_of: worker}\n", steps=STEPS.replace("inject_xid", "arm_cuda").replace(", breaker", ""))
    here.move("w-a", "gpu-3")
    here.cluster.change_node("gpu-2", unschedulable=True)
    assert here.again()["victim"].chosen == "GPU 0 of gpu-3, held by w-a-new"
