"""What every kind of step owes its users; a new file in `steps/` is under test here from its first day."""

import inspect
import types
from dataclasses import replace
from pathlib import Path
from typing import get_type_hints

import pytest

from scenario_runner.core.outcome import Role, Status
from scenario_runner.core.step import LoadName, Step, StepName, TargetKinds
from scenario_runner.steps import STEPS, kind_of
from tests.fakes import plan_of
from tests.steps.entry import entry

every_step = pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())
runnable = pytest.mark.parametrize("kind", [kind for kind, step in STEPS.items() if step.role is not Role.GROUP])
changing = pytest.mark.parametrize("kind", [kind for kind, step in STEPS.items() if not step.reads_only])
KINDS = {"gpu", "node", "nodes", "workload", "pod", "endpoint"}
# What must have happened before the example of a kind makes sense.
BEFORE = {
    "recover_fault": ["inject_xid: {target: victim, xid: 79}\nid: lost-gpu"],
    "disarm_cuda": ["arm_cuda: {target: victim, xid: 79}\nid: lost-in-cuda"],
    "assert_cuda_hits": ["arm_cuda: {target: victim, xid: 79}\nid: lost-in-cuda"],
    "restore_cuda": ["patch_cuda: worker\nid: library"],
    "join": ["send_requests: {target: frontend, rate: 5/s}\nid: traffic\nbackground: true", "pause: 5s"],
    "assert_success": ["send_requests: {target: frontend, rate: 5/s, for: 20s}\nid: traffic\nbackground: true",
                       "inject_xid: {target: victim, xid: 79}", "pause: 10s"],
    "assert_latency": ["send_requests: {target: frontend, rate: 5/s, for: 20s}\nid: calm",
                       "send_requests: {target: frontend, rate: 5/s}\nid: traffic\nbackground: true",
                       "inject_xid: {target: victim, xid: 79}", "pause: 10s"],
    "wait_for_node": ["inject_xid: {target: victim, xid: 79}"],
    "wait_for_sentinel": ["inject_xid: {target: victim, xid: 79}"],
    "wait_for_recovery": ["send_requests: {target: frontend, rate: 5/s}\nid: traffic\nbackground: true",
                          "inject_xid: {target: victim, xid: 79}"],
}  # fmt: skip


@every_step
def test_its_module_is_named_after_its_class(step):
    assert "".join(word.title() for word in step.kind().split("_")) == step.__name__


@every_step
def test_its_example_is_an_entry_of_its_own_kind(step):
    assert type(entry(step.example).step) is step


@every_step
def test_it_is_documented(step):
    assert "__doc__" in vars(step)
    assert inspect.getdoc(step)
    assert [name for name, field in step.model_fields.items() if not field.description] == []


@every_step
def test_a_bare_value_fills_a_field_that_exists(step):
    assert step.bare is None or step.bare in step.model_fields


@every_step
def test_its_title_is_one_line_for_people(step):
    title = entry(step.example).step.title()
    assert title
    assert "\n" not in title
    assert "None" not in title


@every_step
def test_what_it_points_to_is_annotated_so_that_the_planner_can_check_it(step):
    for name in step.model_fields.keys() & {"target", "load", "of", "away_from", "since"}:
        annotation = str(get_type_hints(step, include_extras=True)[name])
        assert any(known.__name__ in annotation for known in (TargetKinds, LoadName, StepName)), name


@every_step
def test_the_kinds_of_target_it_takes_exist(step):
    for field in step.model_fields.values():
        for one in field.metadata:
            if isinstance(one, TargetKinds):
                assert set(one.kinds) <= KINDS


@every_step
def test_its_tests_are_in_a_file_of_its_name(step):
    assert Path(__file__).with_name(f"test_{step.kind()}.py").is_file()


@runnable
def test_its_example_passes_in_a_world_that_works_and_leaves_it_as_it_was(kind, world):
    if kind == "wait_for_pods":  # a controller of workloads has moved the victim's pod
        moved = replace(world.cluster.pod_states["dynamo", "vllm-decode-1"], node="gpu-3")
        world.time.after(30.0, lambda: world.cluster.put(moved))
    before = world.snapshot()
    planned = entry(STEPS[kind].example)

    report = world.run(plan_of(*map(entry, BEFORE.get(kind, [])), planned))

    own = [one for one in report.outcomes if one.step_id == planned.id and one.phase == "steps"]
    assert [(one.kind, one.status) for one in own] == [(kind, Status.PASSED)], own
    assert world.snapshot() == before
    assert world.journal.outstanding == ()


@changing
def test_it_says_what_it_changes_in_the_plan_exactly_if_it_makes_promises(kind, world):
    step = entry(STEPS[kind].example).step
    report = world.run(plan_of(*map(entry, BEFORE.get(kind, [])), entry(STEPS[kind].example)))
    own = entry(STEPS[kind].example).id

    promised = [one for one in report.undo if one.step_id == own]
    assert bool(promised) == bool(step.changes(plan_of().targets))


def test_a_module_with_two_steps_is_refused():
    module = types.ModuleType("two")
    for name in ("One", "Two"):
        setattr(module, name, type(name, (Step,), {"__module__": "two", "role": Role.ACTION}))
    with pytest.raises(TypeError, match=r"^two must define exactly one Step, not \['One', 'Two'\]$"):
        kind_of(module)


def test_a_module_without_a_step_is_refused():
    with pytest.raises(TypeError, match=r"^none must define exactly one Step, not \[\]$"):
        kind_of(types.ModuleType("none"))
