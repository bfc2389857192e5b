"""The engine on the stand-in driver, with the CUDA library in the process: what a broken GPU does to it."""

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fault_agent import cuda_control, cuda_hits
from fault_agent.cuda_control import Mode, Rule
from scenario_runner.adapters.cuda_library import CudaLibraryFiles
from scenario_runner.lab.driver import find_driver
from tests.cuda_lib.node import UUIDS, later, rule
from tests.lab.inference.instance import Instance, exchange

CHAT = {"messages": [{"role": "user", "content": "say hello"}], "max_tokens": 4}
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
UNAME = subprocess.run(["uname", "-m"], capture_output=True, text=True, check=True).stdout.strip()
PATIENCE = 40.0  # seconds; only something broken needs them


class Gpus:
    """A node's CUDA folder, and engines that hold its second GPU."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[Instance] = []
        (folder / "hits").mkdir()
        self._library = folder / "libscenario_cuda.so"
        self._library.write_bytes(CudaLibraryFiles(folder).library(UNAME).content)
        self._driver, why_not = find_driver()
        assert why_not == ""

    def arm(self, *rules: Rule) -> None:
        cuda_control.write(self.folder / "control", rules, boot_id=BOOT_ID.read_text().strip(), now_ns=later(0))

    def start(self, **environment: str) -> Instance:
        usual = {
            "LD_LIBRARY_PATH": self._driver,
            "CUDA_VISIBLE_DEVICES": UUIDS[1],
            "LD_PRELOAD": str(self._library),
            "SCENARIO_RUNNER_CUDA_CONTROL": str(self.folder / "control"),
            "SCENARIO_RUNNER_CUDA_HITS": str(self.folder / "hits"),
            "SCENARIO_RUNNER_CUDA_POLL_MS": "10",
            "STARTUP_SECONDS": "0",
        }
        self.started.append(Instance(**usual | environment))
        return self.started[-1]

    def ready(self, **environment: str) -> Instance:
        instance = self.start(**environment)
        said = (line(instance), line(instance))
        assert said == (f"GPU {UUIDS[1]}, 1 visible", "model loaded")
        return instance

    def hits(self) -> list[tuple[str, int, str]]:
        read = cuda_hits.read_hits(self.folder / "hits")
        return [(hit.function, hit.code, hit.gpu_uuid or "") for one in read.processes for hit in one.hits]

    def until_hit(self) -> None:
        eventually(lambda: bool(self.hits()))


@pytest.fixture
def gpus(tmp_path: Path) -> Iterator[Gpus]:
    made = Gpus(tmp_path)
    yield made
    for instance in made.started:
        instance.end()


def line(instance: Instance) -> str:
    assert instance.process.stdout is not None
    return instance.process.stdout.readline().rstrip("\n")


def eventually(look: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < until
        time.sleep(0.01)


def completions(instance: Instance) -> tuple[int, str]:
    answer = instance.post("/v1/chat/completions", CHAT)
    return answer.status, answer.json["error"]["message"] if answer.status != 200 else ""


# One step of the engine as the driver sees it: memory and a copy for each sequence, one launch for all of them.
STEP = re.compile(
    r"(?P<taken>(cuMemAlloc_v2\n)+)(?P<copied>(cuMemcpyHtoD_v2\n)+)cuLaunchKernel\ncuStreamSynchronize\n"
    r"(?P<freed>(cuMemFree_v2\n)+)"
)


def test_an_engine_starts_as_real_ones_do_and_is_ready_after_its_warm_up(gpus: Gpus) -> None:
    instance = gpus.start(STUB_CUDA_LOG_FD="1", LD_PRELOAD="")
    said = [line(instance) for _ in range(17)]
    assert said == [
        "cuInit",
        "cuDeviceGetCount",
        *("cuDeviceGet", "cuDeviceGetUuid_v2", "cuDevicePrimaryCtxRetain", "cuCtxSetCurrent", "cuStreamCreate"),
        f"GPU {UUIDS[1]}, 1 visible",
        *("cuMemAlloc_v2", "cuModuleLoadData", "cuModuleGetFunction"),
        *("cuMemAlloc_v2", "cuMemcpyHtoD_v2", "cuLaunchKernel", "cuStreamSynchronize", "cuMemFree_v2"),
        "model loaded",
    ]


def test_every_token_is_memory_a_copy_a_launch_and_a_wait_for_it(gpus: Gpus) -> None:
    instance = gpus.start(STUB_CUDA_LOG_FD="1", LD_PRELOAD="")
    while line(instance) != "model loaded":
        pass
    assert instance.post("/v1/completions", {"prompt": "say hello", "max_tokens": 300}).status == 200
    instance.process.terminate()
    assert instance.process.stdout is not None
    calls = instance.process.stdout.read()
    steps = [(step["taken"], step["copied"], step["freed"]) for step in STEP.finditer(calls)]
    assert STEP.sub("", calls) == ""  # there is nothing but steps
    tokens = [tuple(part.count("\n") for part in step) for step in steps]
    assert all(taken == copied == freed for taken, copied, freed in tokens)
    assert 300 <= sum(taken for taken, _, _ in tokens) < 600  # an engine without requests steps all the same


def test_a_sticky_error_ends_the_process_and_its_log_names_the_error(gpus: Gpus) -> None:
    instance = gpus.ready()
    gpus.arm(rule("alloc", Mode.STICKY))
    assert line(instance) == "CUDA error 719 (stub driver error 719) in cuMemAlloc_v2; the engine is dead"
    assert instance.process.wait(PATIENCE) == 1
    assert gpus.hits() == [("cuMemAlloc_v2", 719, UUIDS[1])]


def test_an_engine_without_requests_finds_its_gpu_broken_too(gpus: Gpus) -> None:
    instance = gpus.ready()
    gpus.arm(rule("sync", Mode.STICKY, 214))
    assert instance.process.wait(PATIENCE) == 1


def test_a_request_in_flight_is_told_that_the_engine_died(gpus: Gpus) -> None:
    instance = gpus.ready()
    gpus.arm(rule("sync", Mode.HANG, 702, delay_ns=500_000_000))
    gpus.until_hit()
    status, message = completions(instance)  # it waits behind the call that hangs
    assert (status, message.partition(" in ")[0]) == (500, "CUDA error 702 (stub driver error 702)")
    assert instance.process.wait(PATIENCE) == 1


def test_a_new_process_on_a_broken_gpu_fails_at_its_start(gpus: Gpus) -> None:
    gpus.arm(rule("init", Mode.FAIL, 100))
    instance = gpus.start()
    assert line(instance) == "CUDA error 100 (stub driver error 100) in cuInit; the engine is dead"
    assert instance.process.wait(PATIENCE) == 1


def test_an_engine_on_another_gpu_is_not_touched(gpus: Gpus) -> None:
    gpus.arm(rule("alloc", Mode.STICKY, gpu=cuda_control.GpuUuid(UUIDS[2])))
    instance = gpus.ready()
    assert completions(instance) == (200, "")


def test_want_of_memory_fails_requests_and_nothing_else(gpus: Gpus) -> None:
    instance = gpus.ready()
    gpus.arm(rule("alloc", Mode.OOM, 2))
    gpus.until_hit()
    assert completions(instance) == (503, "CUDA error 2 (stub driver error 2) in cuMemAlloc_v2")
    streamed = instance.post("/v1/chat/completions", {**CHAT, "stream": True})
    *_, error, done, _ = streamed.body.decode().split("\n\n")
    assert '"message": "CUDA error 2 (stub driver error 2) in cuMemAlloc_v2"' in error
    assert done == "data: [DONE]"
    gpus.arm()
    eventually(lambda: completions(instance) == (200, ""))


def test_an_engine_may_be_told_to_end_for_want_of_memory(gpus: Gpus) -> None:
    instance = gpus.ready(ON_CUDA_ERROR="exit-on-oom")
    gpus.arm(rule("alloc", Mode.OOM, 2))
    assert line(instance) == "CUDA error 2 (stub driver error 2) in cuMemAlloc_v2; the engine is dead"
    assert instance.process.wait(PATIENCE) == 1


@pytest.mark.parametrize(("call", "function"), [("copy", "cuMemcpyHtoD_v2"), ("launch", "cuLaunchKernel")])
def test_an_engine_dies_of_whichever_call_of_its_tokens_fails(gpus: Gpus, call: str, function: str) -> None:
    instance = gpus.ready()
    gpus.arm(rule(call, Mode.STICKY))
    assert line(instance) == f"CUDA error 719 (stub driver error 719) in {function}; the engine is dead"
    assert instance.process.wait(PATIENCE) == 1


def test_an_engine_without_memory_for_its_model_does_not_start(gpus: Gpus) -> None:
    instance = gpus.start(STUB_CUDA_MEMORY_MB="16")
    assert line(instance) == f"GPU {UUIDS[1]}, 1 visible"
    assert line(instance) == "CUDA error 2 (stub driver error 2) in cuMemAlloc_v2; the engine is dead"
    assert instance.process.wait(PATIENCE) == 1


def test_while_the_gpu_hangs_the_server_still_answers_and_can_be_told_to_go(gpus: Gpus) -> None:
    instance = gpus.ready(DRAIN_SECONDS="0", GRACE_SECONDS="0.1")
    gpus.arm(rule("sync", Mode.HANG))
    gpus.until_hit()
    assert (instance.get("/live").status, instance.get("/ready").status) == (200, 200)
    connection = instance.connect()
    connection.timeout = 0.3
    with pytest.raises(TimeoutError):
        exchange(connection, "POST", "/v1/chat/completions", CHAT)
    connection.close()
    instance.process.terminate()
    assert instance.process.wait(PATIENCE) == 0


def test_an_engine_may_be_told_to_stay_and_answer_500_for_ever(gpus: Gpus) -> None:
    instance = gpus.ready(ON_CUDA_ERROR="answer-500")
    gpus.arm(rule("alloc", Mode.STICKY))
    assert line(instance) == "CUDA error 719 (stub driver error 719) in cuMemAlloc_v2; the engine is dead"
    assert completions(instance)[0] == 500
    gpus.arm()
    assert completions(instance)[0] == 500
    assert instance.get("/ready").status == 200


def test_an_engine_that_finds_no_driver_does_not_start(gpus: Gpus) -> None:
    instance = gpus.start(LD_LIBRARY_PATH="")
    assert line(instance) == (
        "libcuda.so.1: cannot open shared object file: No such file or directory; the engine is dead"
    )
    assert instance.process.wait(PATIENCE) == 1
