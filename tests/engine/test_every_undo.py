"""What every kind of undo owes its users. A new module in `core/undo/` is under test here from its first day."""

from dataclasses import replace

import pytest

from scenario_runner.core.edits import CLAIM, leaf
from scenario_runner.core.ports import Edit, ObjectRef
from scenario_runner.core.step import Act, Undo, UndoPhase
from scenario_runner.core.undo import UNDOS
from scenario_runner.core.undo.delete_created import DeleteCreated
from scenario_runner.core.undo.disarm_cuda import DisarmCuda
from scenario_runner.core.undo.recover_fault import RecoverFault
from scenario_runner.core.undo.revert_edits import RevertEdits, SavedEdit
from scenario_runner.errors import TargetRefused, TargetUnreachable

ENV = ("spec", "template", "spec", "containers", "name=main", "env")
SAMPLES = {
    "delete_created": DeleteCreated(
        api_version="v1", kind="ConfigMap", namespace="dynamo", name="scenario-runner-library"
    ),
    "disarm_cuda": DisarmCuda(fault_id="gpu-1~c", node="gpu-1", what="CUDA fault gpu-lost"),
    "recover_fault": RecoverFault(fault_id="gpu-1~f", node="gpu-1", xid=79),
    "revert_edits": RevertEdits(
        api_version="apps/v1", kind="Deployment", namespace="dynamo", name="vllm-decode", uid="uid-vllm-decode",
        edits=(SavedEdit(path=(*ENV, "name=MODEL", "value"), was="tiny", became="big"),),
    ),
}  # fmt: skip
every_undo = pytest.mark.parametrize("kind", UNDOS)


def test_every_kind_has_a_sample():
    assert set(SAMPLES) == set(UNDOS)


@every_undo
def test_it_is_named_after_its_module_and_survives_the_journal(kind):
    undo = SAMPLES[kind]

    assert (undo.undo, isinstance(undo.phase, UndoPhase)) == (kind, True)
    assert UNDOS[kind].model_validate(undo.model_dump(mode="json")) == undo
    assert undo.subject()
    assert isinstance(undo.touches(), ObjectRef)
    assert isinstance(undo.differences(), tuple)


@every_undo
def test_what_it_touches_is_a_node_or_an_object_of_a_namespace(kind):
    at = SAMPLES[kind].touches()

    assert at.name
    assert bool(at.namespace) != (at.kind == "Node")


@every_undo
def test_it_is_safe_when_nothing_happened_and_safe_twice(kind, world):
    before = world.snapshot()
    for _ in range(2):
        assert SAMPLES[kind].take_back(world.undo_context())
        assert SAMPLES[kind].leftover(world.undo_context()) is None
    assert world.snapshot() == before


@every_undo
def test_it_tells_an_unreachable_world_from_one_that_is_clean(kind, world):
    world.agent.unreachable["gpu-1"] = world.cluster.unreachable = "no route"

    for half in (SAMPLES[kind].take_back, SAMPLES[kind].leftover):
        with pytest.raises(TargetUnreachable):
            half(world.undo_context())


