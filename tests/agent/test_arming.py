"""Arming CUDA faults over HTTP: the record, the control file, idempotency, tombstones and everything refused."""

import time
from pathlib import Path
from typing import Any

import pytest

from fault_agent import cuda_control
from fault_agent.cuda_control import CallClass, Control, GpuPci, Mode
from tests.agent.test_injecting import error_of
from tests.agent.world import FAILS, ForkServer, NodeProgram, gateway_program

KERNEL_BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def control(node: NodeProgram) -> Control:
    found = cuda_control.read(node.folder / "cuda" / "control")
    assert found is not None
    return found


def armed(node: NodeProgram) -> list[str]:
    return [rule.fault for rule in control(node).rules]


def disarm(node: NodeProgram, fault_id: str, key: str | None = None) -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    return node.post("/api/v1/cuda/disarm", json={"fault_id": fault_id}, headers=headers)


def test_an_armed_fault_stands_in_the_control_file_and_is_a_fault_like_any_other(node: NodeProgram) -> None:
    node.start()
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    answer = node.arm(key="run-7.arm", gpu_id="4001:18:00", duration=30, run="run-7")
    after = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    record = answer.json()
    assert answer.status_code == 201
    assert (record.pop("injected_at")[-1], record.pop("expires_at")[-1]) == ("Z", "Z")
    path = str(node.folder / "cuda" / "control")
    assert record == {
        "fault_id": "gpu-1~run-7.arm",
        "status": "active",
        "fault_type": "cuda",
        "xid": None,
        "run": "run-7",
        "target": {
            "node": "gpu-1",
            "gpu_index": 1,
            "gpu_minor": 2,
            "gpu_uuid": "GPU-4001-0001",
            "pci": "4001:18:00",
        },
        "ended_at": None,
        "end_reason": None,
        "evidence": None,
        "acknowledgement": None,
        "cuda": {
            "profile": None,
            "rules": [
                {
                    "classes": ["launch"],
                    "mode": "sticky",
                    "code": 719,
                    "nvml_code": 0,
                    "scope": "device",
                    "after_calls": 0,
                    "not_before": 0.0,
                    "probability": 1.0,
                    "max_hits": 0,
                    "min_bytes": 0,
                    "delay": 0.0,
                    "free_bytes": 0,
                    "process": "",
                    "running_only": False,
                }
            ],
            "control": {"path": path, "generation": 1, "boot_id": KERNEL_BOOT},
        },
    }
    written = control(node)
    rule = written.rules[0]
    assert (written.boot_id, written.generation, len(written.rules)) == (KERNEL_BOOT, 1, 1)
    assert (rule.fault, rule.part, rule.mode, rule.classes) == ("run-7.arm", 0, Mode.STICKY, CallClass.LAUNCH)
    assert (rule.code, rule.gpu) == (719, GpuPci(0x4001, 0x18, 0))
    assert before + 30 * 10**9 - 10**6 <= rule.expires_at_ns <= after + 30 * 10**9
    assert node.kernel_lines() == []
    listed = node.get("/api/v1/faults?active_only=true").json()["faults"]
    assert listed == [node.fault("gpu-1~run-7.arm")] == [answer.json()]


def test_disarming_takes_the_rules_out_of_the_control_file_and_twice_is_fine(node: NodeProgram) -> None:
    node.start()
    node.arm(key="a")
    node.arm(key="b", gpu_id=1)
    assert armed(node) == ["a", "b"]
    first = disarm(node, "gpu-1~a")
    assert (first.status_code, first.json()["status"], first.json()["end_reason"]) == (
        200,
        "recovered",
        "recovered on request",
    )
    assert armed(node) == ["b"]
    assert disarm(node, "gpu-1~a").json() == first.json()
    assert node.recover("gpu-1~b").json()["status"] == "recovered"
    assert armed(node) == []


def test_the_same_key_with_the_same_body_arms_nothing_again(node: NodeProgram) -> None:
    node.start()
    first = node.arm(key="same")
    again = node.arm(key="same")
    assert (again.status_code, again.json()) == (200, first.json())
    assert control(node).generation == 1
    expected = "gpu-1~same was asked for with another body before; use another key for another fault."
    assert error_of(node.arm(key="same", gpu_id=1)) == (409, "idempotency_conflict", expected)
    assert error_of(node.inject(79, key="same")) == (409, "idempotency_conflict", expected)
    disarm(node, "gpu-1~same")
    assert node.arm(key="same").json()["status"] == "recovered"
    assert armed(node) == []


