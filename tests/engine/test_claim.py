"""Who owns a cluster's nodes: two runs at once, orphans, and what the state folder remembers."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from scenario_runner.core.undo import UNDOS
from scenario_runner.core.undo.recover_fault import RecoverFault
from scenario_runner.engine import claim
from scenario_runner.engine.run_card import RunCard, read_card
from scenario_runner.errors import ExitCode, Orphaned, Refused

CARD = RunCard(
    "run-a", "drill", "drill.yaml", "0" * 64, "cluster-1", "lab demo", "/tmp/kubeconfig", "http://127.0.0.1:1",
    "/tmp/token", ("gpu-1", "gpu-2"),
)  # fmt: skip
UNDO = RecoverFault(fault_id="gpu-1~f", node="gpu-1", xid=79)


@pytest.fixture
def take(tmp_path):
    held = []

    def take(run_id="run-a", **changes):
        card = replace(CARD, run_id=run_id, **changes)
        held.append(claim.take(tmp_path / "state", tmp_path / "reports" / run_id, card, UNDOS))
        return held[-1]

    yield take
    for one in held:
        one.release()


def die(held):
    """As if the process had been killed: every lock falls, nothing is tidied up."""
    held.journal.close()
    for lock in held._locks:
        os.close(lock)
    held._locks = []


def known(tmp_path, identity="cluster-1"):
    return [(one.run_id, one.alive) for one in claim.runs_of(tmp_path / "state", identity, UNDOS)]


def test_a_claim_writes_the_run_card_and_is_known_until_it_is_released(tmp_path, take):
    held = take()

    assert read_card(tmp_path / "reports/run-a") == CARD
    assert known(tmp_path) == [("run-a", True)]
    assert claim.find_run(tmp_path / "state", "run-a") == tmp_path / "reports/run-a"
    held.release()
    assert known(tmp_path) == []
    assert claim.find_run(tmp_path / "state", "run-a") is None


def test_a_node_of_a_living_run_is_refused_with_its_owner(take):
    take()

    with pytest.raises(Refused) as refused:
        take("run-b", targets=("gpu-2", "gpu-3"))
    assert str(refused.value) == "node gpu-2 belongs to run run-a, which is still running"
    assert refused.value.exit_code is ExitCode.BROKEN


def test_a_run_can_own_one_more_node_and_its_card_says_so(tmp_path, take):
    held, also = take(targets=("gpu-1",)), []
    wider = read_card(tmp_path / "reports/run-a").with_node("gpu-2", "uid-gpu-2")
    held.widen(wider, "gpu-2", lambda: also.append("in the cluster"))

    assert (read_card(tmp_path / "reports/run-a"), also) == (wider, ["in the cluster"])
    with pytest.raises(Refused, match=r"^node gpu-2 belongs to run run-a, which is still running$"):
        take("run-b", targets=("gpu-2",))
    held.release()
    take("run-b", targets=("gpu-2",)).release()


def test_a_node_that_can_not_be_owned_in_the_cluster_is_not_owned_here_either(tmp_path, take):
    held = take(targets=("gpu-1",))
    card = read_card(tmp_path / "reports/run-a")

    def refuse():
        raise Refused("it is theirs")

    with pytest.raises(Refused, match=r"^it is theirs$"):
        held.widen(card.with_node("gpu-2", "uid-gpu-2"), "gpu-2", refuse)
    assert read_card(tmp_path / "reports/run-a") == card
    take("run-b", targets=("gpu-2",)).release()


def test_a_refused_claim_holds_nothing(take):
    first = take("run-a", targets=("gpu-2",))
    with pytest.raises(Refused):
        take("run-b", targets=("gpu-1", "gpu-2"))

    take("run-c", targets=("gpu-1",))
    first.release()


def test_two_runs_on_different_nodes_live_side_by_side(tmp_path, take):
    take("run-a", targets=("gpu-1",))
    take("run-b", targets=("gpu-2",))

    assert known(tmp_path) == [("run-a", True), ("run-b", True)]


def test_the_same_node_name_in_another_cluster_is_another_node(take):
    take()
    take("run-b", identity="cluster-2")


def test_a_dead_run_with_an_open_promise_must_be_recovered_first(tmp_path, take):
    held = take()
    held.journal.promise(UNDO, "inject")
    die(held)

    with pytest.raises(Orphaned) as refused:
        take("run-b", targets=("gpu-3",))
    assert str(refused.value) == (
        "run run-a ended before it had taken everything back (XID 79 on gpu-1): "
        "type `scenario-runner recover run-a` first"
    )
    assert refused.value.exit_code is ExitCode.LEFTOVER
    assert not (tmp_path / "reports/run-b").exists()


def test_a_dead_run_that_had_taken_everything_back_is_forgotten(tmp_path, take):
    held = take()
    promise = held.journal.promise(UNDO, "inject")
    held.journal.mark(promise.seq, "kept")
    die(held)

    take("run-b")

    assert known(tmp_path) == [("run-b", True)]


def test_a_free_flock_proves_that_a_run_is_dead_until_the_next_one_has_begun(tmp_path, take):
    def dead():
        return claim.refuse_orphans(tmp_path / "state", "cluster-1", UNDOS)

    held = take()
    assert dead() == frozenset()
    die(held)
    assert (dead(), dead()) == ({"run-a"}, {"run-a"})
    take("run-b")
    assert dead() == frozenset()


def test_a_run_whose_claims_stay_in_the_cluster_is_known_to_be_dead(tmp_path, take):
    take().release(claims_stay=True)

    assert known(tmp_path) == [("run-a", False)]
    assert claim.refuse_orphans(tmp_path / "state", "cluster-1", UNDOS) == {"run-a"}


def test_a_dead_run_with_an_unreadable_journal_is_not_forgotten(tmp_path, take):
    held = take()
    die(held)
    (tmp_path / "reports/run-a/undo.jsonl").write_text("garbage\n")

    with pytest.raises(Orphaned, match="line 1 of the journal cannot be read: it is not JSON"):
        take("run-b")


def test_a_dead_run_whose_folder_is_gone_is_not_forgotten(tmp_path, take):
    held = take()
    die(held)
    (tmp_path / "reports/run-a/undo.jsonl").unlink()

    with pytest.raises(Orphaned, match=r"its journal in .*/reports/run-a is gone"):
        take("run-b")


def test_a_run_that_left_something_stays_known_after_its_release(tmp_path, take):
    held = take()
    held.journal.promise(UNDO, "inject")
    held.journal.mark(1, "left", "agent gone")
    held.release()

    assert known(tmp_path) == [("run-a", False)]
    with pytest.raises(Orphaned):
        take("run-b")


def test_another_process_sees_the_same_claim(tmp_path, take):
    take()
    code = (
        "import sys, json; from pathlib import Path; from scenario_runner.engine import claim\n"
        "from scenario_runner.engine.run_card import read_card; from scenario_runner.core.undo import UNDOS\n"
        "from dataclasses import replace\n"
        "root = Path(sys.argv[1]); card = replace(read_card(root / 'reports/run-a'), run_id='run-b')\n"
        "try: claim.take(root / 'state', root / 'reports/run-b', card, UNDOS)\n"
        "except Exception as exc: print(type(exc).__name__, exc)"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)

    assert ended.stdout == "Refused node gpu-1 belongs to run run-a, which is still running\n"


def test_a_folder_that_exists_is_not_written_into(tmp_path, take):
    (tmp_path / "reports/run-a").mkdir(parents=True)

    with pytest.raises(Refused, match="exists already: every run has a folder of its own"):
        take()
    take("run-b")


def test_a_report_folder_that_cannot_be_made_is_refused_in_a_sentence(tmp_path, take):
    (tmp_path / "reports").write_text("a file")

    with pytest.raises(Refused, match=r"^the folder .*/reports/run-a cannot be made: Not a directory$"):
        take()


def test_a_folder_without_a_run_card_is_no_run(tmp_path):
    with pytest.raises(Refused, match=r"is not the folder of a run: it has no run\.json"):
        read_card(tmp_path)


def test_a_damaged_run_card_says_what_is_wrong(tmp_path):
    (tmp_path / "run.json").write_text('{"run_id": 3}')

    with pytest.raises(Refused, match=r"run\.json cannot be read: run_id: "):
        read_card(tmp_path)
