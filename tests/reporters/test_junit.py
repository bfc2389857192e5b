"""The JUnit file that a pipeline reads."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from lxml import etree

from scenario_runner.reporters import junit
from tests.reporters.sample_report import OUTCOMES, REPORT

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def strict():
    return etree.XMLSchema(etree.parse(HERE / "junit-strict.xsd"))


def test_a_report_has_the_strict_shape(strict):
    strict.assertValid(etree.fromstring(junit.render([REPORT, REPORT]).encode()))


def test_the_strict_shape_refuses_what_readers_stumble_over(strict):
    good = junit.render([REPORT])
    for was, became in (
        ('time="2.500"', 'time="2.500000"'),
        (' hostname="runner-1"', ""),
        ("<testsuites ", '<testsuites skipped="1" '),
        ("<testcase ", '<testcase line="3" '),
    ):
        assert was in good
        assert not strict.validate(etree.fromstring(good.replace(was, became, 1).encode()))


def test_the_file_reads_as_written_down():
    assert junit.render([REPORT]) == (HERE / "golden" / "junit.xml").read_text(encoding="utf-8")


def test_failed_is_a_failure_and_broken_and_interrupted_are_errors():
    root = ET.fromstring(junit.render([REPORT]))
    children = {case.get("name"): [child.tag for child in case] for case in root.iter("testcase")}
    assert children == {
        "01 send_requests": ["system-out"],
        "02 inject_xid": ["flakyFailure", "system-out"],
        "03 assert_success": ["failure", "system-out"],
        "04 wait_for_node": ["skipped", "system-out"],
        "05 collect": ["error", "system-out"],
        "undo 01 recover_fault": ["system-out"],
    }
    assert [root.get(key) for key in ("tests", "failures", "errors", "time")] == ["6", "1", "1", "12.346"]


def test_an_attempt_that_was_lost_before_a_final_failure_is_a_rerun():
    lost = replace(OUTCOMES[2], lost_attempts=("0.2 of 100",))
    root = ET.fromstring(junit.render([replace(REPORT, outcomes=(lost,))]))
    assert [child.tag for child in root.find(".//testcase")] == ["failure", "rerunFailure", "system-out"]


def test_attachments_come_first_each_alone_on_its_line():
    root = ET.fromstring(junit.render([REPORT]))
    output = root.find(".//testcase[@name='03 assert_success']/system-out").text
    assert output.splitlines()[0] == "[[ATTACHMENT|evidence/03-pods.txt]]"


def test_colours_and_characters_that_xml_forbids_are_taken_out():
    root = ET.fromstring(junit.render([REPORT]))
    assert root.find(".//error").get("message") == "a bug here"


def test_long_output_keeps_its_end():
    long = replace(OUTCOMES[0], summary="x" * 100_000 + " the end", numbers={})
    root = ET.fromstring(junit.render([replace(REPORT, outcomes=(long,))]))
    output = root.find(".//system-out").text
    assert (len(output), output[-7:]) == (junit.OUTPUT_LIMIT, "the end")
