"""Injecting over HTTP: the record, its evidence, idempotency, tombstones and everything that is refused."""

from typing import Any

import pytest

from tests.agent.world import NodeProgram


def error_of(response: Any) -> tuple[int, str, str]:
    problem = response.json()["error"]
    return response.status_code, problem["code"], problem["message"]


def test_an_injection_writes_one_line_and_answers_with_it_as_evidence(node: NodeProgram) -> None:
    node.start()
    response = node.inject(79, key="run-7.inject", gpu_id=1, run="run-7")
    record = response.json()
    line = node.kernel_lines()[0]
    assert response.status_code == 201
    assert record.pop("injected_at")[-1] == "Z"
    assert record == {
        "fault_id": "gpu-1~run-7.inject",
        "status": "active",
        "fault_type": "gpu_xid",
        "xid": 79,
        "run": "run-7",
        "target": {
            "node": "gpu-1",
            "gpu_index": 1,
            "gpu_minor": 2,
            "gpu_uuid": "GPU-4001-0001",
            "pci": "4001:18:00",
        },
        "expires_at": None,
        "ended_at": None,
        "end_reason": None,
        "evidence": {"kernel_log": "file", "sequence": 0, "text": line, "boot_id": "boot-1"},
        "acknowledgement": None,
        "cuda": None,
    }
    assert line.startswith("kernel: ;NVRM: Xid (PCI:4001:18:00): 79, pid=")
    assert line.endswith(", name=fault-agent, GPU has fallen off the bus. gpu-1~run-7.inject")
    assert node.kernel_log.read_text().startswith("12,0,")


def test_the_same_key_with_the_same_body_answers_the_fault_and_writes_nothing_again(node: NodeProgram) -> None:
    node.start()
    first = node.inject(94, key="same", ttl=60)
    again = node.inject(94, key="same", ttl=60)
    assert (again.status_code, again.json()) == (200, first.json())
    node.recover("gpu-1~same")
    after = node.inject(94, key="same", ttl=60)
    assert (after.status_code, after.json()["status"]) == (200, "recovered")
    assert len(node.kernel_lines()) == 2


def test_the_same_key_with_another_body_is_a_conflict(node: NodeProgram) -> None:
    node.start()
    node.inject(94, key="same")
    expected = "gpu-1~same was asked for with another body before; use another key for another fault."
    assert error_of(node.inject(94, key="same", ttl=5)) == (409, "idempotency_conflict", expected)
    assert error_of(node.inject(79, key="same")) == (409, "idempotency_conflict", expected)
    assert len(node.kernel_lines()) == 1


def test_without_a_key_every_injection_is_a_new_fault(node: NodeProgram) -> None:
    node.start()
    ids = {node.inject(43).json()["fault_id"] for _ in range(2)}
    assert len(ids) == 2
    assert all(fault_id.startswith("gpu-1~auto-") for fault_id in ids)


@pytest.mark.parametrize(
    "gpu_id", [2, "2", "GPU-4001-0002", "gpu-4001-0002", "4001:19:00", "00004001:19:00.0", "minor:1"]
)
def test_a_gpu_can_be_named_in_each_of_the_usual_ways(node: NodeProgram, gpu_id: int | str) -> None:
    node.start()
    assert node.inject(79, gpu_id=gpu_id).json()["target"]["gpu_uuid"] == "GPU-4001-0002"


def test_a_gpu_that_is_not_there_is_refused_with_those_that_are(node: NodeProgram) -> None:
    node.start()
    assert error_of(node.inject(79, gpu_id=9)) == (
        404,
        "gpu_not_found",
        "Node gpu-1 has no GPU 9; its GPUs: 0 (GPU-4001-0000, 4001:17:00), 1 (GPU-4001-0001, 4001:18:00), "
        "2 (GPU-4001-0002, 4001:19:00), 3 (GPU-4001-0003, 4001:1a:00).",
    )
    assert node.kernel_lines() == []


def test_an_xid_without_a_text_needs_one_and_takes_it(node: NodeProgram) -> None:
    node.start()
    expected = (422, "message_needed", "XID 31 has no built-in message; send one in `message`.")
    assert error_of(node.inject(31)) == expected
    node.inject(31, key="own", message="MMU Fault: ENGINE {x} faulted \\ here")
    assert node.kernel_lines() == [
        "kernel: ;NVRM: Xid (PCI:4001:17:00): 31, MMU Fault: ENGINE {x} faulted \\ here gpu-1~own"
    ]


REFUSED: list[tuple[int, dict[str, Any], str, str]] = [
    (79, {"xid_type": 94}, "xid_disagrees", "The route says XID 79, the body says 94."),
    (79, {"message": "a\nb"}, "bad_message", "A message is printable ASCII on one line."),
    (
        79,
        {"message": "NVRM: Xid (PCI:0000:01:00): 31, x"},
        "bad_message",
        "A message must not contain 'NVRM:', 'GPU reset executed', 'nvsentinel-gpu-reset'.",
    ),
    (79, {"tll": 5}, "invalid_request", "body.tll: Extra inputs are not permitted."),
    (79, {"ttl": 0}, "invalid_request", "body.ttl: Input should be greater than 0."),
    (79, {"gpu_id": True}, "invalid_request", "body.gpu_id.int: Input should be a valid integer."),
    (0, {}, "invalid_request", "path.xid: Input should be greater than or equal to 1."),
    (1000, {"message": "x"}, "invalid_request", "path.xid: Input should be less than or equal to 999."),
]


