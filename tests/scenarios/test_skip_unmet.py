"""Scenarios that require what a cluster does not have: refused, or skipped if that is asked for, and never green."""

import pytest

from tests.contract.clusters import RealStand
from tests.contract.conftest import api_server
from tests.scenarios.bare import CONTROL, Bare

__all__ = ["api_server"]

WHY = "requires sentinel, and the cluster has no namespace nvsentinel"


class Needy(Bare):
    """Runs scenarios that differ in what they require."""

    def run(self, *options, **scenarios):
        """The exit code and what was said about scenarios; each is given with what it requires."""
        files = [
            self.write(name, CONTROL % (name, f"requires: [{requires}]\n" if requires else ""))
            for name, requires in scenarios.items()
        ]
        code, out, _ = self.call(*options, *files)
        return code, [line for line in out.splitlines() if line.startswith(("needy", "nothing was run"))]


@pytest.fixture
def bare(api_server, tmp_path):
    stand = RealStand(api_server)
    stand.add_node("n1")
    yield Needy(api_server, tmp_path)
    stand.leave_nothing()


def test_a_scenario_that_requires_what_is_not_there_is_refused(bare):
    assert bare.run(needy="sentinel") == (3, [f"needy: {WHY}"])
    assert bare.cases() == {"needy": [("00 begin", ("error", WHY))]}


def test_it_is_skipped_when_that_is_asked_for_and_the_others_decide(bare):
    assert bare.run("--skip-unmet", needy="sentinel", modest="") == (0, [f"needy: skipped: {WHY}"])
    assert bare.cases() == {
        "needy": [("00 begin", ("skipped", WHY))], "modest": [("01 one is uncordoned",)],
    }  # fmt: skip


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
