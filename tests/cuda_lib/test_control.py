"""Arming, renewing and disarming of programs that are running, and everything that can happen to the control file."""

import resource
from dataclasses import replace

import pytest

from fault_agent import cuda_control
from fault_agent.cuda_control import GpuOrdinal, Mode
from tests.cuda_lib.node import later, rule

READY = "init=0 dev:0=0 sync=0"


def paused(node):
    """A program that uses GPU 0, has met no fault, and will wait for its call to fail when told to go on."""
    client = node.start("init dev:0 sync pause until:719 pause until:0")
    assert client.until_paused() == READY
    return client


def failing(client):
    """Tell `client` to go on and see it fail."""
    client.go_on()
    assert client.until_paused().startswith("until:719=719@")


def recovers(client):
    client.go_on()
    return client.finish().startswith("until:0=0@")


def test_a_running_program_is_armed_and_disarmed(node):
    client = paused(node)
    node.arm(rule("sync"))
    failing(client)
    node.arm()
    assert recovers(client)


def test_removing_the_file_disarms(node):
    client = paused(node)
    node.arm(rule("sync"))
    failing(client)
    node.control.unlink()
    assert recovers(client)


@pytest.mark.parametrize("damage", [b"", b"half", None], ids=["truncated", "half-written", "bit-flipped"])
def test_a_file_that_stays_damaged_disarms_and_harms_nobody(node, damage):
    client = paused(node)
    node.arm(rule("sync"))
    failing(client)
    page = bytearray(node.control.read_bytes())
    page[300] ^= 1
    node.control.write_bytes(bytes(page) if damage is None else damage)
    assert recovers(client)


def test_a_writer_at_work_changes_nothing_for_one_look(node):
    node.arm(rule("sync"))
    # each init looks at the file, and the watcher does not in time
    client = node.start("init dev:0 pause init sync init sync", SCENARIO_RUNNER_CUDA_POLL_MS="10000")
    assert client.until_paused() == "init=0 dev:0=0"
    node.control.write_bytes(node.control.read_bytes()[:2048])
    client.go_on()
    assert client.finish() == "init=0 sync=719 init=0 sync=0"


def test_a_fault_for_which_there_is_no_memory_does_not_leave_the_one_before_armed(node):
    client = paused(node)
    node.arm(rule("sync"))
    failing(client)
    resource.prlimit(client.pid, resource.RLIMIT_AS, (4096, resource.RLIM_INFINITY))
    node.arm(rule("launch", fault="g"))
    assert recovers(client)


def test_another_file_put_in_its_place_is_seen(node, tmp_path):
    client = paused(node)
    node.arm()
    other = tmp_path / "other"
    cuda_control.write(
        other,
        [rule("sync")],
        boot_id=cuda_control.read(node.control).boot_id,
        now_ns=later(0),
    )
    node.control.unlink()
    node.control.symlink_to(other)  # as a ConfigMap volume does it
    failing(client)
    node.arm()
    assert recovers(client)


def test_a_rule_that_expires_disarms_itself(node):
    client = paused(node)
    node.arm(rule("sync"))
    failing(client)
    node.arm(rule("sync", expires_at_ns=later(0.3)))
    assert recovers(client)


def test_a_rule_that_has_expired_arms_nothing(node):
    node.arm(rule("sync", expires_at_ns=later(-1)), rule("launch", part=1))
    assert node.do("init dev:0 sync launch") == "init=0 dev:0=0 sync=0 launch=719"


def test_rules_of_another_boot_arm_nothing(node):
    node.arm(rule("sync"), boot_id="0f1e2d3c-aaaa-bbbb-cccc-0123456789ab")
    assert node.do("init dev:0 sync") == READY


def test_a_renewal_goes_on_counting(node):
    limited = rule("sync", max_hits=1)
    node.arm(limited)
    client = node.start("init dev:0 until:719 pause sync sync launch")
    assert client.until_paused().startswith("init=0 dev:0=0 until:719=719@")
    node.arm(replace(limited, expires_at_ns=later(700)), rule("launch", part=1))
    client.go_on()
    assert client.finish().startswith("sync=0 sync=0 launch=")


def test_a_new_fault_counts_anew(node):
    node.arm(rule("sync", max_hits=1))
    client = node.start("init dev:0 until:719 pause until:719")
    client.until_paused()
    node.arm(rule("sync", max_hits=1, fault="g"))
    client.go_on()
    assert client.finish().startswith("until:719=719@")
    assert [(hit.fault, hit.hits) for hit in node.hits()] == [("f", 1), ("g", 1)]


def test_forty_faults_and_more_in_one_process_are_told_apart(node):
    client = node.start("init dev:0 " + "pause until:719 " * 45)
    client.until_paused()
    for number in range(45):
        node.arm(rule("sync", max_hits=1, fault=f"f{number}"))
        client.go_on()
        if number < 44:
            assert client.until_paused().startswith("until:719=719@")
    client.finish()
    names = {hit.fault for hit in node.hits()}
    assert len(names) == 40
    assert {f"f{number}" for number in range(5, 45)} == names


def test_a_sticky_error_survives_disarming(node):
    node.arm(rule("launch", Mode.STICKY, 700, gpu=GpuOrdinal(0)), rule("sync", part=1, gpu=GpuOrdinal(1)))
    client = node.start("init dev:0 launch dev:1 sync pause until:0 dev:0 sync launch")
    assert client.until_paused() == "init=0 dev:0=0 launch=700 dev:1=0 sync=719"
    node.arm()
    client.go_on()
    out = client.finish()
    assert out.startswith("until:0=0@")
    assert out.endswith("dev:0=0 sync=700 launch=700")


@pytest.mark.parametrize(
    "environment",
    [{"SCENARIO_RUNNER_CUDA_DISABLE": "1"}, {"SCENARIO_RUNNER_CUDA_CONTROL": None}],
    ids=["kill switch", "no control file named"],
)
def test_a_library_that_is_switched_off_does_nothing(node, environment):
    node.arm(rule("sync init"))
    assert node.do("init dev:0 sync", **environment) == READY


def test_records_say_which_control_file_a_process_knows(node):
    node.arm()
    node.arm(rule("sync"))
    node.do("init dev:0 sync")
    assert [record.generation for record in node.records()] == [2]
