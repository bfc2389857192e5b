"""Taking a fault back by name, before the scenario ends."""

from scenario_runner.errors import TargetRefused
from tests.steps.running import carry_out, outcome

FAULT = "gpu-1~20260101-000000-drill-abcd.one"


def test_the_fault_is_over_when_the_step_ends_and_is_not_undone_twice(world):
    ended = []
    world.time.after(31.0, lambda: ended.extend(world.agent.active()))
    report = carry_out(
        world,
        """
        - inject_xid: {target: victim, xid: 94}
          id: one
        - wait_for_node: {target: victim, reached: noticed}
        - recover_fault: one
          id: back
        - pause: 60s
        """,
    )
    assert outcome(report, "back") == ("passed", "XID 94 on gpu-1 is recovered")
    assert ended == []
    assert [call for call in world.agent.calls if call.startswith("recover")] == [f"recover {FAULT}"]


def test_a_fault_that_an_agent_refuses_to_end_is_our_trouble(world):
    refusal = TargetRefused("a real XID 79 was seen on this GPU", code="real_fault_seen")
    world.time.after(1.0, lambda: world.agent.refusals.update({FAULT: refusal}))
    report = carry_out(
        world,
        "- inject_xid: {target: victim, xid: 94}\n  id: one\n- pause: 2s\n- recover_fault: one\n  id: back",
    )
    assert outcome(report, "back") == (
        "broken", "still to be taken back: XID 94 on gpu-1: a real XID 79 was seen on this GPU",
    )  # fmt: skip
