"""What the passing of time does to faults, on a clock that the tests move."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fault_agent.refusal import Refusal
from tests.agent.machine import Machine

REAL = "NVRM: Xid (PCI:0000:10:00): 79, GPU has fallen off the bus."


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.close()


def test_a_duration_ends_a_fault_exactly_when_it_is_over(machine: Machine) -> None:
    machine.inject("a", duration=5)
    assert machine.fault("a").expires_at == "2026-01-01T00:16:45.000Z"
    machine.at(1004.999)
    assert machine.statuses() == {"a": "active"}
    machine.at(1005)
    fault = machine.fault("a")
    assert (fault.status, fault.ended_at, fault.end_reason) == (
        "expired",
        "2026-01-01T00:16:45.000Z",
        "its duration is over",
    )
    machine.at(1006)
    assert len(machine.ring.records) == 2


def test_a_renewed_fault_lives_on_and_one_that_is_not_renewed_ends(machine: Machine) -> None:
    machine.inject("a", ttl=60)
    for now in (1015, 1030, 1045, 1060):
        machine.at(now)
        assert machine.taking_back.renew("gpu-1~a", 60).status == "active"
    machine.at(1119.9)
    assert machine.statuses() == {"a": "active"}
    machine.at(1120)
    assert machine.fault("a").end_reason == "its time to live ran out without a renewal"


def test_a_renewal_that_comes_too_late_finds_the_fault_ended_even_before_the_agent_looked(machine: Machine) -> None:
    machine.inject("a", ttl=60)
    machine.clock.now = 1060
    fault = machine.taking_back.renew("gpu-1~a", 60)
    assert (fault.ends_as, fault.ended_at) == ("expired", "2026-01-01T00:17:40.000Z")


def test_no_renewal_reaches_beyond_the_longest_lifetime_or_the_duration(machine: Machine) -> None:
    machine.inject("a", ttl=60, max_lifetime=100)
    machine.inject("b", ttl=60, duration=90, gpu_id=1)
    machine.at(1050)
    assert machine.taking_back.renew("gpu-1~a", 600).expires_at == "2026-01-01T00:18:20.000Z"
    assert machine.taking_back.renew("gpu-1~b", 600).expires_at == "2026-01-01T00:18:10.000Z"
    machine.at(1100)
    assert machine.statuses() == {"a": "expired", "b": "expired"}
    assert machine.fault("a").end_reason == "its longest lifetime is over"
    assert machine.fault("b").end_reason == "its duration is over"


def test_a_machine_that_was_suspended_expires_everything_at_once_with_one_acknowledgement_per_gpu(
    machine: Machine,
) -> None:
    for name, gpu in (("a", 0), ("b", 0), ("c", 1)):
        machine.inject(name, gpu_id=gpu, ttl=60)
    machine.at(9000)
    assert set(machine.statuses().values()) == {"expired"}
    assert machine.ring.texts()[3:] == [
        "nvsentinel-gpu-reset: GPU reset executed: GPU-aa-0, success: true",
        "nvsentinel-gpu-reset: GPU reset executed: GPU-aa-1, success: true",
    ]
    assert machine.fault("a").acknowledgement == machine.fault("b").acknowledgement


def test_the_agent_wants_to_be_called_at_the_next_deadline(machine: Machine) -> None:
    assert machine.at(1000) == 30
    machine.inject("a", duration=0.25)
    assert machine.at(1000) == pytest.approx(0.25)
    machine.inject("b", gpu_id=1)
    machine.at(1001)
    assert machine.at(1002) == 1


def test_deadlines_survive_a_restart_and_expire_once(machine: Machine) -> None:
    machine.inject("a", ttl=60)
    machine.clock.now = 1030
    machine.restart()
    assert machine.statuses() == {"a": "active"}
    machine.clock.now = 1061
    machine.restart()
    machine.restart()
    assert machine.statuses() == {"a": "expired"}
    assert machine.fault("a").ended_at == "2026-01-01T00:17:41.000Z"
    assert len(machine.ring.records) == 2


def test_a_kernel_log_that_breaks_delays_the_acknowledgement_until_it_works_again(machine: Machine) -> None:
    machine.inject("a", duration=5)
    machine.ring.broken = "/dev/kmsg can not be written: Operation not permitted"
    machine.at(1005)
    assert machine.statuses() == {"a": "recovering"}
    with pytest.raises(Refusal, match=r"^/dev/kmsg can not be written: Operation not permitted\.$"):
        machine.taking_back.recover("gpu-1~a", None)
    machine.ring.broken = None
    machine.at(1006)
    assert machine.statuses() == {"a": "expired"}
    assert machine.fault("a").ended_at == "2026-01-01T00:16:45.000Z"


def test_a_line_that_the_kernel_drops_silently_is_a_failure_and_not_a_fault(machine: Machine) -> None:
    machine.inject("before", gpu_id=1)
    machine.ring.deaf = True
    with pytest.raises(Refusal) as refused:
        machine.inject("a")
    assert (refused.value.status, refused.value.message) == (
        503,
        "The line of gpu-1~a did not get into /dev/kmsg: the kernel log has no such record.",
    )
    assert machine.statuses() == {"before": "active", "a": "failed"}


def test_an_acknowledgement_that_the_kernel_drops_is_written_again(machine: Machine) -> None:
    machine.inject("a")
    machine.ring.deaf = True
    with pytest.raises(Refusal, match=r"^The acknowledgement of GPU-aa-0 did not get into /dev/kmsg\.$"):
        machine.taking_back.recover("gpu-1~a", None)
    machine.ring.deaf = False
    machine.at(1001)
    machine.at(1002)
    assert machine.statuses() == {"a": "recovered"}
    assert len(machine.ring.records) == 2


def test_a_real_fault_is_remembered_although_the_ring_has_overwritten_it(machine: Machine) -> None:
    machine.ring.size = 10
    machine.inject("a")
    machine.ring.write(4, REAL)
    for second in range(20):
        machine.ring.write(6, "usb 1-1: new device")
        machine.at(1010 + 10 * second)
    with pytest.raises(Refusal) as refused:
        machine.taking_back.recover("gpu-1~a", None)
    assert refused.value.code == "real_fault_seen"


def test_a_ring_that_moves_on_under_a_watching_agent_does_not_block(machine: Machine) -> None:
    machine.ring.size = 10
    machine.inject("a")
    for second in range(40):
        machine.ring.write(6, "usb 1-1: new device")
        machine.at(1010 + 10 * second)
    machine.restart()
    assert machine.taking_back.recover("gpu-1~a", None).status == "recovered"


def test_a_ring_that_moved_on_while_no_agent_watched_blocks(machine: Machine) -> None:
    machine.ring.size = 10
    machine.inject("a")
    for _ in range(40):
        machine.ring.write(6, "usb 1-1: new device")
    with pytest.raises(Refusal, match=r"the kernel log no longer reaches back to the injection"):
        machine.taking_back.recover("gpu-1~a", None)


def test_a_fault_of_the_same_gpu_that_is_injected_while_another_waits_takes_over_the_acknowledgement(
    machine: Machine,
) -> None:
    machine.inject("a")
    machine.platform.reason = "the platform is remediating the node"
    assert machine.taking_back.recover("gpu-1~a", None).status == "recovering"
    machine.inject("b")
    machine.platform.reason = None
    machine.at(1001)
    assert machine.statuses() == {"a": "recovered", "b": "active"}
    assert machine.fault("a").acknowledgement is None
    assert machine.taking_back.recover("gpu-1~b", None).acknowledgement is not None


def test_ids_that_begin_alike_are_not_mixed_up(machine: Machine) -> None:
    machine.inject("run-1")
    machine.inject("run-11")
    assert [machine.fault(name).evidence.sequence for name in ("run-1", "run-11")] == [0, 1]  # type: ignore[union-attr]


def test_more_faults_than_allowed_are_refused_until_one_is_over(tmp_path: Path) -> None:
    machine = Machine(tmp_path, max_active=2)
    machine.inject("a")
    machine.inject("b")
    with pytest.raises(Refusal) as refused:
        machine.inject("c")
    assert (refused.value.status, refused.value.message) == (
        429,
        "Node gpu-1 has 2 faults in force, at most 2 are allowed.",
    )
    machine.taking_back.recover("gpu-1~a", None)
    assert machine.inject("c").status == "active"
    machine.close()


def test_injections_are_limited_in_number_per_time(machine: Machine) -> None:
    for number in range(60):
        machine.inject(f"f{number}")
        machine.taking_back.recover(f"gpu-1~f{number}", None)
    with pytest.raises(Refusal) as refused:
        machine.inject("one-more")
    assert (refused.value.status, refused.value.code) == (429, "rate_limited")
    machine.clock.now += 1
    assert machine.inject("one-more").status == "active"
