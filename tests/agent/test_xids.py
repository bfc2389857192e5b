"""The table of XIDs: one source, and lines that reach exactly the readers they are meant for."""

import re
from pathlib import Path

import pytest

from fault_agent.inventory import Gpu
from fault_agent.kernel_lines import acknowledgement_line, xid_line
from fault_agent.xids import xid_table

ROOT = Path(__file__).parents[2]
GPU = Gpu(index=1, minor=3, uuid="GPU-0a1b-2c3d", pci="0000:17:00")
FAULT_ID = "gpu-node-1~run-7.inject"

# The patterns as each reader publishes them.
NVSENTINEL = re.compile(
    r"NVRM: Xid \(PCI:([0-9a-fA-F:.]+)\): (\d+)(?:, pid=(\d+))?(?:, name=([^,]+))?(?:, Ch ([0-9a-fA-F]+))?"
)
NVSENTINEL_RESET = re.compile(r"GPU reset executed: (GPU-[0-9a-fA-F-]+), success: (true|false)")
NVSENTINEL_LINK = re.compile(r"link\s+(\d+)\(((?:0x[0-9a-f]+(?:, )?){7})\)")
DCGM = re.compile(r"\d+,\d+,(\d+),.*;NVRM: Xid \(PCI:(.*)\): (\d+),.*")
GPUD = re.compile(r"NVRM: Xid \(((?:PCI:)?[0-9a-fA-F:]+)\).*?: (\d+),")

FATAL_ACTIONS = {
    43: "NONE",
    48: "COMPONENT_RESET",
    74: "CONTACT_SUPPORT",
    79: "RESTART_BM",
    94: "NONE",
    95: "COMPONENT_RESET",
    119: "COMPONENT_RESET",
    120: "COMPONENT_RESET",
}


def as_journald_keeps_it(text: str) -> tuple[str | None, str]:
    """A line of a process: a first word that ends in a colon becomes the identifier and leaves the message."""
    word, blank, rest = text.partition(" ")
    return (word[:-1], rest) if blank and word.endswith(":") else (None, text)


def line_of(xid: int) -> str:
    return xid_line(xid_table(), xid, GPU, FAULT_ID, None).text


def test_both_programs_have_the_same_table() -> None:
    source = (ROOT / "schemas" / "xids.json").read_bytes()
    assert (ROOT / "agent" / "fault_agent" / "xids.json").read_bytes() == source
    assert (ROOT / "scenario_runner" / "gpu" / "xids.json").read_bytes() == source


def test_exactly_eight_xids_can_be_injected_without_a_text() -> None:
    built_in = {xid.number for xid in xid_table().xids if xid.message is not None}
    assert built_in == FATAL_ACTIONS.keys()
    assert built_in == {xid.number for xid in xid_table().xids if xid.injectable_without_message}


def test_every_row_agrees_with_itself() -> None:
    table = xid_table()
    numbers = [xid.number for xid in table.xids]
    assert numbers == sorted(set(numbers))
    for xid in table.xids:
        assert xid.fatal == (xid.recommended_action != "NONE")
        assert xid.node_signal == ("condition" if xid.fatal else "event")
        assert (xid.platform_object == "GPUReset") == (xid.recommended_action == "COMPONENT_RESET")
        assert (xid.platform_object == "RebootNode") == xid.recommended_action.startswith("RESTART")
        assert xid.form in table.forms


@pytest.mark.parametrize(("xid", "action"), FATAL_ACTIONS.items())
def test_the_expected_action_of_the_platform(xid: int, action: str) -> None:
    row = xid_table().find(xid)
    assert row is not None
    assert row.recommended_action == action


@pytest.mark.parametrize("xid", FATAL_ACTIONS)
def test_nvsentinel_finds_the_xid_in_what_journald_keeps(xid: int) -> None:
    identifier, message = as_journald_keeps_it(line_of(xid))
    found = NVSENTINEL.search(message)
    assert identifier == "kernel"
    assert found is not None
    assert (found[1], found[2], found[4]) == ("0000:17:00", str(xid), "fault-agent")


@pytest.mark.parametrize("xid", FATAL_ACTIONS)
def test_gpud_finds_the_xid(xid: int) -> None:
    found = GPUD.search(line_of(xid))
    assert found is not None
    assert (found[1], found[2]) == ("PCI:0000:17:00", str(xid))


@pytest.mark.parametrize("xid", FATAL_ACTIONS)
def test_dcgm_finds_the_xid_unless_it_would_stop_itself(xid: int) -> None:
    found = DCGM.fullmatch(f"12,1227,437812449,-;{line_of(xid)}")
    if xid in (119, 120):
        assert found is None
    else:
        assert found is not None
        assert (found[2], found[3]) == ("0000:17:00", str(xid))


def test_a_text_of_the_callers_does_not_make_dcgm_see_119() -> None:
    text = xid_line(xid_table(), 119, GPU, FAULT_ID, "x;NVRM? Xid (PCI:0000:17:00): 119, y").text
    assert DCGM.fullmatch(f"12,1227,437812449,-;{text}") is None


@pytest.mark.parametrize("xid", FATAL_ACTIONS)
def test_a_line_ends_in_the_faults_id_and_is_short(xid: int) -> None:
    assert line_of(xid).endswith(f" {FAULT_ID}")
    assert len(line_of(xid)) < 300


def test_the_registers_of_xid_74_are_found() -> None:
    found = NVSENTINEL_LINK.search(line_of(74))
    assert found is not None
    assert found[1] == "14"


def test_119_names_the_gpu_by_its_device_number() -> None:
    assert "waiting for RPC response from GPU3 GSP!" in line_of(119)


def test_the_acknowledgement_has_the_identifier_that_the_platform_filters_by() -> None:
    line = acknowledgement_line(GPU.uuid)
    identifier, message = as_journald_keeps_it(line.text)
    found = NVSENTINEL_RESET.fullmatch(message)
    assert (line.level, identifier) == (3, "nvsentinel-gpu-reset")
    assert found is not None
    assert found.groups() == (GPU.uuid, "true")
