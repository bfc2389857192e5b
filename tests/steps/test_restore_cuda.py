"""Taking the CUDA library out by name, before the scenario ends."""

import copy

from tests.steps.running import carry_out, outcome


def test_the_workload_is_as_before_when_the_step_ends_and_is_not_undone_twice(world):
    before, seen = world.snapshot(), []
    world.time.after(31.0, lambda: seen.append(copy.deepcopy(world.snapshot())))
    report = carry_out(
        world,
        """
        - patch_cuda: worker
          id: library
        - pause: 2s
        - restore_cuda: library
          id: back
        - pause: 60s
        """,
    )
    status, words = outcome(report, "back")
    assert (status, words.startswith("edits of Deployment dynamo/vllm-decode is as it was")) == ("passed", True)
    assert seen == [before]
    assert len(report.undo) == 2