def test_a_fault_disarmed_before_it_was_armed_never_will_be(node: NodeProgram) -> None:
    node.start()
    assert error_of(disarm(node, "gpu-1~late")) == (404, "fault_not_found", "There is no fault gpu-1~late.")
    assert disarm(node, "gpu-1~late", key="late").json()["status"] == "tombstone"
    assert error_of(node.arm(key="late"))[:2] == (410, "tombstoned")
    assert disarm(node, "gpu-1~late").json()["status"] == "tombstone"


def test_a_renewal_moves_the_end_in_the_control_file_too(node: NodeProgram) -> None:
    node.start()
    node.arm(key="a", ttl=5)
    end = control(node).rules[0].expires_at_ns
    renewed = node.post("/api/v1/faults/gpu-1~a/renew", json={"ttl": 100}).json()
    assert renewed == {"fault_id": "gpu-1~a", "state": "active", "ended_at": None}
    assert control(node).rules[0].expires_at_ns > end + 90 * 10**9


def test_an_end_that_comes_empties_the_control_file(node: NodeProgram) -> None:
    node.start()
    node.arm(key="a", duration=0.3)
    record = node.until_fault("gpu-1~a", "expired")
    assert record["end_reason"] == "its duration is over"
    assert control(node).rules == ()


def test_a_cuda_fault_and_a_kernel_line_of_one_gpu_do_not_hold_each_other_up(node: NodeProgram) -> None:
    node.start()
    node.inject(79, key="line")
    node.arm(key="calls")
    line = node.recover("gpu-1~line").json()
    assert (line["status"], line["acknowledgement"]["sequence"]) == ("recovered", 1)
    node.add_kernel_line("NVRM: Xid (PCI:4001:17:00): 79, pid=1, GPU has fallen off the bus.")
    assert disarm(node, "gpu-1~calls").json()["status"] == "recovered"


def test_all_gpus_of_a_node_can_be_meant(node: NodeProgram) -> None:
    node.start()
    record = node.arm(key="a", gpu_id="all").json()
    assert record["target"] == {
        "node": "gpu-1",
        "gpu_index": None,
        "gpu_minor": None,
        "gpu_uuid": None,
        "pci": None,
    }
    assert control(node).rules[0].gpu is None
    assert disarm(node, "gpu-1~a").json()["status"] == "recovered"


REFUSED: list[tuple[dict[str, Any], int, str, str]] = [
    ({"gpu_id": 9}, 404, "gpu_not_found", "Node gpu-1 has no GPU 9; its GPUs: "),
    ({"node_name": "gpu-2"}, 404, "node_not_found", "This is the agent of node gpu-1, not of gpu-2."),
    ({"xid": 7}, 422, "no_profile_for_xid", "XID 7 has no CUDA profile; XIDs with one: "),
    ({"xid": 79, "rules": [FAILS]}, 422, "invalid_request", "body: send exactly one of profile, xid and rules."),
    ({"rules": [FAILS], "override": {}}, 422, "invalid_request", "body.override: rules need no override."),
    ({"rules": []}, 422, "invalid_request", "body.rules: "),
    ({"rules": [{**FAILS, "classes": []}]}, 422, "invalid_request", "body.rules.0.classes: "),
    ({"rules": [{**FAILS, "clases": ["sync"]}]}, 422, "invalid_request", "body.rules.0.clases: Extra inputs"),
    ({"rules": [{**FAILS, "probability": 0}]}, 422, "invalid_request", "body.rules.0.probability: "),
    ({"rules": [{**FAILS, "process": "p" * 16}]}, 422, "invalid_request", "body.rules.0.process: "),
    ({"ttl": None}, 422, "end_needed", "A CUDA fault needs an end: send duration, ttl or max_lifetime."),
    ({"ttl": "60"}, 422, "invalid_request", "body.ttl: "),
]


@pytest.mark.parametrize(("body", "status", "code", "message"), REFUSED)
def test_what_can_not_be_armed_is_refused_and_leaves_nothing(
    node: NodeProgram, body: dict[str, Any], status: int, code: str, message: str
) -> None:
    node.start()
    found = error_of(node.arm(key="a", **body))
    assert (found[0], found[1], found[2][: len(message)]) == (status, code, message)
    assert error_of(node.get("/api/v1/faults/gpu-1~a"))[1] == "fault_not_found"
    assert not (node.folder / "cuda" / "control").exists()


