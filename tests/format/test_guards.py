"""What steps may not touch, whatever a scenario allows."""

from typing import ClassVar

import pytest

from scenario_runner.core.outcome import Role
from scenario_runner.core.plan import PlannedStep
from scenario_runner.core.targets import PodTarget, WorkloadTarget
from scenario_runner.format.guards import protected
from tests.format.kinds import SmallStep


class Restart(SmallStep):
    """Restart something."""

    role: ClassVar[Role] = Role.ACTION
    target: str

    def changes(self, targets):
        return [f"{self.target} is restarted"]


class Look(SmallStep):
    """Look at something."""

    role: ClassVar[Role] = Role.WAIT
    target: str


def planned(step, *, when=True):
    return PlannedStep("01-step", "01", step, "a step", 1, 60.0, when=when)


def lies_in(namespace):
    return {
        "proxy": WorkloadTarget("daemonset", namespace, "kube-proxy", "uid", "a=b", 3),
        "pod": PodTarget(namespace, "kube-proxy-1", "uid", "gpu-1"),
    }


@pytest.mark.parametrize("name", ["proxy", "pod"])
@pytest.mark.parametrize("namespace", ["kube-system", "nvsentinel"])
def test_nothing_in_a_protected_namespace_is_changed(namespace, name):
    assert protected([planned(Restart(target=name))], lies_in(namespace)) == [
        f"step 01-step changes {name} in namespace {namespace}, which is protected"
    ]


@pytest.mark.parametrize(
    ("step", "namespace", "when"),
    [
        (Restart(target="proxy"), "dynamo", True),
        (Look(target="proxy"), "kube-system", True),
        (Restart(target="proxy"), "kube-system", False),
    ],
)
def test_what_is_ours_or_only_looked_at_or_left_out_is_fine(step, namespace, when):
    assert protected([planned(step, when=when)], lies_in(namespace)) == []
