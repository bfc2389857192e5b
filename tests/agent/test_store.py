"""What is on disk: torn, damaged, foreign and full."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fault_agent.fault import Fault, Phase
from fault_agent.ledger import MAX_KEPT, Ledger
from fault_agent.store import SLOT_BYTES, SPARES, Store
from tests.agent.world import NodeProgram


def fault(name: str = "a", phase: Phase = Phase.ACTIVE, **more: str) -> Fault:
    return Fault(fault_id=f"gpu-1~{name}", phase=phase, body_hash="", boot_id="boot-1", **more)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


def loaded(folder: Path) -> tuple[tuple[Fault, ...], tuple[str, ...]]:
    store = Store(folder)
    faults = store.load()
    store.close()
    return faults, store.unreadable


def test_a_write_torn_at_any_byte_leaves_the_state_before_it(folder: Path) -> None:
    store = Store(folder)
    store.create(fault())
    before = (folder / "a.fault").read_bytes()
    store.update(fault(phase=Phase.RECOVERED))
    after = (folder / "a.fault").read_bytes()
    store.close()
    end_of_json = len(after.rstrip())
    for end in (SLOT_BYTES, SLOT_BYTES + 1, (SLOT_BYTES + end_of_json) // 2, end_of_json - 1):
        (folder / "a.fault").write_bytes(after[:end] + before[end:])
        assert loaded(folder) == ((fault(),), ())
    (folder / "a.fault").write_bytes(after)
    assert loaded(folder) == ((fault(phase=Phase.RECOVERED),), ())


def test_a_file_that_was_made_but_never_written_is_forgotten(folder: Path) -> None:
    folder.mkdir()
    (folder / "a.fault").write_bytes(b" " * 100)
    assert loaded(folder) == ((), ())
    assert not (folder / "a.fault").exists()


def test_later_states_take_no_new_space(folder: Path) -> None:
    store = Store(folder)
    store.create(fault())
    for _ in range(5):
        store.update(fault(phase=Phase.RECOVERED, end_reason="x" * 300))
    store.close()
    assert (folder / "a.fault").stat().st_size == 2 * SLOT_BYTES


def test_only_finished_faults_are_ever_forgotten(folder: Path) -> None:
    store = Store(folder)
    ledger = Ledger("gpu-1", store)
    ledger.create(fault("alive"))
    for number in range(MAX_KEPT + 1):
        ledger.bury(fault(f"t{number}", Phase.TOMBSTONE, ended_at=f"{number:05}"))
    known = {one.fault_id for one in ledger.all()}
    store.close()
    assert len(known) == MAX_KEPT
    assert "gpu-1~alive" in known
    assert "gpu-1~t0" not in known
    assert f"gpu-1~t{MAX_KEPT}" in known


def test_a_damaged_record_is_reported_and_its_id_stays_taken(node: NodeProgram) -> None:
    node.start()
    node.inject(79, key="a")
    node.inject(79, key="b", gpu_id=1)
    node.stop()
    path = node.folder / "state" / "a.fault"
    path.write_bytes(path.read_bytes().replace(b"gpu-1", b"gpu-X"))
    node.start()
    state = node.get("/readyz")
    assert (state.status_code, state.json()["damaged"]) == (503, ["gpu-1~a"])
    message = "The record of gpu-1~a on disk is damaged; its kernel line can not be taken back here."
    expected = {"error": {"code": "state_damaged", "message": message, "node": "gpu-1"}}
    for response in (node.recover("gpu-1~a"), node.inject(79, key="a"), node.get("/api/v1/faults/gpu-1~a")):
        assert (response.status_code, response.json()) == (500, expected)
    assert node.recover("gpu-1~b").json()["status"] == "recovered"


def test_the_state_of_another_node_is_refused(node: NodeProgram) -> None:
    node.start()
    node.inject(79, key="a")
    node.stop()
    node.argv[node.argv.index("gpu-1")] = "gpu-2"
    said = node.refuses_to_start()
    assert said == f"fault-agent: The state in {node.folder / 'state'} belongs to node gpu-1.\n"


@pytest.fixture
def small_disk(node: NodeProgram) -> Iterator[Path]:
    """The node's state directory on a file system of its own with little room."""
    state = node.folder / "state"
    state.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=192k", "none", str(state)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield state
    node.leave_nothing()
    subprocess.run(["umount", str(state)], check=True)


def fill(disk: Path) -> None:
    free = os.statvfs(disk)
    (disk / "ballast").write_bytes(b"x" * free.f_bavail * free.f_bsize)


def test_a_full_disk_refuses_new_faults_without_a_line_and_still_takes_back(
    node: NodeProgram, small_disk: Path
) -> None:
    node.start()
    node.inject(79, key="old")
    node.inject(79, key="expiring", gpu_id=1, ttl=3600)
    fill(small_disk)
    refused = node.inject(79, key="new", gpu_id=2)
    message = "The disk of node gpu-1 is full: nothing was injected."
    assert refused.status_code == 507
    assert refused.json() == {"error": {"code": "disk_full", "message": message, "node": "gpu-1"}}
    assert node.get("/api/v1/faults/gpu-1~new").status_code == 404
    assert len(node.kernel_lines()) == 2
    assert node.post("/api/v1/faults/gpu-1~expiring/renew", json={"ttl": 60}).json()["state"] == "active"
    assert node.recover("gpu-1~old").json()["status"] == "recovered"
    assert node.recover("gpu-1~new", key="new").json()["status"] == "tombstone"
    node.kill()
    node.start()
    assert node.recover("gpu-1~expiring").json()["status"] == "recovered"
    assert node.inject(79, key="new", gpu_id=2).status_code == 410
    (small_disk / "ballast").unlink()
    assert node.inject(79, key="newer", gpu_id=2).status_code == 201


def test_tombstones_on_a_full_disk_end_with_the_reserve(node: NodeProgram, small_disk: Path) -> None:
    node.start()
    fill(small_disk)
    answers = [node.recover(f"gpu-1~t{n}", key=f"t{n}") for n in range(SPARES + 1)]
    assert [answer.status_code for answer in answers] == [200] * SPARES + [507]
    assert answers[-1].json()["error"]["message"] == (
        "The disk of node gpu-1 is full and its reserve is used up: no tombstone was left."
    )


def test_a_file_size_limit_counts_as_a_full_disk(node: NodeProgram) -> None:
    node.start(file_size=4096)
    assert node.inject(79, key="a").json()["error"]["code"] == "disk_full"
    assert node.kernel_lines() == []


def test_the_audit_is_bounded_and_names_every_change(node: NodeProgram) -> None:
    node.start()
    node.inject(79, key="a")
    node.recover("gpu-1~a")
    node.recover("gpu-1~no")
    lines = [json.loads(line) for line in (node.folder / "state" / "audit.ndjson").read_text().splitlines()]
    assert [(line["action"], line["fault_id"], line["result"]) for line in lines] == [
        ("inject xid 79", "gpu-1~a", "active"),
        ("recover", "gpu-1~a", "recovered"),
        ("recover", "gpu-1~no", "refused: There is no fault gpu-1~no."),
    ]
    assert [json.loads(line) for line in node.printed().splitlines()[1:]] == lines
