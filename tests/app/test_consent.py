"""Before a cluster that is not ours is touched, a person sees what will happen and says yes."""

import io
import os
from dataclasses import replace
from pathlib import Path

import pytest

from scenario_runner.app.backend import Address, Backend
from scenario_runner.app.consent import Consent
from scenario_runner.engine.signals import Signals
from scenario_runner.errors import Refused, Stopped
from scenario_runner.format.loader import load
from scenario_runner.format.plan import make_plan
from scenario_runner.format.variables import VariableSources
from scenario_runner.steps import STEPS
from tests.fakes import FakeClock
from tests.format.cluster import small_cluster

DRILL = """
version: 1
name: drill
namespace: dynamo
guards: {allow: [cordon, drain, reboot]}
targets: {victim: {gpu: {node: gpu-2, index: 1}}, front: {service: front}}
steps:
- send_requests: {target: front, rate: 5/s}
  id: traffic
  background: true
- inject_xid: {target: victim, xid: 79}
- join: traffic
- assert_success: {load: traffic, ratio: at least 0.9}
"""
SEEN = """\
drill
  cluster prod at https://10.0.0.1:6443, identity 11111111-2222-3333-4444-555555555555
  fault agents at scenario-runner/fault-agent:8443 through the API server's proxy
  victims:
    XID 79 on GPU 1 of gpu-2
  changes:
    gpu-2: a kernel log line with XID 79 for GPU 1
  consequences:
    gpu-2: cordon, drain, reboot (the platform's answer to XID 79)
    gpu-2: pods there: dynamo/w-a, nvsentinel/labeler
    1 of 3 nodes with GPUs (33%) take no pods for a while"""


@pytest.fixture
def drill(tmp_path):
    """A plan, and the cluster that it is for."""
    file = tmp_path / "drill.yaml"
    file.write_text(DRILL)
    cluster, agent = small_cluster()
    plan = make_plan(load(file, VariableSources((), (), {}), STEPS), cluster, agent, seed=1)
    where = Backend(
        words="cluster prod at https://10.0.0.1:6443",
        address=Address("/home/me/.kube/config", "prod"),
        cluster=cluster,
        agent=agent,
        identity=cluster.identity(),
        agents="fault agents at scenario-runner/fault-agent:8443 through the API server's proxy",
    )
    return plan, where


@pytest.fixture
def said():
    return []


@pytest.fixture
def consent(said):
    def consent(given=False, answers=None, signals=None):
        return Consent(given, answers or io.StringIO(), said.append, signals or Signals(FakeClock()))

    return consent


@pytest.fixture
def person():
    """A terminal, and the end at which a person types."""
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "r") as terminal, os.fdopen(ours, "w") as keyboard:
        yield terminal, keyboard


def test_with_yes_beforehand_all_of_it_is_shown_and_nobody_is_asked(drill, consent, said):
    consent(given=True).obtain(*drill)
    assert "\n".join(said) == SEEN


def test_a_yes_that_was_typed_is_enough(drill, consent, said, person):
    terminal, keyboard = person
    print("yes", file=keyboard, flush=True)
    consent(answers=terminal).obtain(*drill)
    assert "\n".join(said) == f"{SEEN}\nType yes to go on:"


@pytest.mark.parametrize("answer", ["", "y", "no", "yes please"])
def test_anything_else_is_a_no(drill, consent, person, answer):
    terminal, keyboard = person
    print(answer, file=keyboard, flush=True)
    with pytest.raises(Refused) as caught:
        consent(answers=terminal).obtain(*drill)
    assert str(caught.value) == "not agreed to: nothing was touched"


def test_where_nobody_can_be_asked_a_yes_has_to_be_given_beforehand(drill, consent, said):
    with pytest.raises(Refused) as caught:
        consent().obtain(*drill)
    assert str(caught.value) == "nobody can be asked on this terminal: add --yes if all of this is wanted"
    assert "\n".join(said) == SEEN


def test_a_signal_ends_the_wait_for_an_answer(drill, consent, person):
    signals = Signals(FakeClock())
    signals.caught = 2
    with pytest.raises(Stopped) as caught:
        consent(answers=person[0], signals=signals).obtain(*drill)
    assert (str(caught.value), caught.value.exit_code) == ("interrupted before anything was touched", 130)


def test_nobody_is_asked_about_a_lab(drill, consent, said):
    plan, where = drill
    consent().obtain(plan, replace(where, address=Address(str(Path("/lab/kubeconfig")))))
    assert said == []
