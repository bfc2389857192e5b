"""Real processes with the real library on the stand-in driver: armed, hit, told apart, disarmed, out of reach."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.agent.test_arming import disarm
from tests.agent.world import ROOT, NodeProgram

UUIDS = [f"GPU-0000000{index}-1415-1617-1819-1a1b1c1d1e1f" for index in range(2)]
PCIS = ["4001:17:00", "4001:18:00"]
WAITS_FAIL = {"classes": ["sync"], "mode": "fail", "code": 719}


@pytest.fixture(scope="session")
def built() -> Path:
    """The folder with library and stand-in driver, built one at a time on this machine."""
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc")
    folder = ROOT / "cuda_lib" / "build"
    folder.mkdir(exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(["make", "-s", "-C", str(ROOT / "cuda_lib")], check=True)
    return folder


class Engine:
    """A running client."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self.pid = self._process.pid

    def says(self) -> str:
        """Its next line: 0 while all is well, else what its last wait for the GPU answered."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def end(self) -> None:
        if self._process.stdout is not None and not self._process.stdout.closed:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait(10)
            self._process.stdout.close()


@dataclass
class Workload:
    """Starts clients as pods of this node would be."""

    node: NodeProgram
    built: Path
    engines: list[Engine] = field(default_factory=list)

    def start(self, ordinal: int, *options: str, owner: str = "", library: bool = True, below: str = "") -> Engine:
        """`below` is a command that runs the client."""
        gpus = ",".join(f"{uuid}@{pci}" for uuid, pci in zip(UUIDS, PCIS, strict=True))
        environment = {
            "PATH": os.environ["PATH"],
            "LD_LIBRARY_PATH": str(self.built / "stub"),
            "STUB_CUDA_GPUS": gpus,
            "SCENARIO_RUNNER_CUDA_CONTROL": str(self.node.folder / "cuda" / "control"),
            "SCENARIO_RUNNER_CUDA_HITS": str(self.node.folder / "cuda" / "hits"),
            "SCENARIO_RUNNER_CUDA_POLL_MS": "10",
            **({"SCENARIO_RUNNER_CUDA_OWNER": owner} if owner else {}),
            **({"LD_PRELOAD": str(self.built / "libscenario_cuda.so")} if library else {}),
        }
        client = str(Path(__file__).with_name("cuda_client.py"))
        command = [*below.split(), sys.executable, client, str(ordinal), *options]
        self.engines.append(Engine(command, environment))
        return self.engines[-1]


@pytest.fixture
def workload(node: NodeProgram, built: Path) -> Iterator[Workload]:
    """The node's GPUs are those of the stand-in driver; its agent runs."""
    gpus = [
        {"index": index, "minor": index, "uuid": uuid, "pci": pci}
        for index, (uuid, pci) in enumerate(zip(UUIDS, PCIS, strict=True))
    ]
    (node.folder / "inventory.json").write_text(json.dumps({"gpus": gpus}))
    node.start()
    started = Workload(node, built)
    yield started
    for engine in started.engines:
        engine.end()


def hits(node: NodeProgram, fault_id: str | None = None) -> dict[str, Any]:
    query = "" if fault_id is None else f"?fault_id={fault_id}"
    found = node.get(f"/api/v1/cuda/hits{query}").json()["nodes"][0]
    assert isinstance(found, dict)
    return found


