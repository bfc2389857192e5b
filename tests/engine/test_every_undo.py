"""What every kind of undo owes its users. A new module in `core/undo/` is under test here from its first day."""

from dataclasses import replace

import pytest

from scenario_runner.core.step import Undo, UndoPhase
from scenario_runner.core.undo import UNDOS
from scenario_runner.core.undo.delete_created import DeleteCreated
from scenario_runner.core.undo.recover_fault import RecoverFault
from scenario_runner.core.undo.revert_edits import RevertEdits, SavedEdit
from scenario_runner.errors import TargetRefused, TargetUnreachable

ENV = ("spec", "template", "spec", "containers", "name=main", "env")
SAMPLES = {
    "delete_created": DeleteCreated(
        api_version="v1", kind="ConfigMap", namespace="dynamo", name="scenario-runner-library"
    ),
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
