"""The library is taken out of every kind of workload to the letter, whatever was there before or came in between."""

import copy
from dataclasses import replace

import pytest

from scenario_runner.core.edits import CLAIM, edit_in_place, leaf
from scenario_runner.core.ports import Edit, ObjectRef
from scenario_runner.core.step import Act
from scenario_runner.core.undo.revert_edits import RevertEdits
from scenario_runner.workloads.cuda import cuda_edits, pin_edits
from scenario_runner.workloads.pod_templates import pod_templates
from tests.workloads.test_cuda import CONTENTS, OURS, document

JEMALLOC = "/usr/lib/libjemalloc.so"
THEIRS = "/opt/their/profiler.so"


class Place:
    """One workload of a kind in a fake cluster, and what a run does to it."""

    def __init__(self, world, kind, content):
        self.cluster, self.agent = world.cluster, world.agent
        self.ref = ObjectRef("v", kind.partition(" ")[0], "dynamo", "w", "uid")
        self.key = f"{self.ref.kind}/dynamo/w"
        self.cluster.documents[self.key] = {"uid": "uid", "version": 1, "content": copy.deepcopy(content)}
        self.context = replace(world.undo_context(), claim="run-a/1")

    @property
    def content(self):
        return self.cluster.documents[self.key]["content"]

    def containers(self):
        return [path for template in pod_templates(document(self.ref.kind, self.content))
                for path in template.containers.values()]  # fmt: skip

    def spec(self):
        return pod_templates(document(self.ref.kind, self.content))[0].spec

    def patch(self):
        now = self.cluster.read(self.ref)
        undo = RevertEdits.of(now, [*cuda_edits(now, "library", ()), *pin_edits(now, ["gpu-1"])])
        undo.make(Act(self.agent, self.cluster, "run-a/1"))
        assert {leaf(self.content, (*one, "env", "name=LD_PRELOAD"))["value"].partition(":")[0]
                for one in self.containers()} == {OURS}  # fmt: skip
        return undo

    def back(self, undo):
        undo.take_back(self.context)
        return undo.leftover(self.context)


def with_preload(content, value):
    """The workload with LD_PRELOAD in each of its containers."""
    changed = copy.deepcopy(content)
    entry = {"name": "LD_PRELOAD", "value": value}
    for template in pod_templates(document("Deployment" if "template" in content["spec"] else _kind(content), content)):
        for path in template.containers.values():
            edit_in_place(changed, [Edit((*path, "env", "name=LD_PRELOAD"), None, entry)])
    return changed


def _kind(content):
    return "LeaderWorkerSet" if "leaderWorkerTemplate" in content["spec"] else "DynamoGraphDeployment"


def meddle(content, spec, path):
    """What somebody else does meanwhile: another image, a variable, a volume, a label, and a library of their own."""
    preload = leaf(content, (*path, "env", "name=LD_PRELOAD")) or {"name": "LD_PRELOAD", "value": ""}
    together = ":".join(filter(None, [preload["value"], THEIRS]))
    edit_in_place(
        content,
        [
            Edit((*path, "image"), "x", "newer"),
            Edit((*path, "env", "name=NEW"), None, {"name": "NEW", "value": "1"}),
            Edit((*path, "env", "name=LD_PRELOAD"), preload, {"name": "LD_PRELOAD", "value": together}),
            Edit((*spec, "volumes", "name=theirs"), None, {"name": "theirs", "emptyDir": {}}),
            Edit(("metadata", "labels", "team"), None, "serving"),
        ],
    )


@pytest.mark.parametrize("kind", CONTENTS)
class TestTheWayBack:
    def test_of_a_workload_without_a_preload(self, kind, world):
        place = Place(world, kind, CONTENTS[kind])
        assert (place.back(place.patch()), place.content) == (None, CONTENTS[kind])

    def test_of_one_that_preloads_another_library(self, kind, world):
        before = with_preload(CONTENTS[kind], JEMALLOC)
        place = Place(world, kind, before)
        undo = place.patch()
        assert leaf(place.content, (*place.containers()[0], "env", "name=LD_PRELOAD"))["value"] == f"{OURS}:{JEMALLOC}"
        assert (place.back(undo), place.content) == (None, before)

    @pytest.mark.parametrize("preload", ["", JEMALLOC])
    def test_of_one_that_somebody_else_edits_meanwhile(self, kind, world, preload):
        before = with_preload(CONTENTS[kind], preload) if preload else copy.deepcopy(CONTENTS[kind])
        place = Place(world, kind, before)
        undo = place.patch()
        where = (place.spec(), place.containers()[0])
        meddle(place.content, *where)
        wanted = copy.deepcopy(before)
        meddle(wanted, *where)

        assert place.back(undo) is None
        assert sorted_lists(place.content) == sorted_lists(wanted)
        assert CLAIM not in str(place.content)

    def test_of_one_that_never_carried_it(self, kind, world):
        place = Place(world, kind, CONTENTS[kind])
        now = place.cluster.read(place.ref)
        undo = RevertEdits.of(now, cuda_edits(now, "library", ()))
        assert (place.back(undo), place.content) == (None, CONTENTS[kind])


def sorted_lists(value):
    """The order of variables and volumes says nothing once somebody has added to them."""
    if isinstance(value, dict):
        return {key: sorted_lists(one) for key, one in value.items()}
    return sorted(map(sorted_lists, value), key=str) if isinstance(value, list) else value
