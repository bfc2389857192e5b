"""What time, full disks and odd control files do to CUDA faults, on a clock that the tests move."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fault_agent import cuda_control
from fault_agent.cuda_control import MAX_RULES, CallClass, GpuOrdinal, GpuPci, GpuUuid, Mode
from fault_agent.cuda_rules import CudaRule, class_bits, class_names, gpu_match
from fault_agent.inventory import Gpu
from fault_agent.refusal import Refusal
from tests.agent.machine import FAILS, Machine

SECOND = 10**9


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.close()


def test_the_soonest_end_stands_in_the_control_file(machine: Machine) -> None:
    machine.arm("a", ttl=60, duration=90, max_lifetime=100)
    assert machine.control().rules[0].expires_at_ns == 1060 * SECOND
    for now, end in ((1050, 1090), (1080, 1090)):
        machine.clock.now = now
        machine.taking_back.renew("gpu-1~a", 60)
        assert machine.control().rules[0].expires_at_ns == end * SECOND
    machine.at(1090)
    assert (machine.statuses(), machine.armed()) == ({"a": "expired"}, [])


def test_times_of_a_rule_count_from_its_arming(machine: Machine) -> None:
    rule = CudaRule(CallClass.SYNC, "hang", code=702, not_before=2.5, delay=0.25, process="engine")
    machine.arm("a", rule, FAILS, replace(FAILS, running_only=True), replace(rule, running_only=True), duration=9)
    armed = machine.control().rules
    assert (armed[0].not_before_ns, armed[0].delay_ns, armed[0].mode) == (1002500000000, 250000000, Mode.HANG)
    assert [one.started_before_ns for one in armed] == [0, 0, 1000 * SECOND, 1002500000000]
    machine.at(1005)
    machine.restart()
    assert machine.control().rules == armed


def test_rules_whose_numbers_are_coarser_in_the_file_are_not_written_again_and_again(machine: Machine) -> None:
    machine.arm("a", replace(FAILS, probability=1 / 3), duration=60)
    generation = machine.control().generation
    for now in (1001, 1002, 1003):
        machine.at(now)
    assert (machine.control().generation, machine.statuses()) == (generation, {"a": "active"})


def test_an_end_that_passed_in_the_file_ends_the_fault_even_if_the_ledger_was_to_renew_it(machine: Machine) -> None:
    machine.arm("a", ttl=60)
    fault = machine.fault("a")
    machine.ledger.update(replace(fault, deadlines=replace(fault.deadlines, ttl=5000.0)))
    machine.clock.now = 1061
    machine.restart()
    fault = machine.fault("a")
    assert (fault.status, fault.end_reason) == ("expired", "its end in the control file has passed")
    assert machine.armed() == []


def test_a_control_file_of_another_boot_arms_nothing(machine: Machine) -> None:
    machine.arm("a", ttl=60)
    machine.clock.kernel_boot = "kernel-2"
    machine.restart()
    assert machine.statuses() == {"a": "failed"}
    assert (machine.armed(), machine.control().boot_id) == ([], "kernel-2")


def test_a_folder_that_can_not_be_written_keeps_the_fault_recovering_until_it_can(machine: Machine) -> None:
    machine.arm("a", ttl=60)
    blocker = machine.cuda.path / ".control.new"
    blocker.mkdir()
    (machine.cuda.path / "control").rename(machine.cuda.path / "aside")
    (machine.cuda.path / "control").mkdir()
    with pytest.raises(Refusal) as refused:
        machine.taking_back.recover("gpu-1~a", None)
    assert (refused.value.status, refused.value.code) == (503, "cuda_not_usable")
    assert machine.statuses() == {"a": "recovering"}
    machine.inject("line")
    assert machine.taking_back.recover("gpu-1~line", None).status == "recovered"
    (machine.cuda.path / "control").rmdir()
    (machine.cuda.path / "aside").rename(machine.cuda.path / "control")
    blocker.rmdir()
    machine.at(1001)
    assert (machine.statuses()["a"], machine.armed()) == ("recovered", [])


def test_a_kernel_log_that_is_broken_does_not_hold_up_an_end(machine: Machine) -> None:
    machine.inject("line", duration=5)
    machine.arm("calls", duration=5, gpu_id=1)
    machine.ring.broken = "gone"
    machine.at(1005)
    assert machine.statuses() == {"line": "recovering", "calls": "expired"}
    assert machine.armed() == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """The CUDA folder on a memory disk of its own with little room."""
    folder = tmp_path / "cuda"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32k", "none", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_memory_disk_refuses_to_arm_and_still_disarms(small_disk: Path, machine: Machine) -> None:
    machine.arm("a", ttl=60)
    machine.arm("b", ttl=60)
    ballast = small_disk / "hits" / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    with pytest.raises(Refusal) as refused:
        machine.arm("c", ttl=60)
    message = f"There is no room for {small_disk / 'control'}: nothing was armed."
    assert (refused.value.status, refused.value.message) == (507, message)
    assert machine.armed() == ["a", "b"]
    assert machine.taking_back.recover("gpu-1~a", None).status == "recovered"
    assert machine.armed() == ["b"]
    assert machine.statuses() == {"a": "recovered", "b": "active", "c": "failed"}


def test_the_largest_fault_fits_into_its_record_on_disk(machine: Machine) -> None:
    everything = class_bits(class_names(2**16 - 1))
    large = CudaRule(
        classes=everything,
        mode="sticky",
        code=2**31 - 1,
        nvml_code=2**31 - 1,
        scope="process",
        after_calls=2**63 - 1,
        not_before=604799.123456789,
        probability=0.123456,
        max_hits=2**63 - 1,
        min_bytes=2**63 - 1,
        delay=604799.123456789,
        free_bytes=2**63 - 1,
        process='"' * 15,
        running_only=False,
    )
    name = "n" * 101
    machine.arm(name, *[large] * 8, ttl=60, duration=70, max_lifetime=80, run='"' * 100)
    machine.taking_back.recover(f"gpu-1~{name}", None)
    before = machine.fault(name)
    machine.restart()
    assert machine.fault(name) == before
    assert MAX_RULES >= 8


def test_names_of_classes_and_their_bits_are_the_same_thing() -> None:
    assert class_names(class_bits(("nvlink", "init", "init"))) == ("init", "nvlink")
    assert class_bits(class_names(sum(CallClass))) == sum(CallClass)


def test_a_gpu_without_a_whole_uuid_is_meant_by_its_address() -> None:
    whole = Gpu(0, 0, "GPU-0a1b2c3d-0405-0607-0809-0a0b0c0d0e0f", "0000:17:00")
    assert gpu_match(whole) == GpuUuid(whole.uuid)
    assert gpu_match(replace(whole, uuid="GPU-4001", pci="4001:1a:02")) == GpuPci(0x4001, 0x1A, 2)


def test_what_the_control_file_can_not_hold_is_refused_before_anything_is_promised(machine: Machine) -> None:
    with pytest.raises(Refusal) as refused:
        machine.arm("a", replace(FAILS, process="p" * 16), ttl=60)
    assert refused.value.message == (
        f"A rule does not fit into the control file: The process name '{'p' * 16}' is longer than 15 bytes or "
        "holds a NUL."
    )
    assert machine.statuses() == {}


def test_a_stranger_in_the_control_file_does_not_harm_a_fault(machine: Machine) -> None:
    machine.arm("a", ttl=60)
    ours = machine.control().rules
    stranger = replace(ours[0], fault="stranger", gpu=GpuOrdinal(0))
    cuda_control.write(machine.cuda.control_file, (*ours, stranger), boot_id="kernel-1", now_ns=1)
    machine.at(1001)
    assert (machine.statuses(), machine.armed()) == ({"a": "active"}, ["a"])
