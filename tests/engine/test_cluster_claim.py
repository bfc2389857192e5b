"""Owning targets in the cluster: Leases, their renewal, the fence, orphans, and the copy of the promises."""

from dataclasses import replace

import pytest

from scenario_runner.core.ports import ObjectRef
from scenario_runner.core.undo import UNDOS
from scenario_runner.core.undo.recover_fault import RecoverFault
from scenario_runner.engine import cluster_claim, leases
from scenario_runner.engine.copies import read_copy
from scenario_runner.engine.leases import Seat
from scenario_runner.engine.records import Promise
from scenario_runner.engine.run_card import RunCard, Scope
from scenario_runner.errors import (
    ExitCode,
    Fenced,
    Orphaned,
    Refused,
    StepBroken,
    Stopped,
    TargetRefused,
    TargetUnreachable,
)
from tests.fakes import FakeBeats, FakeClaimStore, FakeClock

CARD = RunCard(
    "run-a", "drill", "drill.yaml", "0" * 64, "cluster-1", "a fake", "", "", "", ("gpu-1", "gpu-2"),
    scope=Scope(("dynamo",), ("uid-1",)),
)  # fmt: skip
B = replace(CARD, run_id="run-b")


def promise(seq=1, state="promise", fault="f"):
    undo = RecoverFault(fault_id=f"gpu-1~{fault}", node="gpu-1", xid=79)
    return Promise(seq, "inject", (), undo, "recover_fault", "1.0", state)


class Cluster:
    """One cluster and the clocks of two machines, which go at the same speed and tell different times."""

    def __init__(self):
        self.clock = FakeClock()
        self.store = FakeClaimStore()
        self.beats = FakeBeats(self.clock.time)

    def seat(self, host="here", named=""):
        return Seat(self.store, self.clock, UNDOS, host, named)

    def take(self, card=CARD, host="here"):
        return cluster_claim.take(self.seat(host), card)

    def live(self, card=CARD, host="here"):
        """A run that renews; what is returned with it kills it."""
        held = self.take(card, host)
        return held, self.beats.every(held.every, held.renew, "lease")

    def dead(self, *promises, card=CARD):
        """A run that promised something and died."""
        held = self.take(card, "elsewhere")
        if promises:
            held.promised(promises)
        return held

    def later(self, seconds):
        self.clock.sleep(seconds)

    def holders(self):
        return {one.target: one.holder for one in self.store.leases()}


@pytest.fixture
def cluster():
    return Cluster()


def test_a_claim_is_a_lease_for_each_target_and_a_copy_that_promises_nothing_yet(cluster):
    cluster.take()

    assert cluster.holders() == {"gpu-1": "run-a", "gpu-2": "run-a"}
    assert [(one.seconds, one.host) for one in cluster.store.leases()] == [(30.0, "here")] * 2
    (copy,) = cluster.store.copies()
    read = read_copy(copy, UNDOS)
    assert (read.card, read.past.outstanding) == (CARD, ())


def test_a_run_that_changes_no_node_has_a_lease_all_the_same(cluster):
    cluster.take(replace(CARD, targets=()))

    assert cluster.holders() == {"run run-a": "run-a"}


def test_a_released_claim_leaves_nothing(cluster):
    held = cluster.take()
    held.promised((promise(),))
    held.release((promise(state="kept"),))

    assert (cluster.store.raw, held.notes) == ({}, ())


def test_what_is_left_stays_known_after_the_release_and_refuses_the_next_run(cluster):
    held = cluster.take()
    held.promised((promise(),))
    held.release((promise(state="left"),))

    assert cluster.holders() == {}
    with pytest.raises(Orphaned) as refused:
        leases.refuse_orphans(cluster.seat(named=" --context prod"))
    assert str(refused.value) == (
        "run run-a ended before it had taken everything back (XID 79 on gpu-1), as the cluster remembers: "
        "type `scenario-runner recover run-a --context prod` first"
    )
    assert (refused.value.exit_code, cluster.clock.monotonic()) == (ExitCode.LEFTOVER, 0.0)


def test_a_run_can_own_one_more_node_and_its_copy_says_so(cluster):
    held, wider = cluster.take(), CARD.with_node("gpu-3", "uid-gpu-3")
    held.promised((promise(),))
    held.widen(wider, "gpu-3")

    assert cluster.holders() == {"gpu-1": "run-a", "gpu-2": "run-a", "gpu-3": "run-a"}
    (copy,) = cluster.store.copies()
    read = read_copy(copy, UNDOS)
    assert (read.card, len(read.past.outstanding)) == (wider, 1)
    assert (read.card.targets, read.card.scope) == (
        ("gpu-1", "gpu-2", "gpu-3"), Scope(("dynamo",), ("uid-1", "uid-gpu-3")),
    )  # fmt: skip
    cluster.later(12)
    held.renew()
    assert {one.renewed for one in cluster.store.leases()} == {cluster.seat().stamp()}
    held.release((promise(state="kept"),))
    assert cluster.store.raw == {}


