"""The real kernel log: written, read back, acknowledged, shared with everybody else on the machine."""

import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from fault_agent.kernel_log import DevKmsg
from tests.agent.world import NodeProgram

KMSG = Path("/dev/kmsg")

pytestmark = [
    pytest.mark.kmsg,
    pytest.mark.skipif(DevKmsg(KMSG).why_unusable() is not None, reason="needs a kernel log it may write to"),
]


@pytest.fixture
def kmsg_node(node_at: Callable[..., NodeProgram]) -> NodeProgram:
    """A node on the real kernel log, in a PCI domain that no machine and no other test has."""
    domain = f"{0x6000 + secrets.randbelow(0x1000):04x}"
    node = node_at(f"kmsg-{secrets.token_hex(3)}", domain)
    node.argv[-1] = "real"
    return node


def raw_records(word: str) -> list[str]:
    """Records of the ring that contain `word`, as a program of its own would read them."""
    fd = os.open(KMSG, os.O_RDONLY | os.O_NONBLOCK)
    found: list[str] = []
    try:
        while True:
            try:
                record = os.read(fd, 16384).decode(errors="replace")
            except BrokenPipeError:
                continue
            except BlockingIOError:
                return found
            if word in record:
                found.append(record.splitlines()[0])
    finally:
        os.close(fd)


@pytest.mark.parametrize("xid", [43, 48, 74, 79, 94, 95, 119, 120])
def test_a_line_is_in_the_kernels_ring_exactly_as_the_evidence_says(kmsg_node: NodeProgram, xid: int) -> None:
    kmsg_node.start()
    record = kmsg_node.inject(xid, key="run-1").json()
    evidence = record["evidence"]
    found = raw_records(f"{kmsg_node.name}~run-1")
    assert len(found) == 1
    head, text = found[0].split(";", 1)
    assert (text, int(head.split(",")[1])) == (evidence["text"], evidence["sequence"])
    assert head.startswith("12,")
    assert evidence["kernel_log"] == "real"
    assert re.search(rf"NVRM: Xid \(PCI:{record['target']['pci']}\): {xid}, ", text)


def test_the_acknowledgement_is_in_the_ring_once(kmsg_node: NodeProgram) -> None:
    kmsg_node.start()
    kmsg_node.inject(119, key="run-1")
    uuid = kmsg_node.fault(f"{kmsg_node.name}~run-1")["target"]["gpu_uuid"]
    for _ in range(2):
        assert kmsg_node.recover(f"{kmsg_node.name}~run-1").json()["status"] == "recovered"
    found = raw_records(uuid)
    assert [record.split(";", 1)[1] for record in found] == [
        f"nvsentinel-gpu-reset: GPU reset executed: {uuid}, success: true"
    ]
    assert found[0].startswith("11,")


def test_thirty_lines_in_a_row_all_arrive(kmsg_node: NodeProgram) -> None:
    kmsg_node.start("--max-active", "40")
    answers = [kmsg_node.inject(94, key=f"n-{n}", gpu_id=n % 4) for n in range(30)]
    assert {answer.status_code for answer in answers} == {201}
    assert len(raw_records(f"{kmsg_node.name}~n-")) == 30


def test_an_injection_killed_after_its_write_is_found_in_the_ring(kmsg_node: NodeProgram) -> None:
    kmsg_node.start(die_at="after_write")
    body = {"node_name": kmsg_node.name}
    with pytest.raises(Exception, match="disconnected"):
        kmsg_node.post("/api/v1/faults/gpu/inject/xid-79", json=body, headers={"Idempotency-Key": "a"})
    kmsg_node.ended()
    kmsg_node.start()
    assert kmsg_node.inject(79, key="a").json()["status"] == "active"
    assert len(raw_records(f"{kmsg_node.name}~a")) == 1


def test_backslashes_come_back_as_they_were_sent(kmsg_node: NodeProgram) -> None:
    kmsg_node.start()
    record = kmsg_node.inject(31, key="b", message=r"odd \x41 \ text").json()
    assert record["evidence"]["text"].endswith(rf"31, odd \x41 \ text {kmsg_node.name}~b")
