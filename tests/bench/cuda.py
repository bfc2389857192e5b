"""What the CUDA library costs a call and a process, and how soon a fault is felt; beside the naive design."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from fault_agent.cuda_control import GpuUuid
from tests.bench.rows import Row, against, below, not_measured, shown
from tests.cuda_lib.conftest import CUDA_LIB, PROGRAMS, make
from tests.cuda_lib.node import UUIDS, Built, Node, rule

ROUNDS = 9
CALLS = 1_000_000
CLIENTS = 2  # they call all the time: more of them than cores would wait for each other, not for us
ARMINGS = 100
LOOKS_EVERY = 0.1  # seconds
IMPORTS = 25
MEMORY = "/dev/shm"  # the control file of a node lies below /run, which is memory as well


def measure() -> Iterator[Row]:
    make()
    built = Built(CUDA_LIB / "build" / "libscenario_cuda.so", CUDA_LIB / "build" / "stub")
    with TemporaryDirectory(dir=MEMORY) as folder:
        node = Node(built, Path(folder), _compiled(folder, "steps", "steps.c", "-pthread"))
        yield from _calls(node, _compiled(folder, "calls", "calls.c", f"-L{built.stub}", "-lcuda"))
        yield _start(node)
        yield _import(node)
        yield from _arming(node)
        node.end()


def _compiled(folder: str, name: str, source: str, *flags: str) -> Path:
    target = Path(folder) / name
    subprocess.run(["gcc", "-O2", "-w", PROGRAMS / source, "-o", target, *flags, "-ldl"], check=True)
    return target


def _calls(node: Node, program: Path) -> Iterator[Row]:
    """Nanoseconds of PLT, pointer and naive calls: without us, disarmed, armed for other calls, for another GPU."""

    def took(calls: int = CALLS, **environment: str | None) -> tuple[float, ...]:
        return tuple(map(float, node.run(program, calls, **environment).split()))

    rounds = []
    for _ in range(ROUNDS):
        direct = took(LD_PRELOAD=None)
        node.arm()
        disarmed = took()
        node.arm(rule("launch"))
        other_class = took(CALLS // 10)
        node.arm(rule("other", gpu=GpuUuid(UUIDS[2])))
        rounds.append((direct, disarmed, other_class, took(CALLS // 10)))

    def more(state: int, way: int) -> float:
        return median(one[state][way] - one[0][way] for one in rounds)

    plain = f"a call takes {median(one[0][1] for one in rounds):.2f} ns"
    yield below("CUDA call, disarmed, through a pointer: more than direct", more(1, 1), 0.6, "ns", plain)
    yield below("CUDA call, disarmed, through the PLT: more than direct", more(1, 0), 0.4, "ns")
    yield below("CUDA call, armed for other calls: more than direct", more(2, 1), 20, "ns")
    yield below("CUDA call, armed for another GPU: more than direct", more(3, 1), 20, "ns")
    naive = median(one[0][2] - one[0][1] for one in rounds)
    yield shown("naive design: more than direct", f"{naive:.3g} ns", "dlsym and fopen in each call")


def _start(node: Node) -> Row:
    def took(preload: str | None) -> float:
        begun = time.perf_counter()
        node.run("/bin/true", LD_PRELOAD=preload)
        return time.perf_counter() - begun

    pairs = [(took(str(node.built.library)), took(None)) for _ in range(101)]
    return below("start of a process: more than without", median(ours - other for ours, other in pairs), 0.001)


def _import(node: Node) -> Row:
    """NVIDIA's own bindings, up to the first calls that reach the driver."""
    clients = CUDA_LIB / "build" / "clients"
    if not (clients / "cuda" / "bindings").exists():
        return not_measured("import of cuda-bindings", "make -C cuda_lib clients installs it")
    code = "from cuda.bindings import driver; driver.cuInit(0); driver.cuDeviceGetCount()"

    def took(preload: str | None) -> float:
        begun = time.perf_counter()
        node.run(sys.executable, "-c", code, PYTHONPATH=str(clients), LD_PRELOAD=preload)
        return time.perf_counter() - begun

    node.arm()
    took(None)  # whoever is first reads from the disk
    pairs = [(took(str(node.built.library)), took(None)) for _ in range(IMPORTS)]
    return against("import of cuda-bindings and first calls, beside without the library", pairs, 1.1)


def _arming(node: Node) -> Iterator[Row]:
    """From writing the control file to the first failing call, at the usual 100 ms between two looks."""
    node.arm()
    steps = "init dev:0 " + "pause until:719 pause until:0 " * ARMINGS
    clients = [node.start(steps, SCENARIO_RUNNER_CUDA_POLL_MS=None) for _ in range(CLIENTS)]
    times = []
    for number in range(ARMINGS):
        for client in clients:
            client.until_paused()
            client.go_on()
        # They have looked when they felt the last one: arm at every moment between two looks, not always at the same.
        time.sleep(0.02 + LOOKS_EVERY * number / ARMINGS)
        begun = time.clock_gettime(time.CLOCK_MONOTONIC)
        node.arm(rule("sync"))
        times += [float(client.until_paused().partition("@")[2]) - begun for client in clients]
        node.arm()
        for client in clients:
            client.go_on()
    remark = f"{len(times)} armings, {CLIENTS} processes at once"
    yield below("live arming to the first failing call, median", median(times), 0.06, remark=remark)
    yield below("live arming to the first failing call, p99", quantiles(times, n=100)[98], 0.12, remark=remark)
