"""How promises are kept: what is retried, what is final, in which order, and what is left."""

from typing import ClassVar, Literal

import pytest

from scenario_runner.core.step import Undo, UndoPhase
from scenario_runner.core.undo import UNDOS
from scenario_runner.engine.undoing import take_back_all
from scenario_runner.errors import TargetRefused
from tests.engine.kinds import Claim, Furnish, Inject, Pause, Retouch, WaitFor
from tests.fakes import plan_of, planned


class Told(Undo):
    """Says when it is asked to take something back; stays until it has been looked at `looks` times."""

    phase: ClassVar[UndoPhase] = UndoPhase.OBJECTS
    undo: Literal["told"] = "told"
    name: str

    def take_back(self, ctx):
        ctx.agent.calls.append(f"take back {self.name}")
        return f"{self.name} is back"

    def leftover(self, ctx):
        ctx.agent.calls.append(f"look at {self.name}")

    def subject(self):
        return self.name


class ToldFault(Told):
    phase: ClassVar[UndoPhase] = UndoPhase.FAULTS


class Buggy(Told):
    def take_back(self, ctx):
        raise ZeroDivisionError("oops")


def take_back(world, *undos, seconds=60.0):
    for undo in undos:
        world.journal.promise(undo, "step")
    ctx = world.undo_context(seconds)
    undone = take_back_all(world.journal.outstanding, ctx, world.journal, lambda promise: None)
    return [(one.promise.subject(), one.kept, one.detail) for one in undone]


def test_all_are_taken_back_by_phase_and_newest_first_before_any_is_looked_at(world):
    take_back(world, ToldFault(name="f1"), Told(name="o1"), Told(name="o2"), ToldFault(name="f2"))

    order = ["f2", "f1", "o2", "o1"]
    assert world.agent.calls == [f"take back {one}" for one in order] + [f"look at {one}" for one in order]


def test_a_broken_undo_stops_no_other(world):
    assert take_back(world, Told(name="a"), Buggy(name="b")) == [
        ("b", True, "nothing of it is left"), ("a", True, "a is back"),
    ]  # fmt: skip


def test_an_agent_that_comes_back_in_time_is_asked_again(world):
    world.time.at(0.5, lambda: world.agent.unreachable.update({"gpu-1": "rebooting"}))
    world.time.at(40.0, world.agent.unreachable.clear)

    report = world.run(plan_of(Inject(), Pause(seconds=2), Claim(says="failed")))

    assert (report.undo[0].outcome, report.undo[0].seconds >= 37) == ("kept", True)
    assert (report.verdict.exit_code, world.agent.active()) == (1, [])


def test_an_agent_that_does_not_come_back_leaves_something_and_the_run_ends_with_4(world):
    world.time.at(0.5, lambda: world.agent.unreachable.update({"gpu-1": "rebooting"}))

    report = world.run(plan_of(Inject(), Pause(seconds=2), Claim()))

    assert [(one.outcome, one.detail) for one in report.undo] == [
        ("left", "the agent of gpu-1 is not reachable: rebooting"),
    ]  # fmt: skip
    assert report.verdict.exit_code == 4
    assert report.verdict.reason == (
        "still to be taken back: XID 79 on gpu-1 (the agent of gpu-1 is not reachable: rebooting)"
    )
    assert report.outcomes[-1].summary == "still to be taken back: the agent of gpu-1 is not reachable: rebooting"
    assert 120 <= report.outcomes[-1].seconds < 122
    assert [one.seq for one in world.journal.outstanding] == [1]


def test_a_refusal_is_final_at_once(world):
    real = TargetRefused("cannot recover: a real XID 79 was seen since", code="real_fault_seen")
    world.agent.on_inject = lambda record: world.agent.refusals.update({record.fault_id: real})

    report = world.run(plan_of(Inject(), Claim(says="failed")))

    assert (report.undo[0].outcome, report.undo[0].detail) == ("left", "cannot recover: a real XID 79 was seen since")
    assert report.undo[0].seconds == 0.0
    assert report.verdict.exit_code == 4


def test_what_was_refused_is_kept_when_nothing_is_left_all_the_same(world):
    fault_id = "gpu-1~f"
    world.agent.refusals[fault_id] = TargetRefused("no")
    undo = UNDOS["recover_fault"](fault_id=fault_id, node="gpu-1", xid=79)

    assert take_back(world, undo) == [("XID 79 on gpu-1", True, "nothing of it is left")]


def test_a_fault_that_the_agent_is_still_recovering_is_waited_for(world):
    world.agent.on_recover = lambda record: world.agent.set_status(record.fault_id, "recovering", "remediating")
    world.time.at(30.0, lambda: world.agent.set_status(world.agent.active()[0], "recovered"))

    report = world.run(plan_of(Inject(), WaitFor(), Claim()))

    assert (report.undo[0].outcome, report.verdict.exit_code) == ("kept", 0)


