"""Parts of the lab that need no process: routes of services, environments, statuses, the guard of the kernel log."""

from pathlib import Path

import pytest

from scenario_runner.lab import times
from scenario_runner.lab.hardware import boot, install
from scenario_runner.lab.kernel_log_guard import why_not_real
from scenario_runner.lab.kubelet.environment import (
    ConfigError,
    Facts,
    Objects,
    expand,
    variables,
)
from scenario_runner.lab.kubelet.pod_status import conditions_of, phase_of
from scenario_runner.lab.layout import NodeLayout
from scenario_runner.lab.processes import start_time
from scenario_runner.lab.proxy import Address, routes

RUNNING = {"name": "a", "ready": True, "state": {"running": {}}, "lastState": {}}
WAITING = {"name": "b", "ready": False, "state": {"waiting": {}}, "lastState": {}}
CRASHED = WAITING | {"lastState": {"terminated": {"exitCode": 1}}}


def ended(code: int) -> dict[str, object]:
    return {"name": "c", "ready": False, "state": {"terminated": {"exitCode": code}}, "lastState": {}}


@pytest.mark.parametrize(
    ("containers", "phase"),
    [
        ([WAITING], "Pending"),
        ([RUNNING, WAITING], "Running"),
        ([CRASHED], "Running"),
        ([ended(0), RUNNING], "Running"),
        ([ended(0), ended(0)], "Succeeded"),
        ([ended(0), ended(2)], "Failed"),
    ],
)
def test_the_phase_of_a_pod_follows_from_its_containers(containers: list[dict[str, object]], phase: str) -> None:
    assert phase_of(containers) == phase


def test_a_condition_keeps_its_moment_until_it_flips() -> None:
    before = [{"type": "Ready", "status": "True", "lastTransitionTime": "long ago"}]
    same = {one["type"]: one for one in conditions_of([RUNNING], "Running", before)}
    flipped = {one["type"]: one for one in conditions_of([WAITING], "Running", before)}
    assert same["Ready"]["lastTransitionTime"] == "long ago"
    assert flipped["Ready"]["lastTransitionTime"] != "long ago"
    assert (flipped["Ready"]["reason"], flipped["Ready"]["message"]) == (
        "ContainersNotReady",
        "containers with unready status: [b]",
    )


def test_a_service_leads_to_ready_endpoints_that_are_not_going() -> None:
    service = {
        "metadata": {"namespace": "n", "name": "s"},
        "spec": {"clusterIP": "127.9.0.10", "ports": [{"name": "http", "port": 80}]},
    }
    rows = [({"ready": True}, 1), ({"ready": False}, 2), ({"ready": True, "terminating": True}, 3), ({}, 4)]
    part = {
        "metadata": {"namespace": "n", "labels": {"kubernetes.io/service-name": "s"}},
        "ports": [{"name": "http", "port": 8080}, {"name": "other", "port": 1}],
        "endpoints": [{"addresses": [f"127.9.1.{last}"], "conditions": conditions} for conditions, last in rows],
    }
    foreign = part | {"metadata": {"namespace": "m", "labels": {"kubernetes.io/service-name": "s"}}}
    assert routes([service], [part, foreign]) == {
        Address("127.9.0.10", 80): (Address("127.9.1.1", 8080), Address("127.9.1.4", 8080))
    }


def test_a_headless_service_is_not_served() -> None:
    service = {"metadata": {"namespace": "n", "name": "s"}, "spec": {"clusterIP": "None", "ports": [{"port": 80}]}}
    assert routes([service], []) == {}


def test_references_to_unknown_variables_stay() -> None:
    assert expand("$(A) $(B)", {"A": "1"}) == "1 $(B)"


def test_a_missing_config_map_is_named() -> None:
    source = {"configMapKeyRef": {"name": "m", "key": "k"}}
    container = {"env": [{"name": "X", "valueFrom": source}]}
    with pytest.raises(ConfigError, match=r'^configmap "m" not found$'):
        variables(container, Facts({}), Objects())
    source["configMapKeyRef"]["optional"] = True  # type: ignore[assignment]
    assert variables(container, Facts({}), Objects()) == {}


def test_the_real_kernel_log_is_left_alone_where_somebody_listens(tmp_path: Path) -> None:
    proc, kmsg = tmp_path / "proc", tmp_path / "kmsg"
    kmsg.touch()
    for pid, comm in ((7, "kubelet"), (8, "node-problem-de"), (9, "kubelet-gpu-1"), (10, "python3")):
        (proc / str(pid)).mkdir(parents=True)
        (proc / str(pid) / "comm").write_text(f"{comm}\n")
    (proc / "10" / "exe").symlink_to("/opt/gpud")
    (proc / "driver" / "nvidia").mkdir(parents=True)
    assert why_not_real(proc, kmsg) == (
        "This machine may act on GPU errors in its kernel log: found gpud (process 10), kubelet (process 7), "
        f"node-problem-detector (process 8), an NVIDIA driver ({proc}/driver/nvidia)."
    )


def test_a_quiet_machine_may_use_its_kernel_log_if_it_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    assert why_not_real(tmp_path / "proc", tmp_path / "none") == (
        f"{tmp_path}/none can not be written: the real kernel log needs root."
    )
    (tmp_path / "kmsg").touch()
    assert why_not_real(tmp_path / "proc", tmp_path / "kmsg") is None


def test_times_are_divided_but_stay_sensible() -> None:
    assert times.scaled(1) == times.REAL
    assert times.scaled(10).reboot == 9
    assert times.scaled(1e9).node_grace == 4
    assert times.from_text(times.to_text(times.scaled(60))) == times.scaled(60)
    with pytest.raises(ValueError, match=r"^a scale of 0 is not above 0$"):
        times.scaled(0)


@pytest.mark.parametrize("scale", [1, 10, 60, 1000])
def test_a_reboot_takes_so_long_that_the_node_is_seen_to_be_not_ready(scale: float) -> None:
    scaled = times.scaled(scale)
    assert scaled.node_grace + 2 * scaled.node_renewal <= scaled.reboot < scaled.node_grace + scaled.eviction_after


def test_a_node_that_boots_has_another_boot_id_an_empty_kernel_log_and_nothing_in_run(tmp_path: Path) -> None:
    node = NodeLayout(tmp_path / "gpu-1")
    install(node, "gpu-1", "lab", "4001", 16, gpus=2)
    first = node.boot_id.read_text()
    assert not node.kernel_log.exists()  # a node that shares the real one has none of its own
    node.kernel_log.write_text("12,0,1,-;of the first boot\n")
    node.cuda.mkdir(parents=True)
    (node.host / "opt").mkdir()
    boot(node)
    assert (node.boot_id.read_text() != first, node.kernel_log.read_text()) == (True, "")
    assert [one.name for one in node.host.iterdir()] == ["opt"]


def test_a_process_that_does_not_exist_has_no_start_time() -> None:
    assert start_time(2**22 + 1) == ""
