"""The C part under the compiler's sanitizers: threads ask for decisions while faults come and go."""

import subprocess

import pytest

from fault_agent.cuda_control import GpuOrdinal, GpuUuid, Mode
from tests.cuda_lib.conftest import CUDA_LIB, SOURCES
from tests.cuda_lib.node import later, rule

# without the assembly, and without the file that only serves it
LEFT_OUT = {"lookups.c"}
ANSWERS = 3_000  # per thread


@pytest.fixture(scope="module", params=["address,undefined", "thread"])
def engine(request, compiled, built):
    """`built` has made the generated headers."""
    try:
        compiled(f"hello-{request.param}", "hello.c", flags=(f"-fsanitize={request.param}",))
    except subprocess.CalledProcessError:
        pytest.skip(f"this compiler has no sanitizer for {request.param}")
    sources = [path.name for path in sorted(SOURCES.glob("*.c")) if path.name not in LEFT_OUT]
    flags = (
        f"-fsanitize={request.param}",
        "-fno-sanitize-recover=all",
        "-D_GNU_SOURCE",
        f"-I{CUDA_LIB / 'build' / 'generated'}",
        "-pthread",
        "-w",
    )
    name = "engine-" + request.param.partition(",")[0]
    return compiled(name, "engine.c", library_sources=sources, flags=flags)


def rules(turn):
    """Every mode, told apart by time: what is armed differs from turn to turn, the names do not."""
    return [
        rule("sync", gpu=GpuOrdinal(1), probability=0.5),
        rule("launch", Mode.DELAY, code=0, part=1, delay_ns=1),
        rule("alloc", Mode.OOM, 2, part=2, free_bytes=1, gpu=GpuUuid("GPU-01010101-0101-0101-0101-010101010101")),
        rule("copy", Mode.HANG, code=0, part=3, delay_ns=1),
        rule("nvml", code=0, nvml_code=15, part=4, gpu=GpuUuid("GPU-00000001-0000-0000-0000-000000000000")),
        rule("sync", Mode.STICKY, 700, part=5, after_calls=30_000),
        rule("query", part=6, expires_at_ns=later(-1 if turn % 2 else 60)),
    ][turn % 3 :]


def test_threads_under_changing_rules(node, engine):
    node.arm(*rules(0))
    environment = node.environment(
        LD_PRELOAD=None,
        LD_LIBRARY_PATH=None,
        ASAN_OPTIONS="detect_leaks=1:abort_on_error=0",
        TSAN_OPTIONS="halt_on_error=1",
        SCENARIO_RUNNER_CUDA_POLL_MS="5",
    )
    process = subprocess.Popen(
        [engine, "threads", str(ANSWERS)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    turn = 0
    while process.poll() is None:
        turn += 1
        node.arm(*(rules(turn) if turn % 4 else []))
    out, _ = process.communicate()
    assert (process.returncode, out) == (0, f"{4 * ANSWERS} calls were answered\n")
    assert {hit.fault for hit in node.hits()} == {"f"}


def test_files_that_are_none(node, engine):
    node.arm(*rules(0))
    assert node.run(engine, "damaged", node.control, LD_PRELOAD=None, LD_LIBRARY_PATH=None) == ""
