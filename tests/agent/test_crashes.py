"""kill -9 at every point of the protocol: nothing is forgotten, nothing is written or expired twice."""

import re
import signal
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.agent.world import NodeProgram

ACKNOWLEDGED = "nvsentinel-gpu-reset: GPU reset executed: GPU-4001-000{}, success: true"


def with_three_faults(node: NodeProgram, **last: float) -> None:
    """Faults of different age and kind, the oldest two on one GPU."""
    node.start()
    node.inject(79, key="oldest", gpu_id=0)
    node.inject(94, key="middle", gpu_id=0, duration=3600)
    node.inject(119, key="youngest", gpu_id=1, ttl=3600, **last)


def dies(node: NodeProgram, point: str, path: str, **options: object) -> None:
    """Restart the agent so that it dies at `point`, and let it by a request."""
    node.kill()
    node.start(die_at=point)
    with pytest.raises(httpx.HTTPError):
        node.post(path, **options)
    assert node.ended() == -signal.SIGKILL


def written_ids(node: NodeProgram) -> Counter[str]:
    return Counter(line.rpartition(" ")[2] for line in node.kernel_lines() if "NVRM: Xid" in line)


def acknowledgements(node: NodeProgram) -> Counter[str]:
    return Counter(line for line in node.kernel_lines() if "GPU reset executed" in line)


def statuses(node: NodeProgram) -> dict[str, str]:
    faults = node.get("/api/v1/faults").json()["faults"]
    return {fault["fault_id"].partition("~")[2]: fault["status"] for fault in faults}


THREE = {"oldest": "active", "middle": "active", "youngest": "active"}

AFTER_INJECTING = [
    ("before_intent", None, 201, "active"),
    ("after_intent", "failed", 200, "failed"),
    ("after_write", "active", 200, "active"),
    ("after_read_back", "active", 200, "active"),
    ("after_active", "active", 200, "active"),
]


@pytest.mark.parametrize(("point", "status", "repeated", "at_last"), AFTER_INJECTING)
def test_an_injection_that_dies_is_settled_by_the_kernel_log_and_never_written_twice(
    node: NodeProgram, point: str, status: str | None, repeated: int, at_last: str
) -> None:
    with_three_faults(node)
    body = {"node_name": "gpu-1", "gpu_id": 2, "duration": 3600}
    path = "/api/v1/faults/gpu/inject/xid-48"
    dies(node, point, path, json=body, headers={"Idempotency-Key": "new"})
    node.start()
    assert statuses(node) == THREE | ({"new": status} if status else {})
    again = node.inject(48, key="new", gpu_id=2, duration=3600)
    assert (again.status_code, again.json()["status"]) == (repeated, at_last)
    written = 0 if at_last == "failed" else 1
    expected = {"gpu-1~oldest": 1, "gpu-1~middle": 1, "gpu-1~youngest": 1, "gpu-1~new": written}
    assert written_ids(node) == Counter(expected)
    recovered = node.recover("gpu-1~new").json()
    assert recovered["status"] == ("recovered" if written else "failed")
    assert acknowledgements(node) == Counter({ACKNOWLEDGED.format(2): written})


AFTER_ENDING = ["after_ending", "after_ack_intent", "after_ack_write", "after_finished"]


@pytest.mark.parametrize("point", AFTER_ENDING)
def test_taking_back_that_dies_goes_on_after_a_restart_with_one_acknowledgement(node: NodeProgram, point: str) -> None:
    with_three_faults(node)
    dies(node, point, "/api/v1/faults/gpu-1~youngest/recover")
    node.start()
    record = node.until_fault("gpu-1~youngest", "recovered")
    assert record["acknowledgement"]["text"] == ACKNOWLEDGED.format(1)
    assert node.recover("gpu-1~youngest").json() == record
    assert statuses(node) == THREE | {"youngest": "recovered"}
    assert acknowledgements(node) == Counter({ACKNOWLEDGED.format(1): 1})
    assert set(written_ids(node).values()) == {1}


@pytest.mark.parametrize("point", AFTER_ENDING)
def test_an_expiry_that_dies_at_start_up_happens_once(node: NodeProgram, point: str) -> None:
    with_three_faults(node, duration=0.3)
    node.kill()
    past(0.3)
    node.launch(die_at=point)
    assert node.ended() == -signal.SIGKILL
    node.start()
    record = node.until_fault("gpu-1~youngest", "expired")
    assert record["end_reason"] == "its duration is over"
    node.kill()
    node.start()
    assert node.fault("gpu-1~youngest") == record
    assert statuses(node) == THREE | {"youngest": "expired"}
    assert acknowledgements(node) == Counter({ACKNOWLEDGED.format(1): 1})


