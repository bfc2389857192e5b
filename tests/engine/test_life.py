"""What happens in a run, from the first step to the report."""

from dataclasses import replace
from math import inf

import pytest

from scenario_runner.core.clock import StopKind, StopReason
from scenario_runner.core.events import RunEnded, RunStarted, StepEnded, StepStarted
from scenario_runner.core.outcome import Phase, Role
from scenario_runner.core.plan import Retry
from tests.engine.kinds import AssertRatio, Claim, Flaky, Inject, Join, Pause, Retouch, Send, TakeBack, WaitFor
from tests.fakes import plan_of, planned


def story(report):
    return [(one.number, one.kind, str(one.status), one.summary) for one in report.outcomes]


def drill():
    return plan_of(
        planned(Send(), background=True),
        Pause(seconds=10),
        Inject(),
        WaitFor(),
        WaitFor(fact="schedulable", value="true"),
        Pause(seconds=10),
        Join(),
        AssertRatio(),
    )


def test_a_drill_runs_from_the_load_to_the_undo_and_passes(world):
    before = world.snapshot()

    report = world.run(drill())

    assert story(report) == [
        ("02", "pause", "passed", "10s"),
        ("03", "inject", "passed", "XID 79 on gpu-1"),
        ("04", "wait_for", "passed", "false"),
        ("05", "wait_for", "passed", "true"),
        ("06", "pause", "passed", "10s"),
        ("07", "join", "passed", "joined"),
        ("01", "send", "passed", "301 of 301"),
        ("08", "assert_ratio", "passed", "301 of 301 requests succeeded"),
        ("undo 01", "recover_fault", "passed", "XID 79 on gpu-1 is recovered"),
    ]
    assert (report.verdict.status, report.verdict.exit_code) == ("passed", 0)
    assert report.verdict.reason == "8 steps passed; XID 79 on gpu-1 was noticed; everything was taken back"
    assert world.snapshot() == before
    assert world.journal.outstanding == ()


def test_after_a_failed_step_the_rest_is_skipped_and_everything_is_still_taken_back(world):
    plan = plan_of(Inject(), Claim(says="failed"), Retouch(), planned(Pause(), "last", phase=Phase.ALWAYS))
    before = world.snapshot()

    report = world.run(plan)

    assert story(report) == [
        ("01", "inject", "passed", "XID 79 on gpu-1"),
        ("02", "claim", "failed", "it is not so"),
        ("03", "retouch", "skipped", "step 02 claim failed"),
        ("04", "pause", "passed", "5s"),
        ("undo 01", "recover_fault", "passed", "XID 79 on gpu-1 is recovered"),
    ]
    assert (report.verdict.exit_code, report.verdict.reason) == (1, "step 02 claim failed: it is not so")
    assert world.snapshot() == before


def test_evidence_of_the_first_step_that_did_not_pass_is_collected_before_anything_is_taken_back(world):
    report = world.run(plan_of(Inject(), Claim(says="failed"), planned(Claim(says="failed"), "x", phase=Phase.ALWAYS)))

    assert report.outcomes[1].attachments == (
        "evidence/events.txt",
        "evidence/node-gpu-1.yaml",
        "evidence/faults.json",
        "evidence/deployment-vllm-decode.yaml",
        "evidence/pod-vllm-decode-1.log",
        "evidence/pod-vllm-decode-2.log",
        "evidence/pod-vllm-decode-3.log",
    )
    assert report.outcomes[2].attachments == ()
    assert '"status": "active"' in (world.folder / "evidence/faults.json").read_text()


def test_evidence_that_cannot_be_read_says_so_and_hurts_nothing(world):
    world.time.at(3.0, lambda: setattr(world.cluster, "unreachable", "no route"))
    world.time.at(9.0, lambda: setattr(world.cluster, "unreachable", ""))

    report = world.run(plan_of(Pause(), Claim(says="failed"), Pause()))

    assert report.verdict.exit_code == 1
    assert (world.folder / "evidence/node-gpu-1.yaml").read_text() == (
        "cannot be read: the API server is not reachable: no route\n"
    )


