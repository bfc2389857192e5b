"""Recovering from the cluster's copy alone, and copies that are not to be believed."""

import json
from dataclasses import asdict, replace

import pytest

from scenario_runner.core.edits import CLAIM
from scenario_runner.core.ports import Injection
from scenario_runner.core.step import Undo
from scenario_runner.core.undo.delete_created import DeleteCreated
from scenario_runner.core.undo.recover_fault import RecoverFault
from scenario_runner.core.undo.revert_edits import RevertEdits, SavedEdit
from scenario_runner.engine import cluster_claim, recover
from scenario_runner.engine.records import Promise, encode, promise_body, sealed
from scenario_runner.engine.run_card import RunCard, Scope
from scenario_runner.errors import Refused
from tests.fakes import GPUS, FakeBeats, FakeWorld

IDENTITY = "11111111-2222-3333-4444-555555555555"
CARD = RunCard(
    "run-a", "drill", "d.yaml", "0" * 64, IDENTITY, "a fake", "", "", "", ("gpu-1",), undo_budget=20.0,
    scope=Scope(("dynamo",), ("uid-vllm-decode",)),
)  # fmt: skip
MODEL = ("spec", "template", "spec", "containers", "name=main", "env", "name=MODEL", "value")
FAULT = RecoverFault(fault_id="gpu-1~f", node="gpu-1", xid=79)
EDIT = RevertEdits(
    api_version="apps/v1", kind="Deployment", namespace="dynamo", name="vllm-decode", uid="uid-vllm-decode",
    edits=(SavedEdit(path=MODEL, was="evil", became="tiny"),),
)  # fmt: skip
CREATED = DeleteCreated(api_version="v1", kind="ConfigMap", namespace="dynamo", name="theirs")

UNREADABLE = "the cluster's copy of run run-a cannot be read: "


class Grave:
    """A run of another machine that injected a fault and died; `plant` overwrites what the cluster remembers of it."""

    def __init__(self, folder, **changes):
        self.world = FakeWorld(folder)
        self.card = replace(CARD, **changes)
        held = cluster_claim.take(self.world.seat("elsewhere"), self.card)
        held.promised((Promise(1, "inject", (), FAULT, FAULT.undo, "1.0"),))
        self.world.agent.inject(Injection("f", "gpu-1", 79, GPUS["gpu-1"][0].uuid, "run-a"))

    def plant(self, *undos: Undo, card=None, lines=None):
        made = [Promise(n, "step", (), undo, undo.undo, "1.0") for n, undo in enumerate(undos, start=1)]
        text = lines or b"".join(encode("run-a", one.seq, "promise", promise_body(one)) for one in made).decode()
        copy = self.world.claims.copy("run-a")
        self.world.claims.write_copy(replace(copy, card=card or copy.card, promises=text))
        return self

    def recover(self, **how):
        seat = self.world.seat("rescue")
        reach = recover.Reach(
            self.world.undo_clock, self.world.agent, self.world.cluster, seat, **{"takeover": True, **how},
            beats=FakeBeats(self.world.time),
        )  # fmt: skip
        return recover.recover_copy(recover.look_copy(seat, "run-a"), reach)


@pytest.fixture
def grave(tmp_path):
    return Grave(tmp_path)


def ends(result):
    return [(one.outcome, one.detail) for one in result.undo]


def test_a_dead_run_is_taken_back_without_its_folder_and_forgotten(grave):
    result = grave.recover()

    assert [(one.seq, one.subject, one.step_id, one.outcome, one.detail) for one in result.undo] == [
        (1, "XID 79 on gpu-1", "inject", "kept", "XID 79 on gpu-1 is recovered"),
    ]  # fmt: skip
    assert (result.exit_code, grave.world.agent.active(), grave.world.claims.raw) == (0, [], {})
    with pytest.raises(Refused, match="the cluster knows of no run run-a that has anything left to take back"):
        grave.recover()


def test_a_recovery_without_takeover_waits_for_the_word(grave):
    with pytest.raises(Refused, match="add --takeover"):
        grave.recover(takeover=False)
    assert grave.world.agent.active() == ["gpu-1~f"]


def test_what_cannot_be_taken_back_stays_in_the_cluster(grave):
    grave.world.agent.unreachable["gpu-1"] = "no route"

    assert ends(grave.recover()) == [("left", "the agent of gpu-1 is not reachable: no route")]
    assert [one.target for one in grave.world.claims.leases()] == []
    grave.world.agent.unreachable.clear()
    assert (grave.recover(takeover=False).exit_code, grave.world.claims.raw) == (0, {})


def test_a_run_of_another_cluster_is_not_recovered(tmp_path):
    with pytest.raises(Refused, match="run run-a belongs to another cluster: another, and this one is 1111"):
        Grave(tmp_path, identity="another").recover()


def test_an_undo_of_a_kind_that_is_not_ours_is_not_carried_out(grave):
    line = encode("run-a", 1, "promise", {"undo": {"undo": "run_shell", "command": "rm -rf /"}, "version": "6.6.6"})
    grave.plant(lines=line.decode())

    result = grave.recover()

    assert ends(result) == [("left", "this version knows no undo of kind 'run_shell'; it was written by version 6.6.6")]
    assert result.exit_code == 4


