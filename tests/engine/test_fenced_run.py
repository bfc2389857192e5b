"""Whole runs whose claim in the cluster is renewed, goes stale, or passes to somebody else."""

import pytest

from scenario_runner.engine import cluster_claim
from scenario_runner.engine.run_card import RunCard, Scope
from tests.engine.kinds import Claim, Furnish, Inject, Pause, Retouch
from tests.fakes import FakeBeats, FakeWorld, plan_of, planned

CARD = RunCard(
    "20260101-000000-drill-abcd", "drill", "d.yaml", "0" * 64, "cluster-1", "a fake", "", "", "", ("gpu-1",),
    scope=Scope(("dynamo",), ("uid-vllm-decode",)),
)  # fmt: skip
INJECT = Inject(expect="written")


class Owned:
    """A world in which the run has claimed its targets, and another machine that may take them."""

    def __init__(self, folder):
        self.world = FakeWorld(folder)
        self.world.platform.blind = True
        self.hold = cluster_claim.take(self.world.seat(), CARD)
        self.world.claim = self.hold
        self.beat = FakeBeats(self.world.time).every(self.hold.every, self.hold.renew, "lease")

    def run(self, *steps):
        from scenario_runner.core.clock import StopKind, StopReason

        self.hold.on_lost = lambda why: self.world.stop.trip(StopReason(StopKind.BROKEN, why))
        report = self.world.run(plan_of(*steps, undo_budget=60.0))
        self.hold.release(self.world.journal.promises)
        return report

    def taken_over(self):
        """What `recover --takeover` of another machine does, as if it had watched."""
        cluster_claim.take_over(self.world.seat("rescue"), CARD, takeover=False, owner_is_dead=True)


@pytest.fixture
def owned(tmp_path):
    return Owned(tmp_path)


def test_a_run_leaves_no_claim_behind_and_tells_the_objects_that_it_changed(owned):
    report = owned.run(INJECT, Retouch(), Furnish(), Pause(seconds=100), Claim())

    assert (report.verdict.exit_code, report.verdict.reason[:14]) == (0, "5 steps passed")
    assert owned.world.claims.raw == {}
    assert [(at.kind, reason) for at, reason, _ in owned.world.claims.events] == [
        ("Node", "FaultDrill"), ("Deployment", "FaultDrill"), ("ConfigMap", "FaultDrill"),
        ("Node", "FaultDrillTakenBack"), ("Deployment", "FaultDrillTakenBack"), ("ConfigMap", "FaultDrillTakenBack"),
    ]  # fmt: skip


def test_the_promise_is_in_the_cluster_before_the_change(owned):
    order = []
    owned.world.claims.crashing = owned.world.cluster.crashing = owned.world.agent.crashing = Noting(order)

    owned.run(Retouch(), Claim())

    first = order.index("claim Deployment vllm-decode")
    assert order[first - 1].startswith("write copy ")
    assert order[first + 1] == "edit Deployment vllm-decode"


def test_a_run_that_was_taken_over_changes_nothing_more_and_takes_nothing_back(owned):
    owned.world.time.at(7.0, owned.taken_over)

    report = owned.run(INJECT, Pause(seconds=100), planned(Retouch(), "later"), Claim())

    holder = owned.world.claims.lease("gpu-1").holder
    reason = f"fenced: the Lease of gpu-1 was taken over by {holder} on rescue; who has it now takes our changes back"
    assert (report.verdict.exit_code, report.verdict.reason) == (3, reason)
    assert [(one.outcome, one.detail) for one in report.undo] == [("left", reason)]
    assert len(owned.world.agent.active()) == 1
    assert owned.world.time.elapsed < 60
    assert [one.seq for one in owned.world.journal.outstanding] == [1]


def test_a_run_that_was_stopped_for_a_while_and_not_taken_over_goes_on(owned):
    owned.world.time.at(3.0, lambda: owned.world.time.freeze(200))

    report = owned.run(Pause(seconds=5), Inject(expect="written", ttl=None), Pause(seconds=1), Claim())

    assert (report.verdict.exit_code, owned.world.agent.active()) == (0, [])


def test_a_run_that_was_stopped_and_taken_over_in_that_time_does_not_begin_another_change(owned):
    def sleep():
        owned.world.time.freeze(200)
        owned.taken_over()

    owned.beat()  # a process that is stopped renews nothing
    owned.world.time.at(3.0, sleep)

    report = owned.run(Pause(seconds=5), INJECT, Claim())

    assert (report.verdict.exit_code, report.verdict.reason) == (
        3, "fenced: the cluster's copy of our promises is somebody else's by now; who has it now takes our changes back"
    )  # fmt: skip
    assert [one.outcome for one in report.undo] == ["withdrawn"]
    assert owned.world.agent.active() == []


def test_a_server_that_is_away_for_ten_seconds_disturbs_nothing(owned):
    owned.world.time.at(6.0, lambda: setattr(owned.world.claims, "unreachable", "etcd is away"))
    owned.world.time.at(16.0, lambda: setattr(owned.world.claims, "unreachable", ""))

    report = owned.run(INJECT, Pause(seconds=11), Pause(seconds=10), planned(Retouch(), "later"), Claim())

    assert (report.verdict.exit_code, owned.world.claims.raw) == (0, {})
    assert report.notes == (
        "the claim in the cluster could not be renewed: the API server is not reachable: etcd is away",
    )


def test_an_undo_waits_until_the_claim_is_known_to_be_ours_again(owned):
    owned.world.time.at(6.0, lambda: setattr(owned.world.claims, "unreachable", "etcd is away"))
    owned.world.time.at(70.0, lambda: setattr(owned.world.claims, "unreachable", ""))

    report = owned.run(INJECT, Pause(seconds=40), Claim())

    assert [(one.outcome, one.seconds >= 29) for one in report.undo] == [("kept", True)]
    assert (report.verdict.exit_code, owned.world.agent.active(), owned.world.claims.raw) == (0, [], {})


def test_an_undo_that_never_learns_whether_the_claim_is_ours_leaves_something(owned):
    owned.world.time.at(6.0, lambda: setattr(owned.world.claims, "unreachable", "etcd is away"))

    report = owned.run(INJECT, Pause(seconds=40), Claim())

    ((outcome, detail),) = [(one.outcome, one.detail) for one in report.undo]
    assert outcome == "left"
    assert detail.startswith("fenced: the claim in the cluster was renewed ")
    assert report.verdict.exit_code == 4


def test_a_promise_that_does_not_reach_the_cluster_changes_nothing(owned):
    owned.world.time.at(2.0, lambda: setattr(owned.world.claims, "unreachable", "no route"))

    report = owned.run(Pause(seconds=3), INJECT, Claim())

    assert [(one.outcome, one.detail) for one in report.undo] == [
        ("withdrawn", "the API server is not reachable: no route"),
    ]  # fmt: skip
    assert (report.verdict.exit_code, owned.world.agent.active()) == (3, [])


class Noting:
    """Notes what is about to be done."""

    def __init__(self, order):
        self.order = order

    def __call__(self, what):
        from contextlib import nullcontext

        self.order.append(what)
        return nullcontext()
