"""Label selectors as Kubernetes writes them."""

import pytest

from scenario_runner.core.selectors import matches

LABELS = {"app": "vllm", "tier": "gpu"}


@pytest.mark.parametrize(
    ("selector", "holds"),
    [
        ("", True), ("app=vllm", True), ("app==vllm", True), ("app=other", False), ("app=vllm,tier=gpu", True),
        ("app=vllm,tier=cpu", False), ("app!=other", True), ("missing!=x", True), ("app", True), ("missing", False),
        ("!missing", True), ("!app", False), ("app in (a, vllm)", True), ("app in (a,b),tier=gpu", False),
        ("app notin (a,b)", True), ("app notin (vllm)", False), ("missing notin (a)", True),
    ],
)  # fmt: skip
def test_a_selector_matches_or_not(selector, holds):
    assert matches(selector, LABELS) is holds