def test_a_value_that_somebody_else_changed_is_left_with_the_three_values(world):
    container = world.cluster.documents["Deployment/dynamo/vllm-decode"]["content"]["spec"]["template"]["spec"]
    world.time.at(2.0, lambda: container["containers"][0]["env"][0].update(value="theirs"))

    report = world.run(plan_of(Retouch(), Pause(), undo_budget=5.0))

    assert report.undo[0].detail == (
        "edits of Deployment dynamo/vllm-decode: spec.template.spec.containers.name=main.env.name=MODEL.value "
        "is 'theirs', was 'tiny', became 'big'; remove its annotation scenario-runner/claim if it shall stay like that"
    )
    assert report.verdict.exit_code == 4


def test_an_object_that_is_gone_has_nothing_left(world):
    world.time.at(2.0, world.cluster.documents.clear)

    report = world.run(plan_of(Retouch(), Pause()))

    assert [(one.outcome, one.detail) for one in report.undo] == [
        ("kept", "edits of Deployment dynamo/vllm-decode is gone"),
    ]  # fmt: skip


def test_another_object_of_the_same_name_is_not_touched(world):
    document = world.cluster.documents["Deployment/dynamo/vllm-decode"]
    world.time.at(2.0, lambda: document.update(uid="another"))

    report = world.run(plan_of(Retouch(), Pause()))

    assert (report.undo[0].outcome, document["version"]) == ("kept", 3)  # our claim and our edit


def test_a_change_whose_answer_was_lost_is_taken_back(world):
    world.agent.lose_answers.add("gpu-1")
    world.time.at(0.05, world.agent.lose_answers.clear)

    report = world.run(plan_of(Inject(), Claim()))

    assert str(report.outcomes[0].status) == "broken"
    assert [(one.outcome, one.detail) for one in report.undo] == [("kept", "XID 79 on gpu-1 is recovered")]
    assert world.agent.active() == []


def test_a_change_that_never_arrived_is_fenced_off(world):
    """The request may still be under way when its undo is done: it must find a closed door."""
    undo = UNDOS["recover_fault"](fault_id="gpu-1~late", node="gpu-1", xid=79)

    assert take_back(world, undo) == [
        ("XID 79 on gpu-1", True, "XID 79 on gpu-1 had not happened; a late injection of it is refused"),
    ]  # fmt: skip
    from scenario_runner.core.ports import Injection

    with pytest.raises(TargetRefused, match="recovered before it came"):
        world.agent.inject(Injection("late", "gpu-1", 79, "GPU-10", "run"))


def test_a_change_that_was_refused_leaves_nothing_to_undo(world):
    fault_id = "gpu-1~20260101-000000-drill-abcd-inject"
    world.agent.refusals[fault_id] = TargetRefused("/dev/kmsg is not writable", code="kernel_log_not_writable")

    report = world.run(plan_of(Inject(), Claim()))

    assert (str(report.outcomes[0].status), report.outcomes[0].summary) == ("broken", "/dev/kmsg is not writable")
    assert [(one.outcome, one.detail) for one in report.undo] == [
        ("withdrawn", "nothing was changed: /dev/kmsg is not writable"),
    ]  # fmt: skip
    assert report.verdict.exit_code == 3


def test_an_undo_gets_its_time_after_the_run_was_asked_to_stop(world):
    from scenario_runner.core.clock import StopKind, StopReason

    world.time.at(3.0, lambda: world.stop.trip(StopReason(StopKind.SIGNAL, "interrupted by SIGTERM")))
    world.time.at(2.0, lambda: world.agent.unreachable.update({"gpu-1": "rebooting"}))
    world.time.at(100.0, world.agent.unreachable.clear)

    report = world.run(plan_of(Inject(), Pause(seconds=9), planned(Pause(), "second")))

    assert (report.undo[0].outcome, world.agent.active(), report.verdict.exit_code) == ("kept", [], 130)


@pytest.mark.parametrize("seconds", [3.0, 49.0])
def test_a_creation_that_lands_after_the_run_gave_it_up_is_found_and_deleted(world, seconds):
    before = world.snapshot()
    world.cluster.delay = lambda land: world.time.after(seconds, land)

    report = world.run(plan_of(Furnish()))

    (undo,) = report.undo
    assert (undo.outcome, undo.detail) == ("kept", f"{undo.subject} was deleted")
    assert seconds <= undo.seconds < seconds + 2
    assert world.snapshot() == before


def test_a_creation_that_never_lands_is_waited_for_as_long_as_it_might(world):
    before = world.snapshot()
    world.cluster.delay = lambda land: None

    (undo,) = world.run(plan_of(Furnish())).undo

    assert (undo.outcome, undo.detail) == ("kept", f"{undo.subject} is not there")
    assert (50 <= undo.seconds < 52, world.snapshot()) == (True, before)


def test_nobody_waits_for_a_creation_that_was_answered(world):
    (undo,) = world.run(plan_of(Furnish())).undo

    assert (undo.outcome, undo.seconds < 1) == ("kept", True)


def test_what_may_still_be_made_when_the_budget_is_spent_is_left(world):
    world.cluster.delay = lambda land: None
    undo = UNDOS["delete_created"](api_version="v1", kind="ConfigMap", namespace="dynamo", name="ours")

    assert take_back(world, undo, seconds=20.0) == [
        (
            "our ConfigMap dynamo/ours",
            False,
            "our ConfigMap dynamo/ours may still be made: nobody saw its creation answered, "
            "and 30s are left in which it can land",
        ),
    ]
