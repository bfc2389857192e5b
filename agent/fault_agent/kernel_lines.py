"""The lines the agent writes into the kernel log, and how it finds XIDs and acknowledgements there."""

import os
import re
from dataclasses import dataclass

from fault_agent.inventory import Gpu, driver_pci
from fault_agent.kernel_log import Record
from fault_agent.refusal import Refusal
from fault_agent.xids import XidTable

MAX_LINE_BYTES = 900  # older kernels cut at about 976, and so does one of the readers

_XID = re.compile(r"NVRM: Xid \((?:PCI:)?([0-9a-fA-F:.]+)[^)]*\): \d+")
_FELL_OFF = re.compile(r"NVRM: (?:The NVIDIA )?GPU ([0-9a-fA-F:.]+?):? .*fallen off the bus")
_RESET = re.compile(r"GPU reset executed: (GPU-[0-9a-fA-F-]+), success: true")
_FORGED = ("NVRM:", "GPU reset executed", "nvsentinel-gpu-reset")


@dataclass(frozen=True)
class KernelLine:
    """One line to write; `level` is a syslog level, the kernel makes it a record of facility user."""

    level: int
    text: str


def xid_line(table: XidTable, xid: int, gpu: Gpu, fault_id: str, message: str | None) -> KernelLine:
    """The line that reports `xid` on `gpu`, ending in the fault's id; raises Refusal 422."""
    tail = _checked(message) if message is not None else _built_in(table, xid, gpu)
    text = f"{table.prefix_of(xid)}NVRM: Xid (PCI:{gpu.pci}): {xid}, {tail} {fault_id}"
    if len(text) > MAX_LINE_BYTES:
        raise Refusal(422, "line_too_long", f"The kernel line has {len(text)} bytes, at most {MAX_LINE_BYTES} fit.")
    return KernelLine(4, text)


def acknowledgement_line(gpu_uuid: str) -> KernelLine:
    """The line after which the platform takes the GPU for healthy again."""
    return KernelLine(3, f"nvsentinel-gpu-reset: GPU reset executed: {gpu_uuid}, success: true")


def _built_in(table: XidTable, xid: int, gpu: Gpu) -> str:
    row = table.find(xid)
    if row is None or row.message is None:
        raise Refusal(422, "message_needed", f"XID {xid} has no built-in message; send one in `message`.")
    return row.message.format(pid=os.getpid(), name="fault-agent", n=gpu.minor)


def _checked(message: str) -> str:
    """A caller's text must stay one record about one XID: no control characters, no second line in disguise."""
    if not re.fullmatch(r"[ -~]+", message):
        raise Refusal(422, "bad_message", "A message is printable ASCII on one line.")
    if any(word in message for word in _FORGED):
        raise Refusal(422, "bad_message", f"A message must not contain {', '.join(map(repr, _FORGED))}.")
    return message


def carries(record: Record, fault_id: str) -> bool:
    """True if the record is the line of exactly this fault: the id is its last word."""
    return record.text.endswith(f" {fault_id}") and "NVRM: Xid" in record.text


def acknowledges(record: Record, gpu_uuid: str) -> bool:
    match = _RESET.search(record.text)
    return match is not None and match.group(1) == gpu_uuid


def reports_fault_of(record: Record, pci: str) -> bool:
    """True if the record is a driver's report of a fault of the GPU at `pci`, ours or real."""
    match = _XID.search(record.text) or _FELL_OFF.search(record.text)
    return match is not None and driver_pci(match.group(1)) == pci


def last_word(record: Record) -> str:
    return record.text.rpartition(" ")[2]
