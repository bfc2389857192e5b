"""NVML agrees with the fault, GPU by GPU: a lost GPU is lost for monitoring as well."""

import pytest

from fault_agent.cuda_control import GpuOrdinal, GpuPci, GpuUuid, Mode
from tests.cuda_lib.node import UUIDS, rule

LOST = 15


def expected(lost, link=None):
    """What programs/nvml.c prints when GPU `lost` is, and link queries of `link` fail."""
    gpus = (
        f"handle=0 uuid=0 temperature={LOST if i == lost else 0} link={LOST if i == lost else 999 if i == link else 0}"
        for i in range(4)
    )
    return "init=0 count=0 | " + " | ".join(gpus)


@pytest.fixture(scope="module")
def program(compiled):
    return compiled("nvml", "nvml.c", flags=("-w", "-ldl"))


@pytest.mark.parametrize("gpu", [GpuUuid(UUIDS[2]), GpuPci(0, 0x30, 0), GpuOrdinal(2)])
def test_only_the_lost_gpu_is_lost_and_enumeration_goes_on(node, program, gpu):
    node.arm(rule("nvml nvlink", code=0, nvml_code=LOST, gpu=gpu))
    # NVML shows the GPUs of the machine, not those that CUDA shows to the process
    assert node.run(program, CUDA_VISIBLE_DEVICES="2") == expected(lost=2)
    (hit,) = node.hits()
    assert (hit.hits, hit.nvml_hits, hit.code, hit.gpu_uuid) == (0, 2, LOST, UUIDS[2])


def test_link_queries_are_a_class_of_their_own(node, program):
    node.arm(rule("nvlink", code=0, nvml_code=999, gpu=GpuUuid(UUIDS[1])))
    assert node.run(program) == expected(lost=None, link=1)


def test_driver_codes_never_reach_nvml(node, program):
    node.arm(rule("nvml sync launch", Mode.STICKY, 719))
    assert node.run(program) == expected(lost=None)


def test_without_rules_nvml_is_as_it_was(node, program):
    assert node.run(program) == node.run(program, LD_PRELOAD=None) == expected(lost=None)
