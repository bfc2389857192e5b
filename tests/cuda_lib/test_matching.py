"""Which calls a rule meets: GPU, order, chance, size, process, age."""

import pytest

from fault_agent.cuda_control import GpuOrdinal, GpuPci, GpuUuid, Mode
from tests.cuda_lib.node import UUIDS, later, rule


@pytest.mark.parametrize(
    ("visible", "hit"),
    [
        (None, "0=0 1=0 2=719 3=0"),
        ("2,0", "0=719 1=0"),
        ("0,2", "0=0 1=719"),
        ("1,3", "0=0 1=0"),
        (f"{UUIDS[3]},{UUIDS[2]}", "0=0 1=719"),
    ],
)
@pytest.mark.parametrize("gpu", [GpuUuid(UUIDS[2]), GpuPci(0, 0x30, 0)])
def test_a_gpu_is_met_whatever_number_the_process_gives_it(node, visible, hit, gpu):
    node.arm(rule("sync", gpu=gpu))
    devices = [part.split("=")[0] for part in hit.split()]
    answers = node.do("init " + " ".join(f"dev:{device} sync" for device in devices), CUDA_VISIBLE_DEVICES=visible)
    expected = " ".join(f"dev:{part.split('=')[0]}=0 sync={part.split('=')[1]}" for part in hit.split())
    assert answers == f"init=0 {expected}"
    assert [found.gpu_uuid for found in node.hits()] == ([UUIDS[2]] if "719" in hit else [])


def test_an_ordinal_means_what_the_process_calls_it(node):
    node.arm(rule("sync", gpu=GpuOrdinal(1)))
    assert node.do("init dev:0 sync dev:1 sync", CUDA_VISIBLE_DEVICES="3,2") == (
        "init=0 dev:0=0 sync=0 dev:1=0 sync=719"
    )
    assert node.hits()[0].gpu_uuid == UUIDS[2]


def test_the_gpus_of_an_inventory_are_met(node):
    inventory = (
        "GPU-aaaaaaaa-0000-1111-2222-333333333333@0001:17:00.0,GPU-bbbbbbbb-0000-1111-2222-333333333333@0001:65:00.0"
    )
    for gpu in (GpuUuid("GPU-bbbbbbbb-0000-1111-2222-333333333333"), GpuPci(1, 0x65, 0)):
        node.arm(rule("sync", gpu=gpu))
        answers = node.do("init count dev:0 sync dev:1 sync", STUB_CUDA_GPUS=inventory)
        assert answers == "init=0 count=(2)0 dev:0=0 sync=0 dev:1=0 sync=719"


def test_calls_that_name_a_gpu_are_met_whatever_is_current(node):
    node.arm(rule("context alloc", gpu=GpuOrdinal(1)))
    assert node.do("init dev:0 vmm:1 vmm:0 alloc dev:1") == "init=0 dev:0=0 vmm:1=719 vmm:0=0 alloc=0 dev:1=719"


def test_the_gpu_of_a_stream_counts_and_not_the_current_one(node):
    node.arm(rule("sync", gpu=GpuOrdinal(1)))
    assert node.do("init dev:1 stream dev:0 sync-stream sync") == (
        "init=0 dev:1=0 stream=0 dev:0=0 sync-stream=719 sync=0"
    )


def test_starting_is_met_where_the_only_visible_gpu_is_meant(node):
    node.arm(rule("init", code=100, gpu=GpuUuid(UUIDS[2])))
    assert node.do("init") == "init=0"
    assert node.do("init", CUDA_VISIBLE_DEVICES="1") == "init=0"
    assert node.do("init", CUDA_VISIBLE_DEVICES="2") == "init=100"
    node.arm(rule("init", code=802))
    assert node.do("init init") == "init=802 init=802"


def test_after_calls_counts_matching_calls_only(node):
    node.arm(rule("launch", after_calls=2, gpu=GpuOrdinal(0)))
    assert node.do("init dev:1 launch launch dev:0 launch sync launch launch launch") == (
        "init=0 dev:1=0 launch=0 launch=0 dev:0=0 launch=0 sync=0 launch=0 launch=719 launch=719"
    )


def test_max_hits_ends_a_fault_in_a_process_and_not_in_the_next(node):
    node.arm(rule("sync", max_hits=3))
    assert [node.do("init dev:0 syncs:1000") for _ in range(2)] == ["init=0 dev:0=0 syncs:1000=3"] * 2
    assert [(hit.calls, hit.hits) for hit in node.hits()] == [(1000, 3)] * 2


def test_probability_hits_about_so_many(node):
    node.arm(rule("sync", probability=0.01))
    failed = int(node.do("init dev:0 syncs:100000").rpartition("=")[2])
    assert 800 <= failed <= 1200  # ten standard deviations are 315
    assert [(hit.calls, hit.hits) for hit in node.hits()] == [(100_000, failed)]


def test_small_allocations_are_spared(node):
    node.arm(rule("alloc", Mode.OOM, 2, min_bytes=1_000_000))
    assert node.do("init dev:0 alloc big vmm:0") == "init=0 dev:0=0 alloc=0 big=2 vmm:0=2"


def test_not_before_its_time(node):
    node.arm(rule("sync", not_before_ns=later(300)))
    assert node.do("init dev:0 sync") == "init=0 dev:0=0 sync=0"
    node.arm(rule("sync", not_before_ns=later(-1)))
    assert node.do("init dev:0 sync") == "init=0 dev:0=0 sync=719"


def test_only_processes_of_a_name_also_when_they_take_it_later(node):
    node.arm(rule("sync", process="engine"))
    assert node.do("init dev:0 sync name until:719").startswith("init=0 dev:0=0 sync=0 name=0 until:719=719@")
    node.arm(rule("sync", process="steps"))
    assert node.do("init dev:0 sync") == "init=0 dev:0=0 sync=719"
    assert [record.process for record in node.records()] == ["engine", "steps"]


def test_programs_that_start_cuda_after_a_fault_can_be_spared(node):
    running = node.start("init dev:0 pause until:719 child")
    loaded = node.start("pause init dev:0 sync init sync")
    assert (running.until_paused(), loaded.until_paused()) == ("init=0 dev:0=0", "")
    node.arm(rule("sync launch", started_before_ns=later(0)))
    for client in (running, loaded):
        client.go_on()
    answers = running.finish()
    assert answers.startswith("until:719=719@")
    assert answers.endswith(" child=719")  # has its CUDA from its parent
    assert loaded.finish() == "init=0 dev:0=0 sync=0 init=0 sync=0"
    assert node.do("init dev:0 sync child") == "init=0 dev:0=0 sync=0 child=0"
