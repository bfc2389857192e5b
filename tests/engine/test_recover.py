"""Taking back what a dead run left."""

from dataclasses import replace

import pytest

from scenario_runner.core.ports import Injection
from scenario_runner.core.undo import UNDOS
from scenario_runner.core.undo.recover_fault import RecoverFault
from scenario_runner.engine import claim, recover
from scenario_runner.engine.run_card import RunCard
from scenario_runner.errors import Refused
from tests.fakes import GPUS, FakeWorld

IDENTITY = "11111111-2222-3333-4444-555555555555"
CARD = RunCard("run-a", "drill", "d.yaml", "0" * 64, IDENTITY, "a fake", "", "", "", ("gpu-1",), undo_budget=20.0)


class Grave:
    """A run that injected a fault and died."""

    def __init__(self, root, **changes):
        self.state, self.run_dir = root / "state", root / "reports" / "run-a"
        held = claim.take(self.state, self.run_dir, replace(CARD, **changes), UNDOS)
        self.world = FakeWorld(root, journal=held.journal)
        held.journal.promise(RecoverFault(fault_id="gpu-1~f", node="gpu-1", xid=79), "inject")
        self.world.agent.inject(Injection("f", "gpu-1", 79, GPUS["gpu-1"][0].uuid, "run-a"))
        self.held = held

    def die(self):
        self.held.journal.mark(1, "done")
        self.held.release()
        return self

    def recover(self):
        reach = recover.Reach(self.world.undo_clock, self.world.agent, self.world.cluster)
        return recover.recover(self.run_dir, self.state, reach, UNDOS)


def test_a_dead_run_is_taken_back_and_forgotten(tmp_path):
    grave = Grave(tmp_path).die()

    result = grave.recover()

    assert [(one.seq, one.subject, one.step_id, one.outcome, one.detail) for one in result.undo] == [
        (1, "XID 79 on gpu-1", "inject", "kept", "XID 79 on gpu-1 is recovered"),
    ]  # fmt: skip
    assert (result.exit_code, grave.world.agent.active()) == (0, [])
    assert claim.runs_of(grave.state, IDENTITY, UNDOS) == ()
    assert grave.recover().undo == ()


def test_what_would_be_done_can_be_looked_at_without_doing_it(tmp_path):
    grave = Grave(tmp_path).die()

    card, past = recover.look(grave.run_dir, UNDOS)

    assert (card, [one.subject() for one in past.outstanding]) == (CARD, ["XID 79 on gpu-1"])
    assert grave.world.agent.active() == ["gpu-1~f"]


def test_a_living_run_is_not_recovered(tmp_path):
    grave = Grave(tmp_path)

    with pytest.raises(Refused, match="run run-a is still running; end it, and it takes everything back itself"):
        grave.recover()
    grave.die()


def test_a_run_of_another_cluster_is_not_recovered(tmp_path):
    grave = Grave(tmp_path, identity="another").die()

    with pytest.raises(Refused) as refused:
        grave.recover()
    assert str(refused.value) == f"run run-a belongs to another cluster: another, and this one is {IDENTITY}"


def test_what_cannot_be_taken_back_is_left_and_stays_known(tmp_path):
    grave = Grave(tmp_path).die()
    grave.world.agent.unreachable["gpu-1"] = "no route"

    result = grave.recover()

    assert ([one.outcome for one in result.undo], result.exit_code) == (["left"], 4)
    assert 20.0 <= result.undo[0].seconds < 22
    assert [one.run_id for one in claim.runs_of(grave.state, IDENTITY, UNDOS)] == ["run-a"]
    grave.world.agent.unreachable.clear()
    assert grave.recover().exit_code == 0


def test_a_run_whose_nodes_belong_to_another_run_waits(tmp_path):
    grave = Grave(tmp_path).die()
    cluster = claim.folder(grave.state, IDENTITY)
    locks = claim.lock_targets(cluster, "run-b", ("gpu-1",))

    with pytest.raises(Refused, match="node gpu-1 belongs to run run-b, which is still running"):
        grave.recover()
    claim.unlock(locks)
    assert grave.recover().exit_code == 0


def test_a_journal_that_is_gone_is_said_to_be_gone(tmp_path):
    grave = Grave(tmp_path).die()
    (grave.run_dir / "undo.jsonl").unlink()

    with pytest.raises(Refused, match=r"the journal of run run-a in .* is gone: nothing is known to take back"):
        grave.recover()


def test_unreadable_lines_are_reported_and_end_with_4(tmp_path):
    grave = Grave(tmp_path).die()
    with (grave.run_dir / "undo.jsonl").open("a") as journal:
        journal.write("garbage\n")

    result = grave.recover()

    assert result.bad == ("line 3 of the journal cannot be read: it is not JSON",)
    assert (result.exit_code, grave.world.agent.active()) == (4, [])