@pytest.mark.parametrize(("xid", "body", "code", "message"), REFUSED)
def test_a_body_that_makes_no_sense_is_refused_before_anything_is_written(
    node: NodeProgram, xid: int, body: dict[str, Any], code: str, message: str
) -> None:
    node.start()
    assert error_of(node.inject(xid, **body)) == (422, code, message)
    assert node.kernel_lines() == []


def test_a_body_xid_type_that_agrees_is_accepted(node: NodeProgram) -> None:
    node.start()
    assert [node.inject(79, xid_type=spelled).status_code for spelled in (79, "79", "xid-79")] == [201] * 3


def test_another_nodes_name_is_refused(node: NodeProgram) -> None:
    node.start()
    expected = (404, "node_not_found", "This is the agent of node gpu-1, not of gpu-2.")
    assert error_of(node.inject(79, node_name="gpu-2")) == expected
    assert error_of(node.get("/api/v1/gpus?node_name=gpu-2")) == expected


def test_an_unknown_id_can_not_be_recovered_renewed_or_shown(node: NodeProgram) -> None:
    node.start()
    expected = (404, "fault_not_found", "There is no fault gpu-1~no.")
    assert error_of(node.recover("gpu-1~no")) == expected
    assert error_of(node.recover("gpu-1~no", key="other")) == expected
    assert error_of(node.post("/api/v1/faults/gpu-1~no/renew", json={"ttl": 5})) == expected
    assert error_of(node.get("/api/v1/faults/gpu-1~no")) == expected


def test_recovering_an_unknown_id_by_its_key_leaves_a_tombstone_that_survives_a_crash(node: NodeProgram) -> None:
    node.start()
    buried = node.recover("gpu-1~late", key="late")
    assert (buried.status_code, buried.json()["status"]) == (200, "tombstone")
    node.kill()
    node.start()
    expected = (410, "tombstoned", "gpu-1~late was taken back before it was injected, so it never will be.")
    assert error_of(node.inject(79, key="late")) == expected
    assert error_of(node.post("/api/v1/faults/gpu-1~late/renew", json={"ttl": 5})) == expected
    assert node.recover("gpu-1~late", key="late").json() == buried.json()
    assert node.kernel_lines() == []


def test_recovering_twice_gives_the_same_answer_and_one_acknowledgement(node: NodeProgram) -> None:
    node.start()
    node.inject(79, key="a")
    first, second = node.recover("gpu-1~a"), node.recover("gpu-1~a")
    acknowledgement = "nvsentinel-gpu-reset: GPU reset executed: GPU-4001-0000, success: true"
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert first.json()["acknowledgement"] == {"sequence": 1, "text": acknowledgement}
    assert node.kernel_lines()[1:] == [acknowledgement]
    assert node.kernel_log.read_text().splitlines()[1].startswith("11,1,")


def test_only_the_last_fault_of_a_gpu_is_acknowledged(node: NodeProgram) -> None:
    node.start()
    for key, gpu in (("a", 0), ("b", 0), ("other", 1)):
        node.inject(79, key=key, gpu_id=gpu)
    assert node.recover("gpu-1~a").json()["acknowledgement"] is None
    assert node.recover("gpu-1~b").json()["acknowledgement"]["sequence"] == 3
    active = node.get("/api/v1/faults?active_only=true").json()
    assert [fault["fault_id"] for fault in active["faults"]] == ["gpu-1~other"]
    assert len(node.get("/api/v1/faults").json()["faults"]) == 3


def test_a_pod_that_holds_a_gpu_is_shown(node: NodeProgram) -> None:
    holders = node.folder / "allocations.json"
    node.start("--allocations", str(holders))
    assert node.get("/api/v1/gpus").json()["gpus"][0]["held_by"] == []
    holders.write_text('{"GPU-4001-0000": [{"namespace": "dynamo", "pod": "vllm-1", "container": "worker"}]}')
    shown = node.get("/api/v1/gpus?node_name=gpu-1").json()
    assert shown["gpus"][0] == {
        "index": 0,
        "minor": 3,
        "uuid": "GPU-4001-0000",
        "pci": "4001:17:00",
        "held_by": [{"namespace": "dynamo", "pod": "vllm-1", "container": "worker"}],
    }
    assert (shown["node"], shown["boot_id"], shown["kernel_log"]) == ("gpu-1", "boot-1", "file")


def test_two_agents_can_share_one_kernel_log_without_hearing_each_other(node: NodeProgram, node_at: Any) -> None:
    other = node_at("gpu-2", "4002")
    other.argv[-1] = f"file:{node.kernel_log}"
    node.start()
    other.start()
    node.inject(79, key="a")
    assert other.inject(79, key="a").json()["evidence"]["sequence"] == 1
    assert node.recover("gpu-1~a").json()["status"] == "recovered"
    assert other.recover("gpu-2~a").json()["status"] == "recovered"