def test_a_kernel_line_is_not_disarmed(node: NodeProgram) -> None:
    node.start()
    node.inject(79, key="a")
    expected = (422, "not_a_cuda_fault", "gpu-1~a is not a CUDA fault; recover it instead.")
    assert error_of(disarm(node, "gpu-1~a")) == expected
    assert node.fault("gpu-1~a")["status"] == "active"


def test_more_rules_than_the_control_file_holds_are_refused(node: NodeProgram) -> None:
    node.start()
    for key in ("a", "b"):
        assert node.arm(key=key, rules=[FAILS] * 7).status_code == 201
    message = "Node gpu-1 has 14 CUDA rules armed and this fault has 3, at most 16 fit."
    assert error_of(node.arm(key="c", rules=[FAILS] * 3)) == (429, "too_many_rules", message)
    disarm(node, "gpu-1~a")
    assert node.arm(key="c", rules=[FAILS] * 3).status_code == 201
    assert armed(node) == ["b"] * 7 + ["c"] * 3


def test_xids_that_are_not_allowed_are_not_armed_either(node: NodeProgram) -> None:
    node.start("--allow-xids", "94")
    refused = error_of(node.arm(xid=79))
    assert refused == (403, "xid_not_allowed", "XID 79 is not allowed on node gpu-1; allowed: 94.")


def test_a_folder_that_can_not_be_used_is_said_and_refuses(node: NodeProgram) -> None:
    (node.folder / "cuda").write_text("a file")
    node.start()
    path = node.folder / "cuda"
    reason = f"{path} can not be used: File exists"
    assert node.get("/readyz").json()["cuda"] == {"path": str(path), "usable": False, "reason": reason}
    assert node.printed().splitlines()[0] == f"CUDA folder not usable: {reason}; CUDA faults will be refused"
    message = f"CUDA faults can not be armed on node gpu-1: {reason}."
    assert error_of(node.arm(key="a")) == (503, "cuda_not_usable", message)
    assert node.get("/readyz").status_code == 200
    assert node.inject(79).status_code == 201


def test_two_agents_do_not_share_a_folder(node: NodeProgram, node_at: Any) -> None:
    node.start()
    node.arm(key="a")
    other = node_at("gpu-2", "4002")
    other.start("--cuda-dir", str(node.folder / "cuda"))
    reason = f"{node.folder / 'cuda'} can not be used: another fault agent owns it"
    assert other.get("/readyz").json()["cuda"]["reason"] == reason
    assert other.arm(key="b").status_code == 503
    assert armed(node) == ["a"]


def test_the_gateway_routes_cuda_faults(server: ForkServer, node: NodeProgram, tmp_path: Path) -> None:
    gateway = gateway_program(server, tmp_path / "gateway", {"gpu-1": node.start(), "gpu-2": "http://127.0.0.1:9"})
    gateway.start()
    body = {"node_name": "gpu-1", "rules": [FAILS], "ttl": 60}
    created = gateway.post("/api/v1/cuda/arm", json=body, headers={"Idempotency-Key": "a"})
    assert (created.status_code, created.json()) == (201, node.fault("gpu-1~a"))
    everywhere = gateway.get("/api/v1/cuda/hits").json()
    assert [one["node"] for one in everywhere["nodes"]] == ["gpu-1"]
    assert [one["node"] for one in everywhere["unreachable"]] == ["gpu-2"]
    for query in ("node_name=gpu-1", "fault_id=gpu-1~a"):
        assert gateway.get(f"/api/v1/cuda/hits?{query}").json()["nodes"][0]["armed"] == ["gpu-1~a"]
    assert error_of(gateway.get("/api/v1/cuda/hits?fault_id=gpu-1~b"))[1] == "fault_not_found"
    assert gateway.get("/api/v1/cuda/profiles").json() == node.get("/api/v1/cuda/profiles").json()
    assert gateway.post("/api/v1/faults/gpu-1~a/renew", json={"ttl": 60}).json()["state"] == "active"
    assert gateway.post("/api/v1/cuda/disarm", json={"fault_id": "gpu-1~a"}).json()["status"] == "recovered"
    gateway.leave_nothing()