class TestRevertEdits:
    @pytest.fixture
    def main(self, world):
        document = world.cluster.documents["Deployment/dynamo/vllm-decode"]
        return document["content"]["spec"]["template"]["spec"]["containers"][0]

    def undo(self, path, was, became) -> Undo:
        return SAMPLES["revert_edits"].model_copy(update={"edits": (SavedEdit(path=path, was=was, became=became),)})

    def back(self, world, undo):
        return undo.take_back(world.undo_context()), undo.leftover(world.undo_context())

    def test_our_value_becomes_what_it_was(self, world, main):
        main["image"] = "ours"

        told = self.back(world, self.undo((*ENV[:-1], "image"), "vllm", "ours"))

        assert told == ("edits of Deployment dynamo/vllm-decode is as it was: 1 of 1 values set back", None)
        assert main["image"] == "vllm"

    def test_a_leaf_that_we_added_is_taken_out(self, world, main):
        main["env"].append({"name": "NEW", "value": "x"})

        self.back(world, self.undo((*ENV, "name=NEW"), None, {"name": "NEW", "value": "x"}))

        assert main["env"] == [{"name": "MODEL", "value": "tiny"}]

    def test_a_leaf_that_we_took_out_is_put_back(self, world, main):
        main["env"].clear()

        self.back(world, self.undo((*ENV, "name=MODEL"), {"name": "MODEL", "value": "tiny"}, None))

        assert main["env"] == [{"name": "MODEL", "value": "tiny"}]

    @pytest.mark.parametrize(
        ("was", "became", "now", "rest"),
        [
            ("", "/ours.so", "/ours.so", None),
            (None, "/ours.so", "/ours.so", None),
            ("/a.so", "/a.so:/ours.so", "/a.so:/ours.so", "/a.so"),
            ("/a.so", "/ours.so:/a.so", "/ours.so:/a.so:/new.so", "/a.so:/new.so"),
            ("/a.so", "/a.so:/ours.so", "/b.so /ours.so", "/b.so"),
            ("/a.so", "/a.so:/ours.so", "/a.so", "/a.so"),
            ("/a.so", "/a.so:/ours.so", "/theirs.so", "/theirs.so"),
        ],
    )
    def test_of_a_preload_only_our_own_element_is_taken_out(self, world, main, was, became, now, rest):
        main["env"].append({"name": "LD_PRELOAD", "value": now})

        _, left = self.back(world, self.undo((*ENV, "name=LD_PRELOAD", "value"), was, became))

        assert (main["env"][1].get("value"), left) == (rest, None)

    def test_a_whole_preload_entry_of_ours_goes_and_another_element_in_it_stays(self, world, main):
        entry = {"name": "LD_PRELOAD", "value": "/ours.so"}
        undo = self.undo((*ENV, "name=LD_PRELOAD"), None, entry)
        main["env"].append({"name": "LD_PRELOAD", "value": "/new.so:/ours.so"})
        self.back(world, undo)
        assert main["env"][1] == {"name": "LD_PRELOAD", "value": "/new.so"}

        main["env"][1] = entry
        self.back(world, undo)
        assert main["env"] == [{"name": "MODEL", "value": "tiny"}]

    def test_an_object_that_changes_under_our_hands_is_read_again(self, world, main):
        main["image"] = "ours"
        ctx = replace(world.undo_context(), cluster=Racing(world.cluster, times=2))

        self.undo((*ENV[:-1], "image"), "vllm", "ours").take_back(ctx)

        assert main["image"] == "vllm"

    def test_an_object_that_never_holds_still_is_tried_later(self, world, main):
        main["image"] = "ours"
        ctx = replace(world.undo_context(), cluster=Racing(world.cluster, times=99))

        with pytest.raises(TargetUnreachable, match="changed under our hands 3 times"):
            self.undo((*ENV[:-1], "image"), "vllm", "ours").take_back(ctx)

    def test_another_refusal_is_passed_on(self, world, main):
        main["image"] = "ours"
        ctx = replace(world.undo_context(), cluster=Racing(world.cluster, times=1, code="Forbidden"))

        with pytest.raises(TargetRefused):
            self.undo((*ENV[:-1], "image"), "vllm", "ours").take_back(ctx)


