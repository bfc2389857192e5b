"""Which lines are faults, of which GPU, and what is recommended."""

import pytest

from scenario_runner.lab.platform.detection import Detector
from scenario_runner.lab.platform.health import Entity, HealthEvent
from scenario_runner.lab.platform.inventory import Gpu
from scenario_runner.lab.platform.journal import JournalEntry, journal_entry
from scenario_runner.lab.platform.kernel_log import Record
from scenario_runner.lab.platform.xids import Action, recommended_action

GPU = Gpu("GPU-6d9e6d0e-0000-0000-0000-000000000001", "0000:17:00")
ENTITIES = (Entity("PCI", GPU.pci), Entity("GPU_UUID", GPU.uuid))
DETECTOR = Detector("gpu-1", (Gpu("GPU-0-0", "0000:16:00"), GPU))
PID = "pid=4711, name=fault-agent"


def detect(written: str, priority: int = 12) -> HealthEvent | None:
    entry = journal_entry(Record(priority, 7, written))
    return None if entry is None else DETECTOR.event(entry, "id", "now")


@pytest.mark.parametrize(
    ("written", "code", "action", "fatal"),
    [
        (f"kernel: ;NVRM: Xid (PCI:0000:17:00): 79, {PID}, GPU has fallen off the bus. f-1", "79", "RESTART_BM", True),
        (
            f"kernel: NVRM: Xid (PCI:0000:17:00): 119, {PID}, Timeout after 6s of waiting for RPC response from GPU1 "
            "GSP! Expected function 103 (GSP_RM_ALLOC) (0x2081 0x4). f-1",
            "119",
            "COMPONENT_RESET",
            True,
        ),
        (
            f"kernel: NVRM: Xid (PCI:0000:17:00): 120, {PID}, GSP task exception: load access page fault (cause:0xd) "
            "@ pc:0x13636b2, partition:2#0, task:3, gfid: 0 f-1",
            "120",
            "COMPONENT_RESET",
            True,
        ),
        (
            f"kernel: ;NVRM: Xid (PCI:0000:17:00): 48, {PID}, An uncorrectable double bit error (DBE) has been "
            "detected on GPU in the framebuffer at physAddr 0x18f31d80 partition 16, subpartition 3. f-1",
            "48",
            "COMPONENT_RESET",
            True,
        ),
        (
            f"kernel: ;NVRM: Xid (PCI:0000:17:00): 94, {PID}, Contained: CE User Channel (0x9). RST: No, D-RST: No f-1",
            "94",
            "NONE",
            False,
        ),
        (
            f"kernel: ;NVRM: Xid (PCI:0000:17:00): 95, {PID}, Uncontained: LTC TAG (0x2, 0x1). RST: Yes, D-RST: No f-1",
            "95",
            "COMPONENT_RESET",
            True,
        ),
        (f"kernel: ;NVRM: Xid (PCI:0000:17:00): 43, {PID}, Ch 00000008 f-1", "43", "NONE", False),
    ],
)
def test_a_line_is_an_event_with_the_recommended_action(written: str, code: str, action: str, fatal: bool) -> None:
    event = detect(written)
    message = written.removeprefix("kernel: ")
    assert event == HealthEvent("id", "gpu-1", "now", False, code, ENTITIES, message, Action[action])
    assert event.fatal is fatal


def test_an_xid_74_also_names_its_link_and_registers() -> None:
    event = detect(
        f"kernel: ;NVRM: Xid (PCI:0000:17:00): 74, {PID}, NVLink: fatal error detected on link 14(0x0, 0x0, 0x10000, "
        "0x0, 0x0, 0x0, 0x0) f-1"
    )
    assert event is not None
    assert (event.code, event.action, event.fatal) == ("74", Action.CONTACT_SUPPORT, True)
    registers = [Entity(f"REG{n}", "0" * 32) for n in range(7)]
    registers[2] = Entity("REG2", "0" * 15 + "1" + "0" * 16)
    assert event.entities == (*ENTITIES, Entity("NVLINK", "14"), *registers)


def test_an_xid_13_also_names_its_multiprocessor() -> None:
    event = detect(
        "kernel: NVRM: Xid (PCI:0000:17:00): 13, Graphics SM Warp Exception on (GPC 7, TPC 6, SM 0): Illegal"
    )
    assert event is not None
    assert event.entities == (*ENTITIES, Entity("GPC", "7"), Entity("TPC", "6"), Entity("SM", "0"))
    assert not event.fatal