@pytest.mark.parametrize("point", AFTER_ENDING)
def test_two_faults_of_a_gpu_that_end_around_a_crash_share_one_acknowledgement(node: NodeProgram, point: str) -> None:
    with_three_faults(node)
    node.recover("gpu-1~oldest")
    dies(node, point, "/api/v1/faults/gpu-1~middle/recover")
    node.start()
    node.until_fault("gpu-1~middle", "recovered")
    assert acknowledgements(node) == Counter({ACKNOWLEDGED.format(0): 1})


def test_a_tombstone_is_on_disk_before_it_is_told(node: NodeProgram) -> None:
    with_three_faults(node)
    dies(node, "after_tombstone", "/api/v1/faults/gpu-1~late/recover", headers={"Idempotency-Key": "late"})
    node.start()
    assert statuses(node) == THREE | {"late": "tombstone"}


def test_deadlines_go_on_counting_while_no_agent_runs(node: NodeProgram) -> None:
    node.start()
    node.inject(79, key="a", ttl=0.2)
    node.inject(79, key="b", gpu_id=1, ttl=3600)
    shown = node.fault("gpu-1~b")["expires_at"]
    node.kill()
    past(0.2)
    node.start()
    record = node.until_fault("gpu-1~a", "expired")
    assert record["end_reason"] == "its time to live ran out without a renewal"
    assert node.fault("gpu-1~b")["expires_at"] == shown
    renewed = node.post("/api/v1/faults/gpu-1~a/renew", json={"ttl": 60}).json()
    assert renewed == {"fault_id": "gpu-1~a", "state": "expired", "ended_at": record["ended_at"]}


def test_a_reboot_ends_every_fault_without_an_acknowledgement(node: NodeProgram) -> None:
    with_three_faults(node)
    node.kill()
    node.reboot("boot-2")
    node.start()
    assert statuses(node) == dict.fromkeys(THREE, "rebooted")
    record = node.recover("gpu-1~oldest").json()
    assert (record["status"], record["end_reason"]) == ("rebooted", "the node rebooted")
    renewed = node.post("/api/v1/faults/gpu-1~oldest/renew", json={"ttl": 60}).json()
    assert renewed == {"fault_id": "gpu-1~oldest", "state": "rebooted", "ended_at": record["ended_at"]}
    assert acknowledgements(node) == Counter()


def test_a_reboot_is_noticed_by_a_running_agent_too(node: NodeProgram) -> None:
    with_three_faults(node)
    node.reboot("boot-2")
    assert node.post("/api/v1/faults/gpu-1~oldest/renew", json={"ttl": 60}).json()["state"] == "rebooted"
    assert statuses(node) == dict.fromkeys(THREE, "rebooted")


@pytest.mark.parametrize("point", ["after_intent", "after_write"])
def test_a_promise_of_an_earlier_boot_ends_as_rebooted(node: NodeProgram, point: str) -> None:
    node.start()
    body = {"node_name": "gpu-1"}
    dies(node, point, "/api/v1/faults/gpu/inject/xid-79", json=body, headers={"Idempotency-Key": "a"})
    node.reboot("boot-2")
    node.start()
    assert statuses(node) == {"a": "rebooted"}


def test_a_fault_whose_line_may_have_left_the_ring_is_unproven_and_can_still_be_taken_back(
    node: NodeProgram,
) -> None:
    with_three_faults(node)
    body = {"node_name": "gpu-1", "gpu_id": 2}
    dies(node, "after_write", "/api/v1/faults/gpu/inject/xid-79", json=body, headers={"Idempotency-Key": "a"})
    forget_ring(node.kernel_log)
    node.start()
    record = node.fault("gpu-1~a")
    assert (record["status"], record["evidence"]) == ("unproven", None)
    assert node.inject(79, key="a", gpu_id=2).json()["status"] == "unproven"
    refused = node.recover("gpu-1~a")
    assert refused.status_code == 409
    assert refused.json()["error"]["message"] == (
        "gpu-1~a was not acknowledged: the kernel log no longer reaches back to the injection, "
        "a real fault can not be ruled out."
    )


def test_an_orderly_end_forgets_nothing(node: NodeProgram) -> None:
    with_three_faults(node)
    before = node.get("/api/v1/faults").json()
    assert node.stop() == 0
    node.start()
    assert node.get("/api/v1/faults").json() == before


def test_only_one_agent_can_own_a_state_directory(node: NodeProgram, node_at: object) -> None:
    node.start()
    second = node_at("second")  # type: ignore[operator]
    second.argv = node.argv
    said = second.refuses_to_start()
    assert said == f"fault-agent: Another fault agent owns the state in {node.folder / 'state'}.\n"


def past(seconds: float) -> None:
    """Let real time pass: the agent counts in the kernel's time since boot."""
    time.sleep(seconds + 0.05)


def forget_ring(log: Path) -> None:
    """As a ring does: the old records go, the numbers go on."""
    numbers = [int(found) for found in re.findall(r"^\d+,(\d+),", log.read_text(), re.MULTILINE)]
    log.write_text(f"6,{max(numbers) + 1},0,-;usb 1-1: new device\n")