class TestClaims:
    """What is changed under a claim is taken back with it, and what comes late finds the claim gone."""

    REF = ObjectRef("apps/v1", "Deployment", "dynamo", "vllm-decode", "uid-vllm-decode")
    EDITS = (
        Edit((*ENV, "name=MODEL", "value"), "tiny", "big"),
        Edit(("spec", "template", "spec", "volumes", "name=cuda"), None, {"name": "cuda", "configMap": {"name": "x"}}),
        Edit(("spec", "template", "spec", "affinity", "nodeAffinity", "pinned"), None, True),
    )

    @pytest.fixture
    def content(self, world):
        found = world.cluster.documents["Deployment/dynamo/vllm-decode"]["content"]
        found["metadata"].clear()
        return found

    def make(self, world, claim="run-a/1"):
        undo = RevertEdits.of(world.cluster.read(self.REF), self.EDITS)
        return undo, undo.make(Act(world.agent, world.cluster, claim))

    def ctx(self, world, claim="run-a/1"):
        return replace(world.undo_context(), claim=claim)

    def test_the_claim_and_all_edits_are_on_the_object(self, world, content):
        undo, document = self.make(world)

        assert document.content["metadata"]["annotations"] == {CLAIM: "run-a/1"}
        assert document.content["spec"]["template"]["spec"]["volumes"] == [{"name": "cuda", "configMap": {"name": "x"}}]
        assert undo.differences() == (
            f"{'.'.join(ENV)}.name=MODEL.value: 'big' -> 'tiny'",
            "spec.template.spec.volumes.name=cuda: {'name': 'cuda', 'configMap': {'name': 'x'}} -> None",
            "spec.template.spec.affinity.nodeAffinity.pinned: True -> None",
        )

    def test_everything_is_as_it_was_without_the_claim_and_the_parents_that_were_made(self, world, content):
        before = world.snapshot()
        undo, _ = self.make(world)

        assert undo.take_back(self.ctx(world)) == (
            "edits of Deployment dynamo/vllm-decode is as it was: 3 of 3 values set back"
        )
        assert (undo.leftover(self.ctx(world)), world.snapshot()) == (None, before)

    def test_what_somebody_put_into_a_parent_that_we_made_stays_there(self, world, content):
        undo, _ = self.make(world)
        content["spec"]["template"]["spec"]["volumes"].append({"name": "theirs"})

        undo.take_back(self.ctx(world))

        assert content["spec"]["template"]["spec"]["volumes"] == [{"name": "theirs"}]

    def test_an_edit_that_arrives_after_its_undo_is_refused(self, world, content):
        undo, _ = self.make(world)
        undo.take_back(self.ctx(world))
        before = world.snapshot()

        with pytest.raises(TargetRefused) as late:
            world.cluster.edit_claimed(self.REF, "run-a/1", self.EDITS)
        assert (late.value.code, world.snapshot()) == ("Conflict", before)

    def test_a_claim_that_arrives_after_its_undo_finds_another_version(self, world, content):
        """The kill came before the claim: its undo changes nothing but the version that the claim was made for."""
        document, before = world.cluster.read(self.REF), world.snapshot()
        undo = RevertEdits.of(document, self.EDITS)

        assert undo.take_back(self.ctx(world)) == "edits of Deployment dynamo/vllm-decode has nothing of ours"
        assert world.snapshot() == before
        with pytest.raises(TargetRefused):
            world.cluster.edit(self.REF, document.resource_version, (Edit(("metadata", "x"), None, 1),))

    def test_an_object_that_another_run_has_claimed_is_neither_edited_nor_set_back(self, world, content):
        undo, _ = self.make(world)

        with pytest.raises(TargetRefused, match="is being changed by run run-a") as refused:
            self.make(world, "run-b/1")
        assert refused.value.code == "Claimed"
        before = world.snapshot()
        assert undo.take_back(self.ctx(world, "run-b/1")).endswith("has nothing of ours")
        assert (undo.leftover(self.ctx(world, "run-b/1")), world.snapshot()) == (None, before)

    def test_a_claim_without_an_edit_is_a_leftover_until_it_is_taken_off(self, world, content):
        undo = RevertEdits.of(world.cluster.read(self.REF), self.EDITS)
        world.cluster.claim(self.REF, "run-a/1")

        assert undo.leftover(self.ctx(world)) == ("edits of Deployment dynamo/vllm-decode: our claim is still on it")
        undo.take_back(self.ctx(world))
        assert (undo.leftover(self.ctx(world)), content["metadata"]) == (None, {})

    def test_a_value_that_somebody_changed_before_us_refuses_all_edits(self, world, content):
        undo = RevertEdits.of(world.cluster.read(self.REF), self.EDITS)
        content["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = "theirs"
        act = Act(world.agent, world.cluster, "run-a/1")

        with pytest.raises(TargetRefused):
            undo.make(act)
        assert "volumes" not in content["spec"]["template"]["spec"]

    def test_pods_of_our_template_are_a_leftover_until_the_rollout_back_is_over(self, world, content):
        undo, _ = self.make(world)
        undo.take_back(self.ctx(world))
        content["spec"]["replicas"] = 3
        content["status"] = {"replicas": 4, "updatedReplicas": 2}

        assert undo.leftover(self.ctx(world)) == (
            "edits of Deployment dynamo/vllm-decode: rolling back: 2 pods of the old template are still there"
        )
        content["status"] = {"replicas": 3, "updatedReplicas": 3}
        assert undo.leftover(self.ctx(world)) is None


class TestLateEdits:
    """How pods are replaced is set back only when they were: set back before, it might let nobody replace them."""

    STRATEGY = ("spec", "strategy", "rollingUpdate", "maxSurge")
    ROLLING = "edits of Deployment dynamo/vllm-decode: rolling back: "

    @pytest.fixture
    def content(self, world):
        found = world.cluster.documents["Deployment/dynamo/vllm-decode"]["content"]
        found["metadata"].clear()
        found["spec"] |= {"replicas": 3, "strategy": {"rollingUpdate": {"maxSurge": 1}}}
        return found

    def made(self, world):
        edits = TestClaims.EDITS
        undo = RevertEdits.of(world.cluster.read(TestClaims.REF), edits, late=[Edit(self.STRATEGY, 1, 0)])
        undo.make(Act(world.agent, world.cluster, "run-a/1"))
        return undo, replace(world.undo_context(), claim="run-a/1")

    def told(self, undo, ctx):
        with pytest.raises(TargetUnreachable) as waits:
            undo.take_back(ctx)
        return str(waits.value)

    def test_the_strategy_stays_ours_until_the_pods_are_those_of_before(self, world, content):
        before = world.snapshot()
        undo, ctx = self.made(world)
        assert self.told(undo, ctx) == f"{self.ROLLING}it has just begun"
        assert (leaf(content, self.STRATEGY), "volumes" in content["spec"]["template"]["spec"]) == (0, False)
        assert content["metadata"]["annotations"] == {CLAIM: "run-a/1"}

        content["status"] = {"replicas": 4, "updatedReplicas": 2}
        assert self.told(undo, ctx) == f"{self.ROLLING}2 pods of the old template are still there"
        assert undo.leftover(ctx).startswith("edits of Deployment dynamo/vllm-decode: spec.strategy.rollingUpdate")

        del content["status"]
        assert undo.take_back(ctx) == (
            "edits of Deployment dynamo/vllm-decode is as it was, and so is how it rolls out, since its pods were "
            "replaced"
        )
        assert (undo.leftover(ctx), world.snapshot()) == (None, before)
        assert undo.take_back(ctx).endswith("has nothing of ours")

    def test_a_strategy_that_somebody_else_changed_stays_and_makes_nobody_wait(self, world, content):
        undo, ctx = self.made(world)
        content["spec"]["strategy"]["rollingUpdate"]["maxSurge"] = 2
        undo.take_back(ctx)
        assert "volumes" not in content["spec"]["template"]["spec"]
        assert undo.leftover(ctx).startswith(
            "edits of Deployment dynamo/vllm-decode: spec.strategy.rollingUpdate.maxSurge is 2, was 1, became 0"
        )

    def test_one_that_never_happened_waits_for_nothing(self, world, content):
        before = world.snapshot()
        edits = RevertEdits.of(world.cluster.read(TestClaims.REF), TestClaims.EDITS, late=[Edit(self.STRATEGY, 1, 0)])
        assert edits.take_back(replace(world.undo_context(), claim="run-a/1")).endswith("has nothing of ours")
        assert world.snapshot() == before


class TestDeleteCreated:
    UNDO = SAMPLES["delete_created"]

    def make(self, world, claim="run-a/1"):
        return self.UNDO.make(Act(world.agent, world.cluster, claim), {"data": {"a": "b"}})

    def ctx(self, world, claim="run-a/1"):
        return replace(world.undo_context(), claim=claim)

    def test_what_we_made_is_deleted(self, world):
        before = world.snapshot()
        made = self.make(world)
        assert made.content == {"data": {"a": "b"}, "metadata": {"annotations": {CLAIM: "run-a/1"}}}
        assert self.UNDO.leftover(self.ctx(world)) == "our ConfigMap dynamo/scenario-runner-library is still there"

        told = self.UNDO.take_back(self.ctx(world))

        assert told == "our ConfigMap dynamo/scenario-runner-library was deleted"
        assert (self.UNDO.leftover(self.ctx(world)), world.snapshot()) == (None, before)

    def test_what_holds_it_is_named(self, world):
        self.make(world)
        content = world.cluster.documents["ConfigMap/dynamo/scenario-runner-library"]["content"]
        content["metadata"]["finalizers"] = ["example.com/keep"]

        assert self.UNDO.leftover(self.ctx(world)) == (
            "our ConfigMap dynamo/scenario-runner-library is still there, held by example.com/keep"
        )

    def test_an_object_of_that_name_that_is_not_ours_stays(self, world):
        self.make(world, "run-b/1")
        before = world.snapshot()

        assert self.UNDO.take_back(self.ctx(world)) == "our ConfigMap dynamo/scenario-runner-library is not there"
        assert (self.UNDO.leftover(self.ctx(world)), world.snapshot()) == (None, before)

    def test_a_creation_that_nobody_saw_answered_is_waited_for(self, world):
        ctx = replace(self.ctx(world), began=world.undo_clock.monotonic(), answered=False)
        world.time.advance(20.0)

        with pytest.raises(TargetUnreachable) as waiting:
            self.UNDO.take_back(ctx)
        assert str(waiting.value) == (
            "our ConfigMap dynamo/scenario-runner-library may still be made: nobody saw its creation answered, "
            "and 30s are left in which it can land"
        )
        world.time.advance(50.0)
        assert self.UNDO.take_back(ctx) == "our ConfigMap dynamo/scenario-runner-library is not there"

    def test_names_differ_from_run_to_run_and_are_those_of_the_promise(self):
        first, second = (DeleteCreated.name_for(run, "cuda") for run in ("run-a", "run-b"))

        assert first != second
        assert first == DeleteCreated.name_for("run-a", "cuda")
        assert first.startswith("scenario-runner-cuda-")


class Racing:
    """A cluster in which somebody else is faster a few times."""

    def __init__(self, cluster, times, code="Conflict"):
        self.cluster, self.times, self.code = cluster, times, code
        self.read = cluster.read

    def edit(self, ref, version, edits):
        self.times -= 1
        if self.times >= 0:
            raise TargetRefused("somebody else was faster", code=self.code)
        return self.cluster.edit(ref, version, edits)
