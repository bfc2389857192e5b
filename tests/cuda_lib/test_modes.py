"""What each mode does to a program, and to its GPU afterwards."""

import pytest

from fault_agent.cuda_control import GpuOrdinal, Mode
from tests.cuda_lib.node import UUIDS, later, rule

GPU_0 = GpuOrdinal(0)


def test_a_process_without_rules_notices_nothing(node):
    steps = "init count dev:0 alloc copy launch sync meminfo null-meminfo"
    expected = "init=0 count=(4)0 dev:0=0 alloc=0 copy=0 launch=0 sync=0 meminfo=(1023M of 1024M)0 null-meminfo=0"
    assert node.do(steps) == expected
    node.arm()
    assert node.do(steps) == expected
    assert node.hits() == []


def test_fail_fails_the_calls_of_its_class_and_no_other(node):
    node.arm(rule("sync"))
    assert node.do("init dev:0 alloc launch sync sync") == "init=0 dev:0=0 alloc=0 launch=0 sync=719 sync=719"
    (hit,) = node.hits()
    assert (hit.calls, hit.hits, hit.nvml_hits, hit.code, hit.function) == (2, 2, 0, 719, "cuCtxSynchronize")
    assert hit.gpu_uuid == UUIDS[0]
    assert 0 < hit.first_hit_ns <= hit.last_hit_ns


def test_graph_launches_are_launches(node):
    node.arm(rule("launch"))
    assert node.do("init dev:0 graph sync") == "init=0 dev:0=0 graph=719 sync=0"


def test_sticky_fails_every_later_call_of_that_gpu_and_of_no_other(node):
    node.arm(rule("launch", Mode.STICKY, 700, gpu=GPU_0))
    assert node.do("init dev:0 sync launch sync alloc copy query dev:1 launch sync dev:0 sync count") == (
        "init=0 dev:0=0 sync=0 launch=700 sync=700 alloc=700 copy=700 query=700 "
        "dev:1=0 launch=0 sync=0 dev:0=0 sync=700 count=(4)0"
    )
    assert node.hits()[0].hits == 6


def test_sticky_of_process_scope_takes_all_gpus(node):
    node.arm(rule("launch", Mode.STICKY, 700, gpu=GPU_0, sticky_for_process=True))
    assert node.do("init dev:1 sync dev:0 launch dev:1 sync") == (
        "init=0 dev:1=0 sync=0 dev:0=0 launch=700 dev:1=0 sync=700"
    )


def test_async_lets_launches_pass_and_surfaces_at_the_next_other_call(node):
    node.arm(rule("launch", Mode.ASYNC, gpu=GPU_0))
    assert node.do("init dev:0 launch launch sync launch alloc dev:1 sync") == (
        "init=0 dev:0=0 launch=0 launch=0 sync=719 launch=719 alloc=719 dev:1=0 sync=0"
    )


def test_async_surfaces_at_a_launch_when_its_time_is_over(node):
    node.arm(rule("launch", Mode.ASYNC, gpu=GPU_0, delay_ns=1))
    assert node.do("init dev:0 launch launch sync") == "init=0 dev:0=0 launch=0 launch=719 sync=719"


def test_delay_makes_a_call_late_and_lets_it_pass(node):
    node.arm(rule("sync", Mode.DELAY, code=0, delay_ns=20_000_000))
    answers = node.do("init dev:0 time:launch time:sync")
    names = dict(part.split("=") for part in answers.split())
    assert names["time:launch"].startswith("0@")
    assert names["time:sync"].startswith("0@")
    assert float(names["time:sync"].split("@")[1]) >= 20
    assert [(hit.hits, hit.code) for hit in node.hits()] == [(1, 0)]


def test_delay_with_a_code_fails_after_it(node):
    node.arm(rule("sync", Mode.DELAY, code=999, delay_ns=1_000))
    assert node.do("init dev:0 sync") == "init=0 dev:0=0 sync=999"


def disarmed_in_the_call(node):
    """What two calls answer when the rule is taken away while the first one waits."""
    client = node.start("init dev:0 pause sync sync")
    assert client.until_paused() == "init=0 dev:0=0"
    client.go_on()
    node.wait_for_hit()
    node.arm()
    return client.finish()


def test_a_delay_ends_when_it_is_disarmed_and_the_call_goes_on(node):
    node.arm(rule("sync", Mode.DELAY, code=999, delay_ns=3600 * 10**9))
    assert disarmed_in_the_call(node) == "sync=0 sync=0"


def test_a_delay_ends_when_it_expires_and_the_call_goes_on(node, virtual_time):
    node.arm(rule("sync", Mode.DELAY, code=999, delay_ns=500 * 10**9, expires_at_ns=later(750)))
    late, soon, never = node.do(
        "init dev:0 time:sync time:sync time:sync", LD_PRELOAD=f"{node.built.library}:{virtual_time}"
    ).split()[2:]
    assert (late, never) == ("time:sync=999@500000.000", "time:sync=0@0.000")
    assert soon.startswith("time:sync=0@2")


def test_hang_blocks_until_disarmed(node):
    node.arm(rule("sync", Mode.HANG, code=0))
    assert disarmed_in_the_call(node) == "sync=0 sync=0"


def test_hang_with_an_end_fails_then_and_leaves_the_gpu_broken(node):
    node.arm(rule("sync", Mode.HANG, code=702, gpu=GPU_0, delay_ns=10_000_000))
    assert node.do("init dev:0 sync launch") == "init=0 dev:0=0 sync=702 launch=702"


def test_out_of_memory_fails_every_kind_of_allocation_and_can_be_tried_again(node):
    node.arm(rule("alloc", Mode.OOM, 2, max_hits=2))
    assert node.do("init dev:0 alloc vmm:1 alloc launch sync") == (
        "init=0 dev:0=0 alloc=2 vmm:1=2 alloc=0 launch=0 sync=0"
    )


def test_out_of_memory_tells_little_free_memory_on_its_gpu_only(node):
    node.arm(rule("alloc", Mode.OOM, 2, gpu=GPU_0, free_bytes=10 << 20))
    assert node.do("init dev:0 meminfo null-meminfo dev:1 meminfo") == (
        "init=0 dev:0=0 meminfo=(10M of 1024M)0 null-meminfo=0 dev:1=0 meminfo=(1024M of 1024M)0"
    )


def test_the_first_rule_that_answers_wins(node):
    node.arm(rule("sync", Mode.DELAY, code=0, delay_ns=1), rule("sync", code=1, part=1), rule("sync", code=2, part=2))
    assert node.do("init dev:0 sync") == "init=0 dev:0=0 sync=1"
    assert [(hit.part, hit.hits) for hit in node.hits()] == [(0, 1), (1, 1)]


def test_a_capture_is_never_hit_and_never_counted(node):
    node.arm(rule("launch", after_calls=1))
    steps = "init dev:0 stream launch-on-stream capture launch-on-stream launch-on-stream end-capture launch-on-stream"
    assert node.do(steps) == (
        "init=0 dev:0=0 stream=0 launch-on-stream=0 capture=0 launch-on-stream=0 launch-on-stream=0 "
        "end-capture=0 launch-on-stream=719"
    )


@pytest.mark.parametrize("code", [1, 2, 46, 214, 220, 700, 719, 802, 999])
def test_every_code_reaches_the_program_unchanged(node, code):
    node.arm(rule("sync", code=code))
    assert node.do("init dev:0 sync") == f"init=0 dev:0=0 sync={code}"
