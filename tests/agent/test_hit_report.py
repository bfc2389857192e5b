"""Processes and pods as a node's /proc shows them, told apart without running any."""

import os
from pathlib import Path

import pytest

from fault_agent.clock import SystemClock
from fault_agent.hit_report import HitReport
from fault_agent.kubelet_files import pod_names
from fault_agent.processes import Process, Scan, Scans, scan
from tests.agent.machine import FakeClock, Machine

POD = "0a1b2c3d-1111-2222-3333-444455556666"
CONTAINER = "ab" * 32
DRIVER = "7f00-7f01 r-xp 00000000 00:1d 12 /usr/lib/x86_64-linux-gnu/libcuda.so.550.54.15\n"
OURS = "7f02-7f03 r-xp 00000000 00:1e 13 /opt/cuda/..2026/libscenario_cuda.so (deleted)\n"
GROUPS = [
    f"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{POD.replace('-', '_')}.slice/"
    f"cri-containerd-{CONTAINER}.scope\n",
    f"0::/../../../kubepods/besteffort/pod{POD}/{CONTAINER}\n",
    f"12:pids:/kubepods/pod{POD}/{CONTAINER}\n1:name=systemd:/kubepods/pod{POD}/{CONTAINER}\n",
]


def process(
    proc: Path, pid: int, parent: int, maps: str, cgroup: str = "0::/\n", *, start: int = 100, owner: str = ""
) -> None:
    """The files of one process; in its own namespace it has a number 40 lower."""
    folder = proc / str(pid)
    (folder / "ns").mkdir(parents=True)
    (folder / "ns" / "pid").symlink_to("pid:[4026532001]")
    tail = " ".join(["S", str(parent), *["0"] * 17, str(start), "0"])
    (folder / "stat").write_text(f"{pid} (a (b) c) {tail}\n")
    (folder / "status").write_text(f"Name:\ta\nNSpid:\t{pid}\t{pid - 40}\n")
    (folder / "maps").write_text(maps)
    (folder / "cgroup").write_text(cgroup)
    (folder / "environ").write_text(f"PATH=/bin\0SCENARIO_RUNNER_CUDA_OWNER={owner}\0" if owner else "PATH=/bin\0")


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    folder = tmp_path / "proc"
    (folder / "self" / "ns").mkdir(parents=True)
    (folder / "self" / "ns" / "pid").symlink_to("pid:[4026531836]")
    (folder / "sys").mkdir()
    return folder


@pytest.mark.parametrize("cgroup", GROUPS)
def test_a_process_is_read_from_its_files(proc: Path, cgroup: str) -> None:
    process(proc, 41, 7, DRIVER + OURS, cgroup, start=123, owner="dynamo/vllm/main")
    assert scan(proc) == Scan(
        (Process(41, 7, 123, "a (b) c", 1, 4026532001, POD, CONTAINER, "dynamo/vllm/main", True, True),), 0, True
    )


def test_only_the_driver_itself_counts_as_cuda(proc: Path) -> None:
    process(proc, 41, 1, DRIVER)
    process(proc, 42, 1, DRIVER.replace("libcuda.so.550.54.15", "libcuda.so.1 (deleted)"))
    process(proc, 43, 1, DRIVER.replace("libcuda.so.550.54.15", "libcudart.so.12"))
    process(proc, 44, 1, DRIVER.replace("libcuda.so.550.54.15", "not-libcuda.so.1"))
    process(proc, 45, 1, OURS)
    process(proc, 46, 1, "")
    found = {one.pid: (one.uses_cuda, one.has_library) for one in scan(proc).processes}
    expected = dict.fromkeys((41, 42), (True, False)) | dict.fromkeys((43, 44, 46), (False, False))
    assert found == expected | {45: (False, True)}


def test_a_process_that_ends_while_it_is_looked_at_is_left_out(proc: Path) -> None:
    process(proc, 41, 1, DRIVER)
    (proc / "42").mkdir()
    assert [one.pid for one in scan(proc).processes] == [41]