def test_a_node_of_another_living_run_is_not_owned_as_well(cluster):
    cluster.live(replace(B, targets=("gpu-3",)), "elsewhere")
    held = cluster.take()

    with pytest.raises(Refused) as refused:
        held.widen(CARD.with_node("gpu-3", "uid-gpu-3"), "gpu-3")
    assert str(refused.value) == "node gpu-3 belongs to run run-b on elsewhere, which is still running"
    assert read_copy(cluster.store.copy("run-a"), UNDOS).card == CARD
    assert cluster.holders() == {"gpu-1": "run-a", "gpu-2": "run-a", "gpu-3": "run-b"}


def test_a_run_that_lost_its_targets_gets_no_further_ones(cluster):
    held = cluster.take()
    cluster.later(20)
    for lease in cluster.store.leases():
        cluster.store.write_lease(replace(lease, holder="run-b"))
    held.renew()

    with pytest.raises(Fenced):
        held.widen(CARD.with_node("gpu-3", "uid-gpu-3"), "gpu-3")
    assert cluster.holders() == {"gpu-1": "run-b", "gpu-2": "run-b"}


def test_a_target_of_a_living_run_is_refused_with_its_owner_and_the_rest_is_given_back(cluster):
    cluster.live(replace(CARD, targets=("gpu-2",)), "elsewhere")

    with pytest.raises(Refused) as refused:
        cluster.take(B)
    assert str(refused.value) == "node gpu-2 belongs to run run-a on elsewhere, which is still running"
    assert refused.value.exit_code is ExitCode.BROKEN
    assert cluster.holders() == {"gpu-2": "run-a"}
    assert cluster.clock.monotonic() < 10


def test_two_runs_on_different_targets_live_side_by_side(cluster):
    first, _ = cluster.live(replace(CARD, targets=("gpu-1",)))
    first.promised((promise(),))

    leases.refuse_orphans(cluster.seat())
    cluster.take(replace(B, targets=("gpu-2",)))

    assert cluster.holders() == {"gpu-1": "run-a", "gpu-2": "run-b"}


def test_a_lease_is_watched_for_its_whole_duration_before_its_run_counts_as_dead(cluster):
    cluster.dead(promise())

    with pytest.raises(Orphaned, match=r"run run-a ended before it had taken everything back \(XID 79 on gpu-1\)"):
        leases.refuse_orphans(cluster.seat())
    assert cluster.clock.monotonic() == 30.0


def test_an_old_time_in_a_lease_says_nothing(cluster):
    """The other machine's clock is an hour behind: its run lives all the same."""
    held, _ = cluster.live(replace(CARD, targets=("gpu-1",)))
    held.promised((promise(),))
    cluster.clock.time.wall_offset = 3600.0

    leases.refuse_orphans(cluster.seat())

    assert cluster.clock.monotonic() <= 10


def test_an_orphaned_target_is_not_taken_however_old_its_lease_is(cluster):
    cluster.dead(promise())
    cluster.later(100_000)

    with pytest.raises(Orphaned):
        cluster.take(B)
    assert cluster.holders() == {"gpu-1": "run-a", "gpu-2": "run-a"}


def test_a_dead_run_that_never_promised_anything_is_replaced_after_a_whole_duration(cluster):
    cluster.dead()

    cluster.take(B)

    assert (cluster.holders(), cluster.clock.monotonic()) == ({"gpu-1": "run-b", "gpu-2": "run-b"}, 30.0)
    assert [one.run_id for one in cluster.store.copies()] == ["run-b"]


class Waking(FakeClaimStore):
    """Somebody renews his Lease the moment before we write it."""

    sleeper = None

    def write_lease(self, lease):
        sleeper, self.sleeper = self.sleeper, None
        if sleeper is not None:
            sleeper.renew()
        return super().write_lease(lease)


