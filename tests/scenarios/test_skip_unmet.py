"""Scenarios that require what a cluster does not have: refused, or skipped if that is asked for, and never green."""

from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

from scenario_runner.cli import main
from tests.contract.clusters import RealStand
from tests.contract.conftest import api_server

__all__ = ["api_server"]

CONTROL = """\
version: 1
name: %s
control: true
%stargets: {one: {node: n1}}
steps:
- wait_for_node: {target: one, now: uncordoned}
"""
WHY = "requires sentinel, and the cluster has no namespace nvsentinel"


class Bare:
    """A cluster of one node without any platform, and the command line before it."""

    def __init__(self, kubeconfig, folder):
        self.kubeconfig = kubeconfig
        self.folder = folder
        self.junit = folder / "junit.xml"

    def run(self, *options, **scenarios):
        """The exit code and what was said about scenarios; each is given with what it requires."""
        files = []
        for name, requires in scenarios.items():
            files.append(self.folder / f"{name}.yaml")
            files[-1].write_text(CONTROL % (name, f"requires: [{requires}]\n" if requires else ""))
        words = ["run", "--context", "it", "--kubeconfig", self.kubeconfig, "--yes", "--junit", self.junit, *options]
        words += ["--report-dir", self.folder / "reports", *files]
        environment = {"SCENARIO_RUNNER_STATE": str(self.folder / "state")}
        result = CliRunner(env=environment).invoke(main, [str(word) for word in words])
        told = ("needy", "nothing was run")
        return result.exit_code, [line for line in result.stdout.splitlines() if line.startswith(told)]

    def counts(self):
        root = ET.parse(self.junit).getroot()
        return [(suite.get("name"), suite.get("errors"), suite.get("skipped")) for suite in root]


@pytest.fixture
def bare(api_server, tmp_path):
    stand = RealStand(api_server)
    stand.add_node("n1")
    yield Bare(api_server, tmp_path)
    stand.leave_nothing()


def test_a_scenario_that_requires_what_is_not_there_is_refused(bare):
    assert bare.run(needy="sentinel") == (3, [f"needy: {WHY}"])
    assert bare.counts() == [("needy", "1", "0")]


def test_it_is_skipped_when_that_is_asked_for_and_the_others_decide(bare):
    assert bare.run("--skip-unmet", needy="sentinel", modest="") == (0, [f"needy: skipped: {WHY}"])
    assert bare.counts() == [("needy", "0", "1"), ("modest", "0", "0")]


def test_a_run_in_which_everything_was_skipped_is_no_pass(bare):
    assert bare.run("--skip-unmet", needy="sentinel") == (
        3, [f"needy: skipped: {WHY}", "nothing was run: every scenario was skipped"]
    )  # fmt: skip


def test_a_cluster_without_agents_does_not_meet_what_requires_them(bare):
    code, told = bare.run("--skip-unmet", needy="agent")
    why = "requires agent, and the fault agents do not answer: cannot list the faults: there is no fault agent in"
    assert (code, told[0].startswith(f"needy: skipped: {why} namespace scenario-runner")) == (3, True)


def test_what_is_wrong_otherwise_is_not_skipped(bare):
    text = CONTROL.replace("node: n1", "node: n2") % ("needy", "")
    (bare.folder / "other.yaml").write_text(text)
    assert bare.run("--skip-unmet", bare.folder / "other.yaml") == (
        3, ["needy: target one: there is no node n2; the nodes are n1"]
    )  # fmt: skip