@pytest.mark.parametrize(
    ("form", "found"),
    [
        ("NVRM: Xid (PCI:0000:17:00): 79, x", False),
        ("kernel: NVRM: Xid (PCI:0000:17:00): 79, x", True),
        ("[6085126.134786] NVRM: Xid (PCI:0000:17:00): 79, x", True),
        ("NVRM: NVRM: Xid (PCI:0000:17:00): 79, x", True),
        ("kernel: ;NVRM: Xid (PCI:0000:17:00): 79, x", True),
        (";NVRM: Xid (PCI:0000:17:00): 79, x", False),
        ("kernel:NVRM: Xid (PCI:0000:17:00): 79, x", False),
        ("kernel: NVRM: Xid (PCI:0000:17:00): 79", True),
        ("kernel: NVRM: Xid (PCI:0000:17:00.0): 79, x", True),
        ("kernel: NVRM: Xid (PCI:0000:17:00): 79, pid='<unknown>', name=<unknown>, x", True),
        ("kernel: NVRM: Xid (0000:17:00): 79, x", False),
        ("kernel: NVRM: Xid (PCI:0000:17:00 GPU-I:05): 79, x", False),
        ("kernel: NVRM: GPU 0000:17:00.0: GPU has fallen off the bus.", False),
        ("kernel: NVRM: Xid (PCI:0000:99:00): 79, x", False),  # a GPU of another lab
    ],
)
def test_only_forms_that_survive_the_journal_and_name_a_gpu_of_the_node_are_found(form: str, found: bool) -> None:
    assert (detect(form) is not None) is found


def test_a_line_of_the_driver_itself_is_found_without_any_prefix() -> None:
    event = detect("NVRM: Xid (PCI:0000:17:00): 79, GPU has fallen off the bus.", priority=4)
    assert event is not None
    assert event.code == "79"


def test_an_acknowledged_reset_makes_the_gpu_healthy() -> None:
    written = f"nvsentinel-gpu-reset: GPU reset executed: {GPU.uuid}, success: true"
    assert detect(written, 11) == HealthEvent("id", "gpu-1", "now", True, "", ENTITIES, "No Health Failures")


def test_a_reset_that_failed_is_a_fault_of_its_own() -> None:
    event = detect(f"nvsentinel-gpu-reset: GPU reset executed: {GPU.uuid}, success: false", 11)
    assert event is not None
    assert (event.healthy, event.code, event.action, event.gpu) == (
        False,
        "GPU_RESET_FAILURE",
        Action.RESTART_VM,
        GPU.uuid,
    )


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (JournalEntry("logger", f"GPU reset executed: {GPU.uuid}, success: true"), "another identifier"),
        (JournalEntry("kernel", f"GPU reset executed: {GPU.uuid}, success: true"), "the kernel's own identifier"),
        (JournalEntry("nvsentinel-gpu-reset", "GPU reset executed: GPU-1-2, success: true"), "another lab's GPU"),
        (JournalEntry("nvsentinel-gpu-reset", f"GPU reset executed: {GPU.uuid}"), "no word of success"),
        (JournalEntry("nvsentinel-gpu-reset", "NVRM: Xid (PCI:0000:17:00): 79, x"), "an XID under that identifier"),
    ],
)
def test_nothing_else_counts_as_an_acknowledgement(entry: JournalEntry, why: str) -> None:
    assert DETECTOR.event(entry, "id", "now") is None, why


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("from 0x0 (None) to 0x1 (GPU Reset Required)", Action.COMPONENT_RESET),
        ("from 0x0 (None) to 0x4 (Drain and Reset)", Action.COMPONENT_RESET),
        ("from 0x0 (None) to 0x2 (Node Reboot Required)", Action.RESTART_BM),
        ("from 0x0 (None) to 0x2 (OS Reboot)", Action.CONTACT_SUPPORT),
        ("without brackets", Action.CONTACT_SUPPORT),
    ],
)
def test_an_xid_154_recommends_what_its_last_brackets_say(text: str, action: Action) -> None:
    assert recommended_action(154, f"154, GPU recovery action changed {text}") is action


def test_an_xid_154_back_to_none_makes_the_gpu_healthy() -> None:
    event = detect("kernel: NVRM: Xid (PCI:0000:17:00): 154, GPU recovery action changed from 0x1 (x) to 0x0 (None)")
    assert event is not None
    assert (event.healthy, event.gpu) == (True, GPU.uuid)


def test_an_xid_that_nobody_knows_is_a_case_for_support() -> None:
    assert recommended_action(777, "") is Action.CONTACT_SUPPORT
