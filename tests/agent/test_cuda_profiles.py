"""The table of CUDA profiles: every row can be armed, by name and by XID, with fields changed."""

import pytest

from fault_agent.cuda_profiles import cuda_profiles
from fault_agent.refusal import Refusal
from tests.agent.test_arming import armed, disarm
from tests.agent.world import NodeProgram


def test_a_profile_is_armed_by_name_or_by_xid_with_fields_changed(node: NodeProgram) -> None:
    node.start()
    rows = {row["name"]: row for row in node.get("/api/v1/cuda/profiles").json()}
    rules = [line["rule"] for line in rows["gpu-lost"]["lines"]]
    by_name = node.arm(key="a", profile="gpu-lost", override={"process": "engine", "running_only": True}).json()
    assert by_name["cuda"]["profile"] == "gpu-lost"
    assert by_name["cuda"]["rules"] == [{**rule, "process": "engine", "running_only": True} for rule in rules]
    by_xid = node.arm(key="b", xid=79, gpu_id=1).json()
    assert (by_xid["xid"], by_xid["cuda"]["profile"], by_xid["cuda"]["rules"]) == (79, "gpu-lost", rules)
    assert armed(node) == ["a"] * len(rules) + ["b"] * len(rules)


def test_every_profile_of_the_table_can_be_armed(node: NodeProgram) -> None:
    node.start()
    names = [row["name"] for row in node.get("/api/v1/cuda/profiles").json()]
    assert names
    for name in names:
        record = node.arm(key=name, profile=name).json()
        assert record["status"] == "active"
        assert disarm(node, record["fault_id"]).json()["status"] == "recovered"


def test_a_misspelt_profile_is_answered_with_the_one_that_was_meant() -> None:
    with pytest.raises(Refusal) as refused:
        cuda_profiles().named("gpu-lots")
    assert refused.value.message == "There is no CUDA profile gpu-lots; did you mean gpu-lost?"
    with pytest.raises(Refusal) as refused:
        cuda_profiles().named("xyz")
    assert refused.value.message.startswith("There is no CUDA profile xyz; known: gpu-lost, ecc-uncorrectable, ")


def test_no_xid_and_no_name_has_two_profiles() -> None:
    rows = cuda_profiles().rows
    names = [row.name for row in rows]
    xids = [xid for row in rows for xid in row.xids]
    assert len(set(names)) == len(names)
    assert len(set(xids)) == len(xids)
    assert {13, 31, 43, 48, 74, 79, 94, 95, 119, 120} <= set(xids)
