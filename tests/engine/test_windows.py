"""The windows of time that faults open, by the exact rules."""

import pytest

from scenario_runner.core.faults import Fault, Interval
from scenario_runner.core.observations import ObservationLog
from scenario_runner.core.samples import LoadOrder
from scenario_runner.core.states import Condition
from scenario_runner.engine.ledger import FaultEnd, Ledger, redacted
from scenario_runner.engine.watches import Watches
from scenario_runner.errors import StepBroken
from tests.fakes import FakeLoads, plan_of

STATE = "dgxc.nvidia.com/nvsentinel-state"
ILL = {"SysLogsXIDError": Condition("True", "", "ErrorCode:79 PCI:4001:10:00 ...")}
WELL = {"SysLogsXIDError": Condition("False", "", "No Health Failures")}


class Scene:
    """A ledger over a watched fake cluster, with a hand on the clock."""

    def __init__(self, world):
        self.world = world
        self.log = ObservationLog(world.undo_clock)
        self.ledger = Ledger("run", world.folder, world.undo_clock, self.log)
        watches = Watches(world.cluster, self.log)
        from scenario_runner.core.clock import Deadline

        watches.begin(plan_of(), (), Deadline.after(world.clock, 1.0))

    def at(self, seconds):
        self.world.time.advance(seconds)
        return self

    def fault(self, name="inject", node="gpu-1"):
        now = self.world.time.elapsed
        self.ledger.add_fault(Fault(f"{node}~{name}", name, 79, node, 0, "GPU-10", "4001:10:00", now))
        return self

    def node(self, name="gpu-1", **changes):
        self.world.cluster.change_node(name, **changes)
        return self

    def ended(self, name="gpu-1~inject", reason="taken back", *, spoiled=False):
        self.ledger.ended(name, FaultEnd(self.world.time.elapsed, reason, spoiled=spoiled))
        return self


@pytest.fixture
def scene(world):
    return Scene(world)


def windows(scene):
    return {name: scene.ledger.window(name) for name in ("baseline", "fault", "recovery")}


def test_without_a_fault_everything_is_baseline(scene):
    assert windows(scene) == {"baseline": (Interval(0.0, None),), "fault": (), "recovery": ()}


def test_an_open_fault_has_a_baseline_before_it_and_no_recovery_yet(scene):
    scene.at(10).fault().at(20)

    assert windows(scene) == {"baseline": (Interval(0.0, 10.0),), "fault": (Interval(10.0, None),), "recovery": ()}


def test_a_fault_that_was_taken_back_ends_there_and_recovery_begins(scene):
    scene.at(10).fault().at(25).ended()

    assert windows(scene) == {
        "baseline": (Interval(0.0, 10.0),),
        "fault": (Interval(10.0, 25.0),),
        "recovery": (Interval(25.0, None),),
    }


def test_a_fault_ends_when_the_platform_has_healed_its_node(scene):
    scene.at(10).fault().at(11).node(conditions=ILL).at(12).node(unschedulable=True, labels={STATE: "quarantined"})
    scene.at(20).node(conditions=WELL).at(21).node(unschedulable=False)
    assert scene.ledger.window("fault") == (Interval(10.0, None),)

    scene.at(22).node(labels={STATE: None}).at(30).ended()

    assert scene.ledger.window("fault") == (Interval(10.0, 22.0),)
    assert scene.ledger.end_of(scene.ledger.faults[0]).reason == "healed by the platform"


def test_a_fault_that_was_taken_back_before_the_platform_healed_ends_with_the_taking_back(scene):
    scene.at(10).fault().at(11).node(conditions=ILL).at(15).ended().at(20).node(conditions=WELL)

    assert scene.ledger.window("fault") == (Interval(10.0, 15.0),)


def test_a_healthy_node_that_nobody_reacted_on_does_not_end_a_fault(scene):
    scene.at(5).node(conditions=WELL).at(10).fault().at(20).node(labels={"unrelated": "label"})

    assert scene.ledger.window("fault") == (Interval(10.0, None),)


def test_an_old_illness_of_the_node_is_no_reaction(scene):
    scene.at(1).node(conditions=ILL, unschedulable=True).at(10).fault().at(20).node(unschedulable=False)

    assert scene.ledger.window("fault") == (Interval(10.0, None),)


def test_the_platform_may_be_faster_than_the_answer_to_the_injection(scene):
    scene.at(9).ledger.acting("inject")
    scene.at(9.5).node(conditions=ILL)
    scene.at(10).fault()

    assert scene.ledger.evidence(scene.ledger.faults[0]) == "noticed"