@pytest.mark.parametrize(
    ("undo", "refusal"),
    [
        (EDIT.model_copy(update={"uid": "uid-of-another"}), "Deployment dynamo/vllm-decode with uid uid-of-another"),
        (EDIT.model_copy(update={"namespace": "kube-system"}), "namespace kube-system"),
        (EDIT.model_copy(update={"namespace": ""}), "namespace "),
        (CREATED.model_copy(update={"namespace": "kube-system"}), "namespace kube-system"),
        (FAULT.model_copy(update={"node": "gpu-2"}), "node gpu-2"),
    ],
)
def test_what_the_plan_of_the_run_does_not_name_is_not_touched(grave, undo, refusal):
    grave.world.cluster.documents["Deployment/kube-system/vllm-decode"] = {
        "uid": "uid-vllm-decode", "version": 1, "content": {},
    }  # fmt: skip
    before = grave.world.snapshot()

    result = grave.plant(undo).recover()

    assert ends(result) == [("left", f"refused: the plan of run run-a does not name {refusal}")]
    assert (result.exit_code, grave.world.snapshot()) == (4, before)


def test_an_object_without_our_claim_is_not_deleted(tmp_path):
    grave = Grave(tmp_path, undo_budget=60.0)  # our own might still land
    content = {"metadata": {"annotations": {CLAIM: "run-x/1"}}}
    grave.world.cluster.documents["ConfigMap/dynamo/theirs"] = {"uid": "u", "version": 1, "content": content}
    before = grave.world.snapshot()["documents"]

    assert ends(grave.plant(CREATED).recover()) == [("kept", "our ConfigMap dynamo/theirs is not there")]
    assert grave.world.snapshot()["documents"] == before


def test_an_object_with_the_claim_of_another_run_is_not_edited(grave):
    document = grave.world.cluster.documents["Deployment/dynamo/vllm-decode"]
    document["content"]["metadata"]["annotations"][CLAIM] = "run-x/1"
    before = grave.world.snapshot()["documents"]

    assert ends(grave.plant(EDIT).recover()) == [
        ("kept", "edits of Deployment dynamo/vllm-decode has nothing of ours"),
    ]  # fmt: skip
    assert grave.world.snapshot()["documents"] == before


def test_an_object_that_we_never_claimed_is_not_edited_whatever_the_promise_says_it_was(grave):
    before = grave.world.snapshot()["documents"]

    ((outcome, detail),) = ends(grave.plant(EDIT).recover())

    assert (outcome, detail) == (
        "left",
        f"edits of Deployment dynamo/vllm-decode: {'.'.join(MODEL)} still is what we made of it, but somebody took "
        "our claim off: was 'evil'",
    )
    assert grave.world.snapshot()["documents"] == before


def test_a_line_with_a_wrong_checksum_is_reported_and_not_carried_out(grave):
    line = encode("run-a", 1, "promise", promise_body(Promise(1, "", (), FAULT, "recover_fault", "1.0"))).decode()
    planted = line.replace('"xid":79', '"xid":80')
    grave.plant(lines=planted)

    result = grave.recover()

    assert (result.undo, result.bad) == ((), ("line 1 of the journal cannot be read: its checksum does not match",))
    assert (result.exit_code, grave.world.agent.active()) == (4, ["gpu-1~f"])
    assert grave.world.claims.copy("run-a").promises == planted  # as it is, for a person to look at


def test_a_promise_that_was_taken_out_of_the_copy_is_missed(grave):
    grave.plant(lines=encode("run-a", 2, "promise", promise_body(Promise(2, "", (), FAULT, "f", "1.0"))).decode())

    assert [one.outcome for one in grave.recover().undo] == ["left", "kept"]


@pytest.mark.parametrize(
    ("card", "refusal"),
    [
        ("", f"{UNREADABLE}of its card it is not JSON"),
        (json.dumps(asdict(CARD)), f"{UNREADABLE}of its card its checksum does not match"),
        (sealed({"run_id": 3}).decode(), f"{UNREADABLE}run_id: Input should be a valid string"),
        (
            sealed(asdict(replace(CARD, run_id="run-b"))).decode(),
            "the cluster's copy of run run-a is not to be believed: it holds the card of run run-b",
        ),
    ],
)  # fmt: skip
def test_a_copy_whose_card_is_not_the_runs_own_is_refused(grave, card, refusal):
    copy = grave.world.claims.copy("run-a")
    grave.world.claims.write_copy(replace(copy, card=card))

    with pytest.raises(Refused) as refused:
        grave.recover()
    assert str(refused.value) == refusal
    assert grave.world.agent.active() == ["gpu-1~f"]


def test_promises_of_another_run_are_refused(grave):
    grave.plant(lines=encode("run-x", 1, "promise", {"undo": {"undo": "recover_fault"}}).decode())

    with pytest.raises(
        Refused, match="the cluster's copy of run run-a is not to be believed: it holds promises of run"
    ):
        grave.recover()


def test_a_card_that_names_nothing_allows_nothing_but_its_nodes(tmp_path):
    grave = Grave(tmp_path, scope=None)

    assert [one for one, _ in ends(grave.plant(FAULT, EDIT).recover())] == ["kept", "left"]


def test_what_the_dead_run_promised_last_is_read_after_its_copy_is_ours(grave, tmp_path):
    """It may still write between the look that a person agreed to and the takeover."""
    seat = grave.world.seat("rescue")
    read = recover.look_copy(seat, "run-a")
    grave.world.agent.inject(Injection("g", "gpu-1", 94, GPUS["gpu-1"][0].uuid, "run-a"))
    grave.plant(FAULT, FAULT.model_copy(update={"fault_id": "gpu-1~g"}))

    reach = recover.Reach(grave.world.undo_clock, grave.world.agent, grave.world.cluster, seat, takeover=True,
                          beats=FakeBeats(grave.world.time))  # fmt: skip
    recover.recover_copy(read, reach)

    assert (grave.world.agent.active(), grave.world.claims.raw) == ([], {})
