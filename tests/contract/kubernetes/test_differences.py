"""The known differences: each names a check, and what is left out by decision is refused in so many words."""

import re
from pathlib import Path

import pytest

from tests.contract.kubernetes.differences import known_differences
from tests.contract.kubernetes.server import APPLY, Answer, Server

HERE = Path(__file__).parent
POD = "/api/v1/namespaces/default/pods/p"
LEFT_OUT = {
    "server-side apply": ("PATCH", "/api/v1/namespaces/default/configmaps/a", APPLY),
    "RBAC": ("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles", "application/json"),
    "exec": ("POST", f"{POD}/exec", "application/json"),
    "attach": ("POST", f"{POD}/attach", "application/json"),
    "port-forward": ("POST", f"{POD}/portforward", "application/json"),
    "the proxy subresource": ("GET", f"{POD}/proxy/healthz", "application/json"),
}


def test_every_difference_is_one_of_a_check_that_there_is() -> None:
    checks = {
        name for file in HERE.glob("test_*.py") for name in re.findall(r"^def (test_\w+)", file.read_text(), re.M)
    }
    assert {check.partition("[")[0] for check in known_differences()} <= checks


def test_every_difference_by_decision_is_tried_below() -> None:
    assert {one.refused for one in known_differences().values() if one.refused} <= set(LEFT_OUT)


@pytest.mark.parametrize("what", LEFT_OUT)
def test_what_the_lab_leaves_out_is_answered_with_501_and_its_name(lab_api: Server, what: str) -> None:
    method, path, media = LEFT_OUT[what]
    answer: Answer = lab_api.call(method, path, {}, media)
    assert answer.said == (501, "NotImplemented")
    assert f"the embedded lab does not implement {what}" in answer.body["message"]