def test_a_bug_in_a_step_is_broken_with_its_trace_and_costs_no_undo(world):
    report = world.run(plan_of(Inject(), Claim(says="bug")))

    bug = report.outcomes[1]
    assert (bug.status, bug.summary) == ("broken", "bug in step: ZeroDivisionError('oops')")
    assert bug.trace is not None
    assert "kinds.py" in bug.trace
    assert report.verdict.exit_code == 3
    assert world.agent.active() == []


def test_a_step_whose_when_is_false_is_skipped_and_the_rest_goes_on(world):
    report = world.run(plan_of(planned(Pause(), when=False), Inject(), WaitFor(), Claim()))

    assert story(report)[0] == ("01", "pause", "skipped", "its `when` is false")
    assert report.verdict.exit_code == 0


def test_a_retried_step_has_its_whole_timeout_each_time_and_keeps_its_lost_attempts(world):
    flaky = planned(Flaky(until=10.0), retry=Retry(attempts=4, every=6.0))

    report = world.run(plan_of(flaky, control=True))

    assert report.outcomes[0].lost_attempts == ("not before 10s, it is 0s", "not before 10s, it is 6s")
    assert (report.outcomes[0].status, report.outcomes[0].summary) == ("passed", "at last")
    assert report.outcomes[0].seconds == 12.0


def test_a_retried_step_fails_with_its_last_attempt(world):
    report = world.run(plan_of(planned(Flaky(until=99.0), retry=Retry(attempts=2, every=1.0)), control=True))

    assert report.outcomes[0].status == "failed"
    assert report.outcomes[0].summary == "not before 99s, it is 1s"
    assert report.outcomes[0].lost_attempts == ("not before 99s, it is 0s",)


class TestGroups:
    def test_what_a_group_changed_is_taken_back_at_its_end(self, world):
        seen = []
        plan = plan_of(
            planned(Inject(), scope=("gpu",)),
            planned(Pause(seconds=3), scope=("gpu",)),
            planned(Pause(seconds=1), "later"),
            Claim(),
        )
        world.time.at(3.5, lambda: seen.append(world.agent.active()))

        report = world.run(plan)

        assert story(report) == [
            ("01", "inject", "passed", "XID 79 on gpu-1"),
            ("02", "pause", "passed", "3s"),
            ("02 end", "group", "passed", "taken back: XID 79 on gpu-1"),
            ("03", "pause", "passed", "1s"),
            ("04", "claim", "passed", "it is so"),
        ]
        assert report.outcomes[2].role is Role.GROUP
        assert seen == [[]]
        assert report.verdict.exit_code == 0

    def test_inner_groups_end_before_outer_ones_and_the_last_group_ends_with_the_steps(self, world):
        plan = plan_of(
            planned(Retouch(), scope=("outer",)),
            planned(Inject(), scope=("outer", "inner")),
            planned(Pause(), scope=("outer", "inner")),
        )

        report = world.run(plan)

        assert story(report)[3:] == [
            ("03 end", "group", "passed", "taken back: XID 79 on gpu-1"),
            ("03 end", "group", "passed", "taken back: edits of Deployment dynamo/vllm-decode"),
            ("verdict", "verdict", "broken", "no assertion was judged after the fault"),
        ]

    def test_a_group_that_follows_another_is_another_group(self, world):
        plan = plan_of(planned(Inject(), "a", scope=("one",)), planned(Inject(xid=48), "b", scope=("two",)))

        report = world.run(plan)

        assert [one.number for one in report.outcomes][:4] == ["01", "01 end", "02", "02 end"]

    def test_a_group_whose_change_stays_is_broken_and_the_rest_is_skipped(self, world):
        plan = plan_of(planned(Inject(), scope=("gpu",)), Claim(), undo_budget=10.0)
        world.time.at(0.0, lambda: None)
        world.platform.blind = True
        world.agent.on_inject = lambda record: world.agent.unreachable.update({"gpu-1": "no route"})

        report = world.run(plan)

        assert story(report)[1:3] == [
            (
                "01 end",
                "group",
                "broken",
                "still to be taken back: XID 79 on gpu-1: the agent of gpu-1 is not reachable: no route",
            ),
            ("02", "claim", "skipped", "step 01 end end of group gpu is broken"),
        ]
        assert report.verdict.exit_code == 4

    def test_a_failure_inside_a_group_leaves_the_taking_back_to_the_end(self, world):
        plan = plan_of(planned(Inject(), scope=("gpu",)), planned(Claim(says="failed"), scope=("gpu",)), Pause())

        report = world.run(plan)

        assert [(one.number, str(one.status)) for one in report.outcomes] == [
            ("01", "passed"), ("02", "failed"), ("03", "skipped"), ("undo 01", "passed"),
        ]  # fmt: skip