def until(node: NodeProgram, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Poll the hits until they are so; the test's own time limit ends a wait in vain."""
    while not is_so(found := hits(node)):
        time.sleep(0.02)
    return found


def test_an_armed_fault_hits_the_process_on_its_gpu_and_only_that_one(workload: Workload) -> None:
    node = workload.node
    one, two = workload.start(0, owner="dynamo/vllm-0/main"), workload.start(1, owner="dynamo/vllm-1/main")
    assert (one.says(), two.says()) == ("0", "0")
    before = hits(node)
    assert (before["armed"], before["processes"], before["control"]) == ([], [], None)
    armed = node.arm(key="a", gpu_id=1, rules=[WAITS_FAIL]).json()
    assert two.says() == "719"
    found = until(node, lambda now: now["processes"] != [])
    path = str(node.folder / "cuda" / "control")
    assert (found["armed"], found["control"]) == (["gpu-1~a"], {"path": path, "generation": 1})
    process = found["processes"][0]
    hit = process.pop("hits")[0]
    assert process.pop("process").startswith("python")
    assert process == {
        "pid": two.pid,
        "container_pid": two.pid,
        "owner": {"namespace": "dynamo", "pod": "vllm-1", "container": "main"},
        "pod_uid": None,
        "container_id": None,
        "probe": False,
    }
    counts = hit.pop("calls"), hit.pop("hits")
    first, last = (datetime.fromisoformat(hit.pop(name)) for name in ("first_hit_at", "last_hit_at"))
    assert hit == {
        "fault_id": "gpu-1~a",
        "rule": 0,
        "gpu_uuid": UUIDS[1],
        "nvml_hits": 0,
        "code": 719,
        "function": "cuCtxSynchronize",
    }
    assert counts[0] >= counts[1] >= 1
    assert datetime.fromisoformat(armed["injected_at"]) <= first <= last
    assert disarm(node, "gpu-1~a").json()["status"] == "recovered"
    assert two.says() == "0"
    after = hits(node, "gpu-1~a")
    assert (after["armed"], [process["pid"] for process in after["processes"]]) == ([], [two.pid])


def test_a_process_that_died_of_it_is_still_told(workload: Workload) -> None:
    node = workload.node
    engine = workload.start(0)
    assert engine.says() == "0"
    node.arm(key="a", gpu_id=UUIDS[0], rules=[WAITS_FAIL])
    assert engine.says() == "719"
    engine.end()
    process = hits(node)["processes"][0]
    assert (process["pid"], process["container_pid"], process["owner"]) == (None, engine.pid, None)


def test_a_dead_agent_leaves_nothing_armed(workload: Workload) -> None:
    node = workload.node
    engine = workload.start(0)
    assert engine.says() == "0"
    node.arm(key="a", rules=[WAITS_FAIL], ttl=1.5)
    assert engine.says() == "719"
    node.kill()
    assert engine.says() == "0"
    node.start()
    record = node.until_fault("gpu-1~a", "expired")
    assert record["end_reason"] == "its time to live ran out without a renewal"


def test_a_process_without_the_library_is_told_as_out_of_reach(workload: Workload) -> None:
    engine = workload.start(0, library=False, owner="dynamo/plain/main")
    assert engine.says() == "0"
    found = hits(workload.node)
    process = next(one for one in found["without_library"] if one["pid"] == engine.pid)
    assert process["owner"] == {"namespace": "dynamo", "pod": "plain", "container": "main"}
    assert not process["probe"]
    assert found["scan"]["processes"] > 1
    with_library = workload.start(1)
    assert with_library.says() == "0"
    assert with_library.pid not in {one["pid"] for one in hits(workload.node)["without_library"]}


def test_children_of_the_workload_count_and_a_visitor_is_a_probe(workload: Workload) -> None:
    node = workload.node
    main = workload.start(0, "--child", owner="dynamo/vllm-0/main")
    child = int(main.says().removeprefix("child "))
    assert main.says() == "0"
    visitor = workload.start(0, owner="dynamo/vllm-0/main")
    assert visitor.says() == "0"
    node.arm(key="a", rules=[WAITS_FAIL])
    found = until(node, lambda now: len(now["processes"]) == 3)
    assert {process["pid"]: process["probe"] for process in found["processes"]} == {
        main.pid: False,
        child: False,
        visitor.pid: True,
    }


def test_a_process_in_a_pid_namespace_of_its_own_is_found_on_the_host(workload: Workload) -> None:
    separate = "unshare --pid --fork --mount-proc --kill-child"
    if subprocess.run([*separate.split(), "true"], capture_output=True, check=False).returncode:
        pytest.skip("making a pid namespace needs root")
    engine = workload.start(0, below=separate)
    assert engine.says() == "0"
    workload.node.arm(key="a", rules=[WAITS_FAIL])
    assert engine.says() == "719"
    process = until(workload.node, lambda now: now["processes"] != [])["processes"][0]
    parent = Path(f"/proc/{process['pid']}/stat").read_text().rpartition(")")[2].split()[1]
    assert (process["container_pid"], int(parent), process["probe"]) == (1, engine.pid, False)


def test_records_that_are_none_are_named_and_faults_that_are_unknown_are_left_out(workload: Workload) -> None:
    node = workload.node
    engine = workload.start(0)
    assert engine.says() == "0"
    node.arm(key="a", rules=[WAITS_FAIL])
    assert engine.says() == "719"
    (node.folder / "cuda" / "hits" / "x.hits").write_text("no record")
    node.arm(key="b", gpu_id=1)
    until(node, lambda now: now["processes"] != [])
    assert hits(node)["unreadable"] == []
    (node.folder / "cuda" / "hits" / "x.hits").write_text("no record")
    found = hits(node, "gpu-1~b")
    assert (found["processes"], found["unreadable"]) == ([], ["x.hits"])