@pytest.mark.parametrize(
    ("promises", "attempt"),
    [
        ((), lambda cluster: cluster.take(B)),
        (
            (promise(),),
            lambda cluster: cluster_claim.take_over(cluster.seat(), CARD, takeover=True, owner_is_dead=False),
        ),
    ],
    ids=["run", "recover"],
)
def test_a_run_that_wakes_up_in_the_last_moment_is_not_robbed(cluster, promises, attempt):
    cluster.store = Waking()
    held = cluster.dead(*promises)
    cluster.store.sleeper = held

    with pytest.raises(
        Refused, match=r"somebody else took a target of run run-\w this moment: lease gpu-1 has changed"
    ):
        attempt(cluster)
    held.check()
    assert cluster.holders() == {"gpu-1": "run-a", "gpu-2": "run-a"}


def test_targets_that_are_given_back_while_they_are_watched_are_free(cluster):
    held = cluster.take()
    cluster.clock.time.after(3, lambda: held.release(()))

    cluster.take(B)

    assert cluster.holders() == {"gpu-1": "run-b", "gpu-2": "run-b"}


def test_a_run_that_ends_while_it_is_watched_is_no_orphan(cluster):
    held, die = cluster.live()
    held.promised((promise(),))
    cluster.later(1)
    die()
    cluster.clock.time.after(3, lambda: held.release((promise(state="kept"),)))

    leases.refuse_orphans(cluster.seat())


HERE = {"host": "here", "boot": "boot-1"}


def died_here(cluster, *promises):
    """A run of this machine died; the seat of the next one, which finds the flock of its journal free."""
    there = replace(cluster.seat(), **HERE)
    held = cluster_claim.take(there, CARD)
    if promises:
        held.promised(promises)
    return replace(there, dead=frozenset({"run-a"}))


def take_next(seat):
    """As every run begins; what it said meanwhile, and how long it took."""
    said = []
    seat = replace(seat, say=said.append)
    began = seat.clock.monotonic()
    leases.refuse_orphans(seat)
    cluster_claim.take(seat, B)
    return said, seat.clock.monotonic() - began


def test_nobody_waits_for_a_run_that_is_proved_to_have_died_on_this_machine(cluster):
    assert take_next(died_here(cluster)) == ([], 0.0)

    assert cluster.holders() == {"gpu-1": "run-b", "gpu-2": "run-b"}
    assert [one.run_id for one in cluster.store.copies()] == ["run-b"]


WAITING = "waiting up to 30s to see whether run run-a on here, which has gpu-1, gpu-2, still lives"


@pytest.mark.parametrize("doubt", [{"dead": frozenset()}, {"boot": "boot-2"}, {"boot": ""}, {"host": "there"}], ids=str)
def test_without_proof_a_silent_run_is_watched_for_its_whole_duration(cluster, doubt):
    said, seconds = take_next(replace(died_here(cluster), **doubt))

    assert (said, round(seconds)) == ([WAITING], 30)
    assert cluster.holders() == {"gpu-1": "run-b", "gpu-2": "run-b"}


def test_two_machines_that_know_no_boots_prove_nothing_to_each_other(cluster):
    cluster.take()

    assert take_next(replace(cluster.seat(), dead=frozenset({"run-a"})))[0] == [WAITING]


def test_a_recovery_that_took_a_dead_runs_leases_over_is_waited_for(cluster):
    seat = died_here(cluster)
    rescue = cluster_claim.take_over(replace(seat, dead=frozenset()), CARD, takeover=False, owner_is_dead=True)
    cluster.beats.every(rescue.every, rescue.renew, "lease")

    with pytest.raises(Refused, match="node gpu-1 belongs to run run-a on here, which is still running"):
        take_next(seat)


def test_a_dead_run_that_left_something_is_an_orphan_at_once_and_keeps_its_claims(cluster):
    seat = died_here(cluster, promise())

    with pytest.raises(Orphaned):
        take_next(seat)
    assert cluster.clock.monotonic() == 0.0
    assert cluster.holders() == {"gpu-1": "run-a", "gpu-2": "run-a"}


def test_leases_of_a_dead_run_that_somebody_else_takes_this_moment_stay_theirs(cluster):
    seat = died_here(cluster)
    store = cluster.store

    class Overtaken(FakeClaimStore):
        """Between our look and our deletion somebody from elsewhere has taken the Lease over."""

        def drop_lease(self, lease):
            found = store.lease(lease.target)
            if found.holder == "run-a":
                store.write_lease(replace(found, holder="run-c", host="elsewhere"))
            store.drop_lease(lease)

    leases.refuse_orphans(replace(seat, store=Overtaken(store.kept)))

    assert cluster.holders() == {"gpu-1": "run-c", "gpu-2": "run-c"}


