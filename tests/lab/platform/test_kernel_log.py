"""Reading and writing kernel logs: the lab's file and the real device."""

import os
import uuid
from pathlib import Path

import pytest

from scenario_runner.lab.platform.kernel_log import DeviceLog, FileLog, Record, open_kernel_log, parse_record


def test_a_record_is_its_priority_its_number_and_its_text() -> None:
    assert parse_record(b"12,1227,437812449,-;kernel: ;NVRM: Xid\n") == Record(12, 1227, "kernel: ;NVRM: Xid")


def test_the_dictionary_after_a_record_of_the_device_is_not_text() -> None:
    raw = b"6,339,5140900,-,caller=T1;NET: registered\n SUBSYSTEM=net\n DEVICE=+net:eth0\n"
    assert parse_record(raw) == Record(6, 339, "NET: registered")


def test_escaped_bytes_of_the_device_are_read_as_what_they_were() -> None:
    assert parse_record(rb"12,1,1,-;one\x0atwo") == Record(12, 1, "one\ntwo")


def test_what_is_no_record_is_none() -> None:
    assert parse_record(b"hello") is None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kernel.log"


def test_a_file_that_is_not_there_is_an_empty_log(path: Path) -> None:
    assert FileLog(path).read() == []


def test_a_written_line_has_facility_user_and_the_next_number(path: Path) -> None:
    FileLog(path).write(4, "one")
    FileLog(path).write(3, "two")
    lines = [line.split(",", 3) for line in path.read_text().splitlines()]
    assert [(line[0], line[1], line[3]) for line in lines] == [("12", "0", "-;one"), ("11", "1", "-;two")]
    assert all(int(line[2]) > 0 for line in lines)


def test_each_record_is_read_once(path: Path) -> None:
    log = FileLog(path)
    log.write(4, "one")
    assert log.read() == [Record(12, 0, "one")]
    assert log.read() == []
    log.write(4, "two")
    assert log.read() == [Record(12, 1, "two")]


def test_half_a_line_waits_for_its_other_half(path: Path) -> None:
    log = FileLog(path)
    path.write_text("12,0,1,-;one\n12,1,2,-;tw")
    assert log.read() == [Record(12, 0, "one")]
    with path.open("a") as file:
        file.write("o\n")
    assert log.read() == [Record(12, 1, "two")]


def test_a_writer_takes_away_the_half_line_of_a_writer_that_died(path: Path) -> None:
    path.write_text("12,0,1,-;one\n12,1,2,-;tw")
    FileLog(path).write(4, "three")
    assert FileLog(path).read() == [Record(12, 0, "one"), Record(12, 1, "three")]


@pytest.mark.parametrize("replaced", [True, False])
def test_a_log_that_begins_anew_is_read_from_its_start(path: Path, replaced: bool) -> None:
    log = FileLog(path)
    for text in ("one", "two", "three"):
        log.write(4, text)
    assert len(log.read()) == 3
    if replaced:
        fresh = path.with_name("fresh")
        fresh.write_text("12,0,1,-;a line of the new boot, longer than all that the old one said\n" * 3)
        fresh.replace(path)
        assert len(log.read()) == 3
    else:
        path.write_text("12,0,1,-;new\n")
        assert log.read() == [Record(12, 0, "new")]


def test_after_a_reboot_a_file_is_read_from_its_start_whatever_it_looks_like(path: Path) -> None:
    log = FileLog(path)
    log.write(4, "one")
    assert len(log.read()) == 1
    path.write_text("12,0,1,-;as long\n" * 9)
    assert log.rebooted()
    assert len(log.read()) == 9


def test_a_reboot_of_a_node_leaves_the_ring_of_the_machine_as_it_is(path: Path) -> None:
    path.touch()
    assert not DeviceLog(path).rebooted()


@pytest.mark.kmsg
def test_the_real_log_gives_back_what_was_written_as_a_record_of_facility_user() -> None:
    if not os.access("/dev/kmsg", os.R_OK | os.W_OK):
        pytest.skip("/dev/kmsg is not ours to read and write")
    log = open_kernel_log("real")
    assert isinstance(log, DeviceLog)
    log.read()
    text = f"scenario-runner-test: {uuid.uuid4()}"
    log.write(3, text)
    assert [(record.priority, record.text) for record in log.read() if record.text == text] == [(11, text)]
    assert [record for record in log.read() if record.text == text] == []


def test_a_missing_device_does_not_become_a_file(tmp_path: Path) -> None:
    device = tmp_path / "kmsg"
    device.touch()
    log = DeviceLog(device)
    device.unlink()
    with pytest.raises(FileNotFoundError):
        log.write(4, "lost")
    assert not device.exists()