def test_a_visitor_of_a_container_does_not_descend_from_its_first_process(proc: Path) -> None:
    shell, engine, worker, probe, other = 41, 42, 43, 44, 45
    process(proc, shell, 7, OURS, GROUPS[0], start=100)
    process(proc, engine, shell, DRIVER + OURS, GROUPS[0], start=110)
    process(proc, worker, engine, DRIVER + OURS, GROUPS[0], start=120)
    process(proc, probe, 7, DRIVER + OURS, GROUPS[0], start=130)
    process(proc, other, 7, DRIVER + OURS, "0::/\n", start=90)
    seen = scan(proc)
    told = {one.pid: seen.came_by_exec(one) for one in seen.processes}
    assert told == {shell: False, engine: False, worker: False, probe: True, other: False}


def test_what_descends_from_an_ancestor_of_the_agent_did_not_come_by_exec(proc: Path) -> None:
    process(proc, 41, 0, "m")
    process(proc, os.getpid(), 41, "m")
    process(proc, 43, 0, "m")
    seen = scan(proc)
    assert [seen.descends_with_us(4026532001, root) for root in (41, 43)] == [True, False]
    assert not seen.descends_with_us(4026532002, 41)  # the same number in another container
    assert not Scan((), 0, True).descends_with_us(4026532001, 41)


def test_an_agent_that_does_not_see_the_host_says_so(proc: Path) -> None:
    (proc / "self" / "ns" / "pid").unlink()
    (proc / "self" / "ns" / "pid").symlink_to("pid:[4026532999]")
    assert not scan(proc).host_pid_namespace


def test_this_very_process_is_found() -> None:
    found = scan()
    own = next(one for one in found.processes if one.pid == os.getpid())
    assert found.find(own.pid_namespace, own.namespace_pid, own.start_ticks) == own
    assert found.find(own.pid_namespace, own.namespace_pid, own.start_ticks + 1) is None
    assert SystemClock(Path("/dev/null")).kernel_boot_id()


def test_a_scan_is_used_again_while_it_is_new_enough() -> None:
    looked: list[float] = []
    clock = FakeClock()

    def look() -> Scan:
        looked.append(clock.now)
        return Scan((), len(looked), True)

    scans = Scans(clock, look)
    assert [scans.since(999).unreadable, scans.since(1000).unreadable] == [1, 1]
    clock.now = 1001
    assert [scans.since(1000).unreadable, scans.since(1000.5).unreadable, scans.since(1001).unreadable] == [1, 2, 2]
    assert looked == [1000, 1001]


def test_the_kubelets_word_counts_more_than_what_a_process_says_of_itself(proc: Path, tmp_path: Path) -> None:
    process(proc, 41, 1, DRIVER, GROUPS[0], owner="dynamo/vllm/main")
    process(proc, 42, 1, DRIVER, GROUPS[0], owner="kube-system/other/x")
    process(proc, 43, 1, DRIVER, owner="lab/pod/main")
    process(proc, 44, 1, DRIVER, owner="no such/../thing")
    machine = Machine(tmp_path)
    pods = {POD: ("dynamo", "vllm")}
    scans = Scans(machine.clock, lambda: scan(proc))
    report = HitReport(machine.ledger, machine.clock, machine.cuda, scans, lambda: pods).report(None, None)
    machine.close()
    owners = {one.pid: one.owner and tuple(one.owner.model_dump().values()) for one in report.without_library}
    assert owners == {
        41: ("dynamo", "vllm", "main"),
        42: ("dynamo", "vllm", None),
        43: ("lab", "pod", "main"),
        44: None,
    }


def test_names_of_pods_come_from_their_log_folders(tmp_path: Path) -> None:
    (tmp_path / f"dynamo_vllm-decode-abc_{POD}").mkdir()
    (tmp_path / "something").mkdir()
    assert pod_names(tmp_path) == {POD: ("dynamo", "vllm-decode-abc")}
    assert pod_names(tmp_path / "absent") == {}
