"""What every agent does: the fake one of the tests, and the real program behind its gateway."""

from dataclasses import replace

import pytest

from fault_agent.cuda_messages import RuleMessage
from fault_agent.cuda_rules import ClassName, ModeName
from scenario_runner.core.faults import FaultRecord
from scenario_runner.core.ports import Arming, Injection
from scenario_runner.errors import TargetRefused, TargetUnreachable
from scenario_runner.gpu.cuda_rules import CALLS, MODES, CudaRule


@pytest.fixture
def order(agent, request):
    """An order of this test's own, for the first GPU of gpu-1."""
    name = request.node.name.replace("[", "-").replace("]", "").replace("_", "-")[-90:].lower().lstrip("-.")
    return Injection(name, "gpu-1", 79, agent.gpus("gpu-1")[0].uuid, "run", ttl=60.0)


def test_the_gpus_of_a_node_are_known_by_index_uuid_and_address(agent):
    seats = agent.gpus("gpu-1")
    assert [seat.index for seat in seats] == list(range(len(seats)))
    assert all(seat.uuid.startswith("GPU-") and seat.pci.count(":") == 2 for seat in seats)


def test_an_injection_is_answered_with_the_record_that_proves_it(agent, order):
    record = agent.inject(order)
    assert (record.fault_id, record.status, record.xid, record.node) == (order.fault_id, "active", 79, "gpu-1")
    assert (record.gpu_uuid, record.pci) == (order.gpu, agent.gpus("gpu-1")[0].pci)
    assert record.evidence is not None
    assert record.evidence.kernel_log == "file"
    assert "79" in record.evidence.text
    assert agent.fault(order.fault_id) == record


def test_the_same_order_twice_is_one_fault(agent, order):
    assert agent.inject(order) == agent.inject(order)
    assert [one.fault_id for one in agent.faults().faults].count(order.fault_id) == 1


def test_a_fault_is_taken_back_once_and_saying_so_twice_is_fine(agent, order):
    agent.inject(order)
    first = agent.recover(order.fault_id)
    assert first.status == "recovered"
    assert first.over
    assert agent.recover(order.fault_id) == first
    assert agent.fault(order.fault_id) == first


def test_a_fault_that_never_came_is_kept_out_for_ever(agent, order):
    tombstone = agent.recover(order.fault_id)
    assert (tombstone.status, tombstone.node, tombstone.over) == ("tombstone", "gpu-1", True)
    with pytest.raises(TargetRefused) as caught:
        agent.inject(order)
    assert caught.value.code == "tombstoned"


def test_a_renewal_says_whether_the_fault_still_lives(agent, order):
    agent.inject(order)
    assert agent.renew(order.fault_id, 60.0) == FaultRecord(order.fault_id, "active", 0, "gpu-1")
    agent.recover(order.fault_id)
    assert agent.renew(order.fault_id, 60.0).status == "recovered"


def test_cuda_rules_of_a_scenarios_own_are_armed(agent, order):
    rules = [
        CudaRule(calls=("launch", "sync"), mode="delay", delay="20ms", not_before="1s", process="vllm"),
        CudaRule(calls=("alloc",), mode="oom", free_bytes=0, min_bytes=1, probability=0.5, after_calls=1, max_hits=2),
        CudaRule(calls=CALLS, mode="sticky", code="launch-failed", nvml_code=15, scope="process"),
    ]
    arming = Arming(order.name, "gpu-1", order.gpu, "run", rules=tuple(rule.order() for rule in rules), ttl=60.0)
    record = agent.arm(arming)
    assert (record.status, record.cuda, record.gpu_uuid, record.xid) == ("active", "own rules", order.gpu, 0)
    assert agent.recover(order.fault_id).status == "recovered"


def test_rules_of_scenarios_say_everything_that_rules_of_the_agent_do():
    ours, theirs = CudaRule.model_fields.keys(), RuleMessage.model_fields.keys()
    assert (ours - {"calls"}, CALLS, MODES) == (theirs - {"classes"}, ClassName.__args__, ModeName.__args__)


def test_a_fault_that_nobody_knows_is_none(agent):
    assert agent.fault("gpu-1~nobody-knows") is None


def test_a_node_that_nobody_knows_is_refused(agent):
    with pytest.raises(TargetRefused) as caught:
        agent.gpus("gpu-8")
    assert caught.value.code == "node_not_found"


def test_a_node_that_does_not_answer_is_unreachable_and_makes_the_list_short(agent, order):
    with pytest.raises(TargetUnreachable, match="gpu-9"):
        agent.gpus("gpu-9")
    with pytest.raises(TargetUnreachable, match="gpu-9"):
        agent.inject(replace(order, node="gpu-9"))
    assert [one.partition(":")[0] for one in agent.faults().unreachable] == ["gpu-9"]
