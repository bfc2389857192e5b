"""The table of XIDs is one file in three places, and the runner reads from it what a scenario needs."""

from pathlib import Path

import pytest

from scenario_runner.gpu.xids import xid_table

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("copy", ["scenario_runner/gpu/xids.json", "agent/fault_agent/xids.json"])
def test_the_copies_are_what_the_source_says(copy):
    assert (ROOT / copy).read_text() == (ROOT / "schemas/xids.json").read_text()


def test_the_eight_of_the_guide_can_be_injected_without_a_message():
    assert xid_table().injectable == (43, 48, 74, 79, 94, 95, 119, 120)


@pytest.mark.parametrize(
    ("xid", "consequences"),
    [
        (43, ()),
        (94, ()),
        (74, ("cordon", "drain")),
        (79, ("cordon", "drain", "reboot")),
        (95, ("cordon", "drain", "gpu-reset")),
        (119, ("cordon", "drain", "gpu-reset")),
        (999, ("cordon", "drain", "reboot", "gpu-reset")),
    ],
)
def test_what_the_platform_does_about_an_xid_is_known_and_feared_where_it_is_not(xid, consequences):
    assert xid_table().consequences(xid) == consequences


@pytest.mark.parametrize(("xid", "seconds"), [(43, (30, 50)), (94, (60, 100)), (79, (180, 300)), (999, (180, 300))])
def test_how_long_a_recovery_takes_depends_on_the_severity(xid, seconds):
    assert xid_table().recovery_seconds(xid) == seconds


def test_a_number_without_a_row_is_unknown():
    assert xid_table().find(999) is None
    known = xid_table().find(79)
    assert known is not None
    assert (known.severity, known.node_signal, known.platform_object) == ("critical", "condition", "RebootNode")