class TestBackground:
    def test_a_load_gets_its_outcome_when_it_is_joined(self, world):
        plan = plan_of(planned(Send(), background=True), Pause(), Join(), Pause(seconds=1), control=True)

        report = world.run(plan)

        assert [one.kind for one in report.outcomes] == ["pause", "join", "send", "pause"]
        assert report.outcomes[2].summary == "51 of 51"

    def test_a_load_that_nobody_joins_gets_its_outcome_at_the_end(self, world):
        report = world.run(plan_of(planned(Send(), background=True), Pause(), control=True))

        assert story(report) == [("02", "pause", "passed", "5s"), ("01", "send", "passed", "51 of 51")]

    def test_a_bounded_load_that_nobody_joins_is_waited_for(self, world):
        report = world.run(plan_of(planned(Send(duration=20.0), background=True), Pause(), control=True))

        assert story(report)[1] == ("01", "send", "passed", "200 of 200")

    def test_a_load_is_stopped_early_when_a_step_fails(self, world):
        plan = plan_of(planned(Send(duration=20.0), background=True), Pause(), Claim(says="failed"), control=True)

        report = world.run(plan)

        assert story(report)[2] == ("01", "send", "passed", "51 of 51")

    def test_a_load_that_breaks_stops_the_run_and_makes_it_broken(self, world):
        plan = plan_of(planned(Send(), background=True), Pause(seconds=60), Claim(), control=True)
        world.time.at(7.0, lambda: setattr(world.loads.runs[0], "broken", "the worker died"))

        report = world.run(plan)

        assert story(report)[:3] == [
            ("02", "pause", "interrupted", "cut short because load send broke: the worker died"),
            ("03", "claim", "skipped", "the run was asked to stop: load send broke: the worker died"),
            ("01", "send", "broken", "the worker died"),
        ]
        reason = "load send broke: the worker died; cut short: step 02 pause"
        assert (report.verdict.exit_code, str(report.verdict.status), report.verdict.reason) == (3, "broken", reason)

    def test_a_load_that_breaks_while_the_run_waits_for_its_end_is_broken_and_not_interrupted(self, world):
        plan = plan_of(planned(Send(duration=20.0), background=True), Pause(), control=True)
        world.time.at(7.0, lambda: setattr(world.loads.runs[0], "broken", "the worker died"))

        report = world.run(plan)

        assert story(report)[1] == ("01", "send", "broken", "the worker died")
        assert (report.verdict.exit_code, report.verdict.reason) == (3, "load send broke: the worker died")

    def test_a_load_in_the_foreground_that_breaks_may_be_tried_again(self, world):
        plan = plan_of(planned(Send(duration=20.0), retry=Retry(2, 1.0)), Pause(), control=True)
        world.time.at(7.0, lambda: setattr(world.loads.runs[0], "broken", "the worker died"))

        report = world.run(plan)

        assert [(one.kind, str(one.status), one.lost_attempts) for one in report.outcomes] == [
            ("send", "passed", ("the worker died",)),
            ("pause", "passed", ()),
        ]
        assert report.verdict.exit_code == 0

    def test_a_load_whose_last_requests_never_end_is_broken(self, world):
        world.loads.answer = lambda at: (inf, "")
        plan = plan_of(planned(Send(), background=True), Pause(seconds=1), control=True)

        report = world.run(plan)

        assert story(report)[1] == ("01", "send", "broken", "load send did not end: 11 requests have not ended")


