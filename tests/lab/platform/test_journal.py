"""What the journal makes of kernel records."""

import pytest

from scenario_runner.lab.platform.journal import JournalEntry, journal_entry
from scenario_runner.lab.platform.kernel_log import Record

XID = "NVRM: Xid (PCI:0000:17:00): 79, pid=1, name=x, GPU has fallen off the bus."
USER = 12
KERNEL = 4


@pytest.mark.parametrize(
    ("written", "identifier", "message"),
    [
        (XID, "NVRM", XID.removeprefix("NVRM: ")),
        (f"kernel: {XID}", "kernel", XID),
        (f"[6085126.134786] {XID}", "", f"[6085126.134786] {XID}"),
        (f"NVRM: {XID}", "NVRM", XID),
        (f"kernel: ;{XID}", "kernel", f";{XID}"),
        (f";{XID}", ";NVRM", XID.removeprefix("NVRM: ")),
        (f"kernel:{XID}", "kernel:NVRM", XID.removeprefix("NVRM: ")),
        ("logger[12]: hello", "logger", "hello"),
        ("nvsentinel-gpu-reset: GPU reset executed: x", "nvsentinel-gpu-reset", "GPU reset executed: x"),
        ("hello: ", "hello", ""),
        ("hello", "", "hello"),
    ],
)
def test_a_first_word_that_ends_in_a_colon_is_taken_out_of_what_a_process_wrote(
    written: str, identifier: str, message: str
) -> None:
    assert journal_entry(Record(USER, 1, written)) == JournalEntry(identifier, message)


def test_a_record_of_the_kernel_stays_whole() -> None:
    assert journal_entry(Record(KERNEL, 1, XID)) == JournalEntry("kernel", XID)


def test_a_record_with_a_priority_of_1000_is_dropped() -> None:
    assert journal_entry(Record(999, 1, "kept: x")) == JournalEntry("kept", "x")
    assert journal_entry(Record(1000, 1, "dropped: x")) is None
