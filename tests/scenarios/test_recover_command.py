"""`recover` as a person meets it, for a run whose cluster is gone, silent, or out of reach."""

import fcntl
import json
import os
import subprocess
import sys
from contextlib import contextmanager

import pytest
from click.testing import CliRunner

from scenario_runner.cli import main
from scenario_runner.core.undo import UNDOS
from scenario_runner.core.undo.recover_fault import RecoverFault
from scenario_runner.engine import claim
from scenario_runner.engine.run_card import RunCard
from scenario_runner.lab.processes import LAB_MARK
from tests.contract.clusters import write_kubeconfig
from tests.contract.servers import nobody

RUN = "20260101-000000-drill-abcd"
NOTHING_LEFT = (0, "no run has left anything to take back\n")


class Dead:
    """A run that promised to take XID 79 back and died."""

    def __init__(self, folder):
        self.folder = folder
        self.kubeconfig = folder / "kubeconfig"
        folder.mkdir(exist_ok=True)
        self.token = folder / "token"
        self.token.write_text("secret")

    def die(self):
        card = RunCard(
            RUN, "drill", "drill.yaml", "0" * 64, "cluster-1", "lab demo", str(self.kubeconfig), "http://127.0.0.1:1",
            str(self.token), ("gpu-1",), undo_budget=1.0,
        )  # fmt: skip
        held = claim.take(self.folder / "state", self.folder / "reports" / RUN, card, UNDOS)
        held.journal.promise(RecoverFault(fault_id="gpu-1~f", node="gpu-1", xid=79), "inject")
        held.release()
        return self

    def recover(self, *arguments, types=""):
        return self.said(*arguments, types=types)[:2]

    def said(self, *arguments, types=""):
        """The exit code, and both outputs."""
        environment = {"SCENARIO_RUNNER_STATE": str(self.folder / "state")}
        result = CliRunner().invoke(main, ["recover", *arguments], env=environment, input=types)
        return result.exit_code, result.stdout, result.stderr

    @contextmanager
    def before_nobody(self):
        """An API server's address where nobody listens."""
        with nobody() as url:
            write_kubeconfig(self.folder, url)
            yield url


@pytest.fixture
def dead(tmp_path):
    return Dead(tmp_path).die()


def test_a_run_that_left_something_is_listed_and_is_no_green(dead):
    assert dead.recover() == (
        4,
        f"{RUN}: XID 79 on gpu-1\ntype `scenario-runner recover RUN` or `scenario-runner recover --all`\n",
    )


def test_a_lab_that_is_gone_took_everything_with_it(dead):
    assert dead.recover(RUN, "--yes") == (
        0,
        f"{RUN}: to take back: XID 79 on gpu-1 (step inject)\n"
        f"{RUN}: lab demo is gone, and everything in it: nothing is left to take back\n",
    )
    assert dead.recover() == NOTHING_LEFT


def test_a_lab_whose_kubeconfig_is_missing_is_not_gone_as_long_as_its_keeper_lives(dead):
    with keeper_of(dead.folder):
        code, out = dead.recover(RUN, "--yes")
    missing = f"kubeconfig {dead.kubeconfig} cannot be used: No such file or directory"
    assert (code, out.splitlines()[1]) == (4, f"{RUN}: {missing}")
    assert dead.recover()[0] == 4


@contextmanager
def keeper_of(folder):
    """A process that looks like the keeper of a lab with its files in a folder, and does nothing."""
    words = [sys.executable, "-c", "print(flush=True); input()", "scenario_runner.lab.keeper", str(folder)]
    environment = os.environ | {LAB_MARK: "the-lab"}
    with subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as keeper:
        keeper.stdout.readline()
        yield
        keeper.communicate(b"\n")


def test_a_cluster_out_of_reach_leaves_what_is_left_and_ends_with_4(dead):
    with dead.before_nobody() as url:
        code, out = dead.recover(RUN, "--yes")
    assert code == 4
    assert out.splitlines()[1] == f"{RUN}: the API server at {url} is not reachable (Connection refused)"
    assert dead.recover()[0] == 4


def test_a_recovery_without_the_token_of_the_agents_says_so(dead):
    dead.token.unlink()
    with dead.before_nobody():
        code, out = dead.recover(RUN, "--yes")
    assert (code, out.splitlines()[1]) == (
        4, f"{RUN}: the token of the fault agents in {dead.token} cannot be read: No such file or directory"
    )  # fmt: skip


def test_a_recovery_that_nobody_agrees_to_leaves_what_is_left_and_ends_with_4(dead):
    with dead.before_nobody():
        code, out = dead.recover(RUN, types="n\n")
    assert code == 4
    assert out.endswith(f"take this back on lab demo? [y/N]: n\n{RUN}: run {RUN} is left as it is\n")
    assert dead.recover()[0] == 4


def test_where_no_run_left_anything_everything_is_well(tmp_path):
    assert Dead(tmp_path).recover() == NOTHING_LEFT
    assert Dead(tmp_path).recover("--all", "--yes") == NOTHING_LEFT


def test_a_run_that_nobody_knows_is_a_mistake_and_no_green(dead, tmp_path):
    assert dead.said(RUN.replace("abcd", "abce")) == (
        2, "", f"no run {RUN.replace('abcd', 'abce')} is known to have left anything: did you mean {RUN}?\n"
    )  # fmt: skip
    assert dead.said("other") == (2, "", f"no run other is known to have left anything: there is {RUN}\n")
    assert Dead(tmp_path / "empty").said("other") == (2, "", "no run other is known to have left anything\n")


def test_one_run_and_all_of_them_at_once_is_a_mistake(dead):
    assert dead.said(RUN, "--all") == (2, "", "RUN and --all: say one of them\n")


def test_a_run_that_lives_is_not_taken_back_but_takes_everything_back_itself(dead):
    with (dead.folder / "reports" / RUN / "undo.jsonl").open() as journal:
        fcntl.flock(journal, fcntl.LOCK_EX)
        assert dead.recover(RUN, "--yes") == (
            4, f"{RUN}: run {RUN} is still running; end it, and it takes everything back itself\n"
        )  # fmt: skip
        assert dead.recover() == NOTHING_LEFT


def test_machines_are_told_what_runs_left_as_json(dead):
    code, out = dead.recover("--json")
    assert (code, json.loads(out)) == (4, {"run": RUN, "left": ["XID 79 on gpu-1"], "known_from": "this machine"})


def test_machines_are_told_what_came_of_taking_back_as_json(dead):
    code, out = dead.recover("--json", "--all", "--yes")
    gone = "lab demo is gone, and everything in it: nothing is left to take back"
    assert (code, json.loads(out)) == (0, {"run": RUN, "exit_code": 0, "undo": [], "notes": [gone]})
    assert dead.recover("--json") == (0, "")
