"""kill -9 while arming and disarming: control file and ledger agree again, nothing stays armed for ever."""

import signal

import pytest

from tests.agent.test_arming import armed, control, disarm
from tests.agent.test_crashes import dies, past, statuses
from tests.agent.world import FAILS, NodeProgram

BODY = {"node_name": "gpu-1", "gpu_id": 2, "rules": [FAILS, FAILS], "ttl": 3600}
NEW = {"Idempotency-Key": "new"}


def with_two_faults(node: NodeProgram, **last: float) -> None:
    node.start()
    node.inject(79, key="line")
    node.arm(key="old", ttl=3600)
    if last:
        node.arm(key="new", gpu_id=2, **last)


AFTER_ARMING = [
    ("before_cuda_intent", None, 201, "active"),
    ("after_cuda_intent", "failed", 200, "failed"),
    ("after_cuda_write", "active", 200, "active"),
    ("after_cuda_active", "active", 200, "active"),
]


@pytest.mark.parametrize(("point", "status", "repeated", "at_last"), AFTER_ARMING)
def test_an_arming_that_dies_is_settled_by_the_control_file(
    node: NodeProgram, point: str, status: str | None, repeated: int, at_last: str
) -> None:
    with_two_faults(node)
    dies(node, point, "/api/v1/cuda/arm", json=BODY, headers=NEW)
    node.start()
    assert statuses(node) == {"line": "active", "old": "active"} | ({"new": status} if status else {})
    again = node.post("/api/v1/cuda/arm", json=BODY, headers=NEW)
    assert (again.status_code, again.json()["status"]) == (repeated, at_last)
    assert armed(node) == ["old"] + ["new"] * (2 if at_last == "active" else 0)
    assert disarm(node, "gpu-1~new").json()["status"] == ("recovered" if at_last == "active" else "failed")
    assert armed(node) == ["old"]


AFTER_ENDING = ["after_ending", "after_cuda_disarm", "after_disarmed"]


@pytest.mark.parametrize("point", AFTER_ENDING)
def test_a_disarming_that_dies_goes_on_after_a_restart(node: NodeProgram, point: str) -> None:
    with_two_faults(node, ttl=3600)
    dies(node, point, "/api/v1/cuda/disarm", json={"fault_id": "gpu-1~new"})
    node.start()
    record = node.until_fault("gpu-1~new", "recovered")
    assert armed(node) == ["old"]
    generation = control(node).generation
    assert disarm(node, "gpu-1~new").json() == record
    assert control(node).generation == generation
    assert statuses(node) == {"line": "active", "old": "active", "new": "recovered"}


@pytest.mark.parametrize("point", AFTER_ENDING)
def test_an_end_that_comes_while_no_agent_runs_happens_once(node: NodeProgram, point: str) -> None:
    with_two_faults(node, duration=0.3)
    node.kill()
    past(0.3)
    node.launch(die_at=point)
    assert node.ended() == -signal.SIGKILL
    node.start()
    record = node.until_fault("gpu-1~new", "expired")
    assert record["end_reason"] == "its duration is over"
    assert armed(node) == ["old"]


def test_a_reboot_of_the_node_disarms_everything(node: NodeProgram) -> None:
    with_two_faults(node)
    node.kill()
    node.reboot("boot-2")
    node.start()
    assert statuses(node) == {"line": "rebooted", "old": "rebooted"}
    assert armed(node) == []
    assert disarm(node, "gpu-1~old").json()["status"] == "rebooted"


def test_rules_that_nobody_answers_for_are_taken_out_at_start(node: NodeProgram) -> None:
    with_two_faults(node)
    node.kill()
    for path in (node.folder / "state").glob("old.fault"):
        path.unlink()
    node.start()
    assert statuses(node) == {"line": "active"}
    assert armed(node) == []


def test_whoever_removes_the_control_file_stops_the_fault_for_good(node: NodeProgram) -> None:
    with_two_faults(node)
    (node.folder / "cuda" / "control").unlink()
    record = node.until_fault("gpu-1~old", "failed")
    reason = "its rules are no longer in the control file, somebody else removed or replaced it"
    assert record["end_reason"] == reason
    renewed = node.post("/api/v1/faults/gpu-1~old/renew", json={"ttl": 60}).json()
    assert renewed == {"fault_id": "gpu-1~old", "state": "failed", "ended_at": record["ended_at"]}
    assert not (node.folder / "cuda" / "control").exists()


def test_a_renewal_notices_a_control_file_that_was_replaced(node: NodeProgram) -> None:
    with_two_faults(node)
    (node.folder / "cuda" / "control").write_bytes(b"something else")
    assert node.post("/api/v1/faults/gpu-1~old/renew", json={"ttl": 60}).json()["state"] == "failed"