def test_a_person_may_end_the_watch(cluster):
    from scenario_runner.core.clock import Bell, Stop, StopKind, StopReason

    cluster.dead(promise())
    stop = Stop(Bell())
    cluster.clock.time.after(2, lambda: stop.trip(StopReason(StopKind.SIGNAL, "interrupted by SIGINT")))

    with pytest.raises(Stopped):
        leases.refuse_orphans(replace(cluster.seat(), clock=FakeClock(cluster.clock.time, stop=stop)))
    assert cluster.clock.monotonic() < 4


def test_a_namespace_that_may_not_be_made_refuses_the_run(cluster):
    cluster.store.no_namespace = True

    with pytest.raises(Refused, match="namespace scenario-runner"):
        cluster.take()


def test_a_run_whose_name_has_a_copy_already_is_refused_and_holds_nothing(cluster):
    cluster.take(replace(CARD, targets=("gpu-9",)))

    with pytest.raises(Refused, match="the promises of run run-a cannot be kept in the cluster"):
        cluster.take()
    assert cluster.holders() == {"gpu-9": "run-a"}


def test_a_renewed_claim_may_change_things_for_ever(cluster):
    held, _ = cluster.live()
    cluster.later(1000)

    requests = len(cluster.store.requests)
    held.check()

    assert len(cluster.store.requests) == requests  # a fresh renewal is not asked for again
    assert held.lost == ""


def test_a_claim_that_was_not_renewed_for_two_thirds_of_its_duration_is_renewed_before_the_change(cluster):
    held = cluster.take()
    cluster.later(19)
    held.check()
    assert "write lease gpu-1" not in cluster.store.requests
    cluster.later(2)
    held.check()
    assert "write lease gpu-1" in cluster.store.requests


def test_nothing_may_be_changed_while_a_stale_claim_cannot_be_renewed(cluster):
    held, _ = cluster.live()
    cluster.later(9)
    cluster.store.unreachable = "etcd is away"
    held.check()
    cluster.later(20)

    with pytest.raises(TargetUnreachable) as fenced:
        held.check()
    assert str(fenced.value) == (
        "fenced: the claim in the cluster was renewed 24s ago, nothing may be changed before it is renewed again: "
        "the API server is not reachable: etcd is away"
    )
    assert held.notes == (
        "the claim in the cluster could not be renewed: the API server is not reachable: etcd is away",
    )
    cluster.store.unreachable = ""
    held.check()


def test_a_claim_that_was_taken_over_is_lost_for_good(cluster):
    held = cluster.dead(promise())
    told = []
    held.on_lost = told.append
    taken = cluster_claim.take_over(cluster.seat("rescue"), CARD, takeover=True, owner_is_dead=False)
    holder = cluster.holders()["gpu-1"]

    for attempt in (held.check, lambda: held.promised((promise(), promise(2)))):
        with pytest.raises(Fenced) as fenced:
            attempt()
        assert str(fenced.value) == (
            f"fenced: the Lease of gpu-1 was taken over by {holder} on rescue; who has it now takes our changes back"
        )
    held.renew()
    held.release((promise(),))

    assert (told, held.lost) == ([str(fenced.value)], str(fenced.value))
    assert cluster.holders() == {"gpu-1": holder, "gpu-2": holder}
    taken.release((promise(state="kept"),))
    assert cluster.store.raw == {}


@pytest.mark.parametrize("what", ["lease", "copy"])
def test_a_claim_that_somebody_deleted_is_lost(cluster, what):
    held = cluster.dead(promise())
    cluster.later(25)
    if what == "lease":
        cluster.store.drop_lease(cluster.store.lease("gpu-1"))
        expected = "the Lease of gpu-1 is gone"
    else:
        cluster.store.drop_copy(cluster.store.copy("run-a"))
        expected = "the cluster's copy of our promises is somebody else's by now"

    with pytest.raises(Fenced, match=expected):
        _change(held)


def _change(held):
    held.promised((promise(), promise(2)))
    held.check()


def test_a_write_whose_answer_was_lost_is_recognised_as_ours(cluster):
    held = cluster.take()
    cluster.store.lose_answers = True
    held.renew()
    with pytest.raises(TargetUnreachable):
        held.promised((promise(),))
    cluster.store.lose_answers = False
    cluster.later(25)

    held.check()
    held.promised((promise(), promise(2)))
    cluster.store.lose_answers = True
    held.renew()
    cluster.store.lose_answers = False
    held.release((promise(state="kept"), promise(2, "kept")))

    assert (cluster.store.raw, held.lost) == ({}, "")


