"""A run that starts a lab of its own takes it down again, however it ends."""

import signal
import time

import pytest

from tests.scenarios.bare import junit_cases
from tests.scenarios.drill import PATIENCE, Bench

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

CONTROL = """version: 1
name: %s
control: true
targets: {one: {node: gpu-1}}
steps:
- wait_for_node: {target: one, now: ready}
- pause: %s
"""
PAUSING = '"name": "pause for 2m"'


@pytest.fixture
def own(tmp_path):
    """The command line where no lab is kept; whatever it starts is found by the folder that it keeps things in."""
    return Bench(tmp_path)


def words(own, *pauses):
    """Scenarios in a folder, one for each pause, and a run of them."""
    folder = own.folder / "scenarios"
    folder.mkdir()
    for number, pause in enumerate(pauses):
        (folder / f"{number}.yaml").write_text(CONTROL % (f"control-{number}", pause))
    return ("run", "--lab", "--report-dir", str(own.reports), "--junit", str(own.folder / "junit.xml"), str(folder))


def what_is_left(own):
    return own.processes(of_labs=True), [one.name for one in (own.folder / "state" / "labs").iterdir()]


def is_up(own):
    processes, labs = what_is_left(own)
    return len(processes) > 8 and len(labs) == 1


def test_a_folder_is_run_in_the_order_of_its_files_and_the_lab_is_gone_afterwards(own):
    result = own.call(*words(own, "1s", "10ms"))
    assert result.code == 0, result
    assert [line.split()[0] for line in result.out.splitlines() if ", run 2" in line] == ["control-0", "control-1"]
    assert what_is_left(own) == ([], [])


def test_ctrl_c_ends_the_lab_with_the_run(own):
    drill = own.start(*words(own, "2m", "2m"))
    drill.until("events.ndjson", PAUSING)
    assert is_up(own)
    assert drill.end(signal.SIGINT) == 130
    assert what_is_left(own) == ([], [])


def test_kill_9_of_the_run_ends_the_lab_and_the_pipeline_is_told(own):
    drill = own.start(*words(own, "2m", "2m"))
    drill.until("events.ndjson", PAUSING)
    assert is_up(own)
    assert drill.end(signal.SIGKILL) == -signal.SIGKILL
    deadline = time.monotonic() + PATIENCE
    while what_is_left(own) != ([], []) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert what_is_left(own) == ([], [])
    killed = [("00 begin", ("error", "the runner was killed before it had come to the end of this"))]
    assert junit_cases(own.folder / "junit.xml") == {"control-0": killed, "control-1": killed}