class TestHealth:
    def test_a_sick_system_is_left_alone(self, world):
        plan = plan_of(planned(Claim(says="failed"), "well", phase=Phase.HEALTH), Inject(), Claim())

        report = world.run(plan)

        assert story(report) == [
            ("01", "claim", "failed", "it is not so"),
            ("02", "inject", "skipped", "step 01 claim failed"),
            ("03", "claim", "skipped", "step 01 claim failed"),
            ("01 again", "claim", "failed", "it is not so"),
        ]
        assert world.agent.calls == []
        assert report.verdict.exit_code == 1

    def test_health_must_hold_again_after_the_undo(self, world):
        plan = plan_of(planned(Pause(seconds=1), "well", phase=Phase.HEALTH), Inject(), WaitFor(), Claim())

        report = world.run(plan)

        assert [(one.number, one.phase) for one in report.outcomes][-2:] == [
            ("undo 01", Phase.UNDO),
            ("01 again", Phase.HEALTH_AFTER),
        ]

    def test_steps_of_after_see_the_world_when_everything_is_taken_back(self, world):
        seen = []
        plan = plan_of(Inject(), WaitFor(), Claim(), planned(Pause(seconds=1), "after", phase=Phase.AFTER))
        world.listeners = (lambda event: _note_start(event, "after", lambda: seen.append(world.agent.active())),)

        report = world.run(plan)

        assert seen == [[]]
        assert report.outcomes[-1].phase is Phase.AFTER


def _note_start(event, step_id, call):
    if isinstance(event, StepStarted) and event.step_id == step_id:
        call()


def test_a_failed_step_of_after_fails_the_run(world):
    report = world.run(plan_of(Inject(), WaitFor(), Claim(), planned(Claim(says="failed"), "a", phase=Phase.AFTER)))

    assert (report.verdict.exit_code, report.verdict.reason) == (1, "step 04 claim failed: it is not so")


def test_every_step_of_always_is_carried_out_whatever_comes_of_the_others(world):
    always = [
        planned(Claim(says=says), f"always-{says}", phase=Phase.ALWAYS) for says in ("broken", "failed", "passed")
    ]

    report = world.run(plan_of(Claim(says="failed"), *always))

    assert [str(one.status) for one in report.outcomes] == ["failed", "broken", "failed", "passed"]


def test_a_step_can_bring_the_undo_of_another_forward(world):
    report = world.run(plan_of(Inject(), WaitFor(), TakeBack(), Claim()))

    assert story(report)[2] == ("03", "take_back", "passed", "XID 79 on gpu-1 is recovered")
    assert [one.number for one in report.outcomes] == ["01", "02", "03", "04"]
    assert report.faults[0].end_reason == "taken back"
    assert report.verdict.exit_code == 0


@pytest.mark.parametrize(
    ("steps", "summary"),
    [
        ([Inject(), TakeBack(), planned(TakeBack(), "again")], "it had been taken back before"),
        ([TakeBack()], "step inject changed nothing that could be taken back"),
    ],
    ids=["twice", "nothing"],
)
def test_taking_back_what_is_not_there_says_so(world, steps, summary):
    assert world.run(plan_of(*steps)).outcomes[len(steps) - 1].summary == summary


def test_listeners_hear_the_run_in_order(world):
    world.run(plan_of(Pause(), control=True))

    told = [event for event in world.events if isinstance(event, RunStarted | StepStarted | StepEnded | RunEnded)]
    assert [type(event).__name__ for event in told] == ["RunStarted", "StepStarted", "StepEnded", "RunEnded"]


def test_a_broken_listener_never_hurts_a_run_and_becomes_a_note(world):
    def full_disk(event):
        raise OSError("disk full")

    heard = []
    world.listeners = (full_disk, heard.append)

    report = world.run(plan_of(Inject(), WaitFor(), Claim()))

    assert report.verdict.exit_code == 0
    assert heard
    assert report.notes == (
        "the listener test_a_broken_listener_never_hurts_a_run_and_becomes_a_note.<locals>.full_disk broke at "
        "RunStarted: OSError('disk full')",
    )