def test_the_copy_holds_open_promises_and_of_the_others_only_that_they_are_settled(cluster):
    held = cluster.take()
    held.promised((promise(1, "kept"), promise(2, "done"), promise(3)))

    (copy,) = cluster.store.copies()
    past = read_copy(copy, UNDOS).past
    assert [(one.seq, one.state) for one in past.outstanding] == [(3, "promise"), (2, "done")]
    assert (past.promises[1].state, past.bad) == ("kept", ())
    assert copy.promises.count("fault_id") == 2


def test_promises_beyond_900_kib_are_refused_before_anything_is_written(cluster):
    held = cluster.take()
    before = dict(cluster.store.raw)

    with pytest.raises(StepBroken) as broken:
        held.promised((promise(fault="x" * 900 * 1024),))
    assert str(broken.value) == (
        "nothing was changed: the promises of run run-a have 900 KiB, and the cluster's copy of them may have 900"
    )
    assert cluster.store.raw == before


def test_an_event_on_the_object_tells_who_changes_it_and_how_to_take_it_back(cluster):
    held = cluster.take()
    held.promised((promise(),))
    held.release((promise(state="kept"),))

    node = ObjectRef("v1", "Node", "", "gpu-1")
    assert cluster.store.events == [
        (node, "FaultDrill", "run run-a of scenario drill, started on here, changes this: XID 79 on gpu-1; "
         "`scenario-runner recover run-a` takes it back if the run is dead"),
        (node, "FaultDrillTakenBack", "run run-a of scenario drill, started on here, has taken this back: "
         "XID 79 on gpu-1"),
    ]  # fmt: skip


def test_a_run_that_may_write_no_events_goes_on_and_says_so(cluster):
    cluster.store.no_events = TargetRefused("events is forbidden", code="Forbidden")
    held = cluster.take()

    held.promised((promise(),))

    assert held.notes == ("no Event tells of XID 79 on gpu-1: events is forbidden",)


class TestTakeOver:
    def take_over(self, cluster, *, takeover=False, owner_is_dead=False, card=CARD):
        return cluster_claim.take_over(cluster.seat("rescue"), card, takeover=takeover, owner_is_dead=owner_is_dead)

    def test_leases_that_are_there_are_not_taken_without_being_told_to(self, cluster):
        cluster.dead(promise())

        with pytest.raises(Refused) as refused:
            self.take_over(cluster)
        assert str(refused.value) == (
            "run run-a owns its targets in the cluster, as run-a on elsewhere: if that process is dead, "
            "add --takeover; it takes 30s to see that nobody renews them"
        )

    def test_leases_that_nobody_renews_are_taken_after_a_whole_duration(self, cluster):
        cluster.dead(promise())

        held = self.take_over(cluster, takeover=True)

        assert cluster.clock.monotonic() == 30.0
        assert set(cluster.holders().values()) == {held.copy.holder}
        assert held.copy.holder.startswith("run-a/")

    def test_leases_of_a_run_that_lives_stay_with_it(self, cluster):
        held, _ = cluster.live(host="elsewhere")
        held.promised((promise(),))

        with pytest.raises(Refused) as refused:
            self.take_over(cluster, takeover=True)
        assert str(refused.value) == "run run-a lives: run-a on elsewhere renewed its Lease while we watched"
        held.check()

    def test_the_flock_of_the_journal_proves_that_the_run_itself_is_dead(self, cluster):
        cluster.dead(promise())

        self.take_over(cluster, owner_is_dead=True)

        assert cluster.clock.monotonic() == 0.0

    def test_but_not_that_a_recovery_elsewhere_is(self, cluster):
        cluster.dead(promise())
        self.take_over(cluster, owner_is_dead=True)

        with pytest.raises(Refused, match=r"run run-a owns its targets in the cluster, as run-a/\w{6} on rescue"):
            self.take_over(cluster, owner_is_dead=True)

    def test_targets_of_another_run_are_not_taken(self, cluster):
        cluster.live(B)

        with pytest.raises(Refused, match="node gpu-1 belongs to run run-b on here"):
            self.take_over(cluster, takeover=True, owner_is_dead=True)

    def test_leases_that_are_gone_are_made_anew(self, cluster):
        cluster.dead(promise()).release((promise(state="left"),))

        held = self.take_over(cluster)

        assert (len(cluster.holders()), held.copy.run_id) == (2, "run-a")

    def test_a_recovery_that_dies_is_orphaned_like_its_run(self, cluster):
        cluster.dead(promise())
        self.take_over(cluster, owner_is_dead=True)

        with pytest.raises(Orphaned, match="run run-a ended before"):
            leases.refuse_orphans(cluster.seat())
        self.take_over(cluster, takeover=True).release((promise(state="kept"),))
        assert cluster.store.raw == {}
