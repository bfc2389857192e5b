"""The HTML page of a run: readable without a network, harmless whatever the cluster said, and drawn to scale."""

import re
from dataclasses import replace
from datetime import timedelta
from xml.etree import ElementTree

import pytest

from scenario_runner.core.observations import Observation
from scenario_runner.core.outcome import Status
from scenario_runner.core.report import LoadPiece, Verdict
from scenario_runner.reporters import page, timeline
from tests.reporters.sample_report import REPORT, STARTED

PIECES = (LoadPiece(0.0, 5.0, 10, 10, 0.02, 0.03), LoadPiece(5.0, 10.0, 10, 4, 0.02, 0.5))


def seen(at, subject, name, fact, value, *, was="", detail="", initial=False):
    return Observation(at, STARTED + timedelta(seconds=at), subject, name, fact, value, was, detail, initial)


DAY = replace(
    REPORT,
    seconds=10.0,
    loads=(replace(REPORT.loads[0], pieces=PIECES),),
    observations=(
        seen(0, "node", "gpu-1", "schedulable", "true", initial=True),
        seen(0, "pod", "dynamo/a", "ready", "true", initial=True),
        seen(2, "node", "gpu-1", "schedulable", "false", was="true"),
        seen(3, "event", "Pod/a", "reason", "Killing", detail="Stopping <containers>"),
        seen(4, "pod", "dynamo/a", "ready", "false", was="true"),
        seen(6, "node", "gpu-1", "label/dgxc.nvidia.com/nvsentinel-state", "draining"),
        seen(7, "node", "gpu-1", "schedulable", "true", was="false"),
    ),
)


def drawing(report):
    return ElementTree.fromstring(timeline.draw(report))


def told(report):
    """What the shapes say when pointed at."""
    return [title.text for title in drawing(report).iter("title")]


def test_the_page_tells_everything_that_the_tables_of_the_summary_tell():
    text = re.sub(r"<[^>]+>", " ", page.render(REPORT))
    for words in (REPORT.run_id, REPORT.verdict.reason, "timed out", "cuLaunchKernel", "a listener broke: disk full"):
        assert words in text


def test_the_page_loads_nothing_and_runs_nothing():
    text = page.render(DAY)
    assert "default-src 'none'; style-src 'unsafe-inline'" in text
    assert not re.search(r"<script|<link|<img|<iframe|\bsrc=|\bon\w+=|url\(|@import|https?://", text)


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", '"><b onload=x>', "</title><b>"])
def test_text_from_the_cluster_never_becomes_markup(hostile):
    plan = replace(REPORT.plan, scenario=hostile, description=hostile, targets={hostile: hostile})
    evil = replace(
        DAY,
        plan=plan,
        verdict=Verdict(Status.FAILED, 1, hostile),
        outcomes=(replace(DAY.outcomes[0], name=hostile, summary=hostile, attachments=(hostile,)),),
        faults=(replace(DAY.faults[0], node=hostile, end_reason=hostile),),
        observations=(seen(1, "event", hostile, "reason", hostile, detail=hostile),),
        notes=(hostile,),
    )
    text = page.render(evil)
    assert "<script" not in text
    assert "<b" not in re.sub(r"<body|<br", "", text)


def test_a_link_leads_to_each_piece_of_evidence():
    assert '<li><a href="evidence/03-pods.txt">evidence/03-pods.txt</a></li>' in page.render(REPORT)


def test_a_phase_over_its_budget_is_shown_as_such():
    late = replace(REPORT, phases=(replace(REPORT.phases[0], seconds=150.0),))
    assert '<i class="over" style="width: 100.0%">' in page.render(late)
    assert '<i style="width: 1.0%">' in page.render(REPORT)


def test_the_drawing_tells_what_became_of_nodes_pods_events_and_requests():
    assert [words for words in told(DAY) if not words.startswith(("0", "CUDA", "XID"))] == [
        "cordoned, 5.0 s",
        "draining, 4.0 s",
        "3.0 s: Pod/a Killing: Stopping <containers>",
        "5.0 s: 4 of 10 succeeded",
        "5.0 s: 4 of 10 succeeded",
        *[f"{one.name}, {one.seconds:.2f} s" for one in DAY.outcomes],
    ]


def test_twice_as_late_is_twice_as_far_to_the_right():
    bars = {
        bar.find("title").text: float(bar.get("x"))
        for bar in drawing(DAY).iter("rect")
        if bar.find("title") is not None
    }
    zero, at_three = bars["0.0 s: 10 of 10 succeeded"], bars["3.0 s: Pod/a Killing: Stopping <containers>"]
    draining = bars["draining, 4.0 s"]
    assert draining - zero == pytest.approx(2 * (at_three - zero), abs=0.2)


def test_a_run_of_which_nothing_was_seen_has_a_page_too():
    empty = replace(REPORT, seconds=0.0, outcomes=(), loads=(), faults=(), phases=(), undo=(), observations=())
    assert "<svg" in page.render(empty)