def test_what_was_seen_before_the_injection_was_ordered_proves_nothing(scene):
    scene.at(8).node(conditions=ILL)
    scene.at(9).ledger.acting("inject")
    scene.at(10).fault()

    assert scene.ledger.evidence(scene.ledger.faults[0]) == "written"


def test_the_window_of_several_faults_is_their_union(scene):
    scene.at(10).fault("a").at(15).fault("b", "gpu-2").at(20).ended("gpu-1~a").at(30).ended("gpu-2~b")
    scene.at(40).fault("c", "gpu-3").at(50).ended("gpu-3~c")

    assert scene.ledger.window("fault") == (Interval(10.0, 30.0), Interval(40.0, 50.0))
    assert scene.ledger.window("a") == (Interval(10.0, 20.0),)
    assert scene.ledger.window("baseline") == (Interval(0.0, 10.0),)
    assert scene.ledger.window("recovery") == (Interval(50.0, None),)


def test_there_is_no_recovery_while_any_fault_is_in_force(scene):
    scene.at(10).fault("a").at(15).fault("b", "gpu-2").at(20).ended("gpu-1~a")

    assert scene.ledger.window("recovery") == ()


def test_the_window_of_a_step_that_injected_nothing_is_empty(scene):
    assert scene.at(10).fault().ledger.window("another") == ()


def test_the_window_of_a_spoiled_fault_is_refused_and_that_of_another_is_not(scene):
    scene.at(10).fault("a").fault("b", "gpu-2").at(15).ended("gpu-1~a", "expired", spoiled=True)

    assert scene.ledger.window("b") == (Interval(10.0, None),)
    for name in ("fault", "a"):
        with pytest.raises(StepBroken, match=f"the window of {name} proves nothing: fault gpu-1~a expired"):
            scene.ledger.window(name)


def test_the_earliest_end_of_a_fault_counts(scene):
    scene.at(10).fault().at(20).ended(reason="first").at(30).ended(reason="second")

    assert scene.ledger.end_of(scene.ledger.faults[0]) == FaultEnd(20.0, "first")


@pytest.mark.parametrize(
    ("order", "until"),
    [
        ({"rate": 10.0}, None),
        ({"rate": 10.0, "duration": 30.0}, 35.0),
        ({"every": 2.0, "count": 10}, 25.0),
        ({"rate": 10.0, "count": 1000, "duration": 30.0}, 35.0),
    ],
)
def test_a_load_knows_when_its_last_request_starts(scene, order, until):
    scene.at(5)
    load = LoadOrder("s", "http://127.0.0.1", **order)

    handle = scene.ledger.add_load("s", load, FakeLoads(scene.world.undo_clock).start(load))

    assert (handle.started, handle.scheduled_until, handle.joined) == (5.0, until, False)


def test_a_joined_load_ended_when_it_was_joined(scene):
    load = LoadOrder("s", "http://127.0.0.1", rate=1.0)
    scene.ledger.add_load("s", load, FakeLoads(scene.world.undo_clock).start(load))

    scene.at(7).ledger.joined("s")

    assert (scene.ledger.load("s").scheduled_until, scene.ledger.load("s").joined) == (7.0, True)


def test_a_load_that_never_started_is_told(scene):
    with pytest.raises(StepBroken, match="load calm never started"):
        scene.ledger.load("calm")


def test_evidence_has_a_safe_name_and_holds_no_secrets(scene):
    path = scene.ledger.evidence_file("../pod/x y.log", "Authorization: Bearer abc.def\npassword=hunter2, fine\n")

    assert path == "evidence/pod-x-y.log"
    assert (scene.world.folder / path).read_text() == ("Authorization: Bearer [redacted]\npassword=[redacted], fine\n")


def test_of_long_evidence_the_end_is_kept():
    text = redacted("a" * 300_000 + "the end")

    assert text.startswith("[37863 characters left out]\naaa")
    assert text.endswith("the end")
    assert len(text) < 263_000


def test_each_fault_of_a_step_on_several_nodes_has_its_own_beginning(scene):
    scene.at(9).ledger.acting("inject")
    scene.at(9.5).node(conditions=ILL)
    scene.at(10).fault()
    scene.ledger.acting("inject")
    scene.at(12).fault("inject", "gpu-2")

    assert [scene.ledger.started(fault) for fault in scene.ledger.faults] == [9.0, 10.0]
    assert scene.ledger.evidence(scene.ledger.faults[0]) == "noticed"


def test_secret_variables_of_an_object_are_left_out():
    text = "env:\n- name: HF_TOKEN\n  value: hf_abc\n- name: MODEL\n  value: tiny\n"

    assert redacted(text) == "env:\n- name: HF_TOKEN\n  value: [redacted]\n- name: MODEL\n  value: tiny\n"