def test_a_bug_in_the_engine_costs_no_undo(world):
    class Odd:
        """A step that the engine cannot even name."""

        def __getattr__(self, name):
            raise ZeroDivisionError("a bug")

    plan = plan_of(Inject(), Claim())
    odd = replace(plan, steps=(plan.steps[0], replace(plan.steps[1], step=Odd())))

    report = world.run(odd)

    assert world.agent.active() == []
    assert (report.verdict.exit_code, report.verdict.reason) == (3, "bug in the engine: ZeroDivisionError('a bug')")


def test_a_run_that_is_not_watched_any_more_does_not_pass(world):
    """The ticker judges `abort_when`: when it breaks, nobody would stop a drill that does harm."""
    plan = replace(plan_of(Inject(), WaitFor(), Claim()), abort_when=None)

    report = world.run(plan)

    assert report.verdict.exit_code == 3
    assert report.verdict.reason == "bug in the engine: TypeError(\"'NoneType' object is not iterable\")"


def test_evidence_has_a_grace_and_no_more(world):
    def slow(kind, namespace, name):
        world.time.freeze(70.0)
        return "slow\n"

    world.cluster.describe = slow

    world.run(plan_of(Claim(says="failed")))

    texts = {path.name: path.read_text() for path in (world.folder / "evidence").iterdir()}
    assert texts["node-gpu-1.yaml"] == "slow\n"
    assert texts["faults.json"] == texts["pod-vllm-decode-1.log"] == "not read: the time for evidence was over\n"


def test_an_api_server_that_never_lists_breaks_the_run_before_anything_is_changed(world):
    world.cluster.mute.add("pods")

    report = world.run(plan_of(Inject(), Claim()))

    reason = "the API server gave no complete list of: pods in dynamo"
    assert [(str(one.status), one.summary) for one in report.outcomes[:2]] == [("skipped", reason)] * 2
    assert (report.verdict.exit_code, report.verdict.reason) == (3, reason)
    assert world.agent.calls == []


def test_an_unreachable_api_server_breaks_the_run_before_anything_is_changed(world):
    world.cluster.unreachable = "no route"

    report = world.run(plan_of(Inject(), Claim()))

    assert report.verdict.reason == "the API server is not reachable: no route"
    assert world.agent.calls == []


def test_a_thousand_steps_that_do_nothing_write_nothing_and_start_no_thread(tmp_path):
    import threading

    from scenario_runner.engine.appending import Disk
    from tests.fakes import FakeWorld

    synced, threads = [], threading.active_count()
    world = FakeWorld(tmp_path, disk=Disk(sync=synced.append))
    plan = plan_of(*(planned(Pause(seconds=0), f"s{number}") for number in range(1000)), control=True)

    report = world.run(plan)

    assert [one.status for one in report.outcomes] == ["passed"] * 1000
    assert (synced, (tmp_path / "undo.jsonl").read_bytes()) == ([], b"")
    assert threading.active_count() == threads
    world.journal.close()


def test_the_wall_clock_may_jump_and_no_duration_follows(world):
    world.time.at(2.0, lambda: setattr(world.time, "wall_offset", -86400.0))

    report = world.run(plan_of(Inject(), WaitFor(), Pause(), Claim()))

    assert report.verdict.exit_code == 0
    assert report.outcomes[2].seconds == 5.0
    assert all(one.seconds >= 0 for one in report.outcomes)


def test_a_stop_is_heard_before_the_next_step_and_told_once(world):
    plan = plan_of(Pause(), Pause(), Pause())
    world.time.at(2.0, lambda: world.stop.trip(StopReason(StopKind.SIGNAL, "interrupted by SIGINT")))

    report = world.run(plan)

    assert story(report)[:3] == [
        ("01", "pause", "interrupted", "interrupted by SIGINT"),
        ("02", "pause", "skipped", "the run was asked to stop: interrupted by SIGINT"),
        ("03", "pause", "skipped", "the run was asked to stop: interrupted by SIGINT"),
    ]
    assert [type(event).__name__ for event in world.events].count("StopRequested") == 1
    assert report.verdict.exit_code == 130
