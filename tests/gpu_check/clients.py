"""Checks with real clients: nothing changes while nothing is armed, and each is hit while it runs."""

from collections.abc import Iterator

from fault_agent.cuda_control import GpuUuid, Mode
from tests.cuda_lib.conftest import CUDA_LIB
from tests.cuda_lib.node import rule
from tests.gpu_check.machine import Answers, Machine
from tests.gpu_check.rows import Row, not_run, row

CLIENTS = (
    "driver_client",
    "torch_client",
    "cupy_client",
    "triton_client",
    "jax_client",
    "graph_client",
    "segments_client",
)
_CODES = ((719, ("719", "launch fail", "LAUNCH_FAILED")), (214, ("214", "ECC")))
_EVERYTHING = "alloc copy launch sync"
_OUR_CLIENTS = {"PYTHONPATH": str(CUDA_LIB / "build" / "clients")}  # pynvml, where `make -C cuda_lib clients` was run
_NOBODY = GpuUuid("GPU-00000000-0000-0000-0000-000000000001")


def nothing_armed(machine: Machine) -> Iterator[Row]:
    """Launches cost the same and compute the same."""
    turns = [machine.run("launch_time", library=library) for library in (False, True, False, True)]
    if turns[0].missing or any(turn.broken for turn in turns):
        yield not_run("nothing armed: time of a launch", turns[0].why_not or "; ".join(map(str, turns)))
        return
    times = [int(turn.calls["ns"]) for turn in turns]
    seen = f"{times[0]} and {times[2]} ns without, {times[1]} and {times[3]} ns with the library"
    yield row("nothing armed: time of a launch, within 2 %", min(times[1::2]) < 1.02 * max(times[0::2]), seen)
    sums = {turn.calls["sum"] for turn in turns}
    yield row("nothing armed: results are the same", len(sums) == 1, ", ".join(sorted(sums)))


def armed_live(machine: Machine) -> Iterator[Row]:
    """Every way into the driver, armed while the client is warm."""
    for client in CLIENTS:
        for code, words in _CODES:
            check = f"live: {client.removesuffix('_client')} answers {code}"
            answers, hits = machine.live(client, rule(_EVERYTHING, Mode.STICKY, code, fault=f"live-{code}"))
            if answers.missing:
                yield not_run(check, answers.why_not)
                break
            named = any(word.lower() in str(answers).lower() for word in words)
            recorded = any(hit.fault == f"live-{code}" for hit in hits)
            yield row(check, named and recorded and answers.calls.get("kernel") != "ok", answers)


def out_of_memory(machine: Machine) -> Iterator[Row]:
    """An allocation fails, and that is all that does."""
    for client in ("driver_client", "torch_client", "segments_client"):
        check = f"out of memory: {client.removesuffix('_client')}, and kernels go on"
        answers, _ = machine.live(client, rule("alloc", Mode.OOM, 2, min_bytes=1_000_000))
        refused = "memory" in answers.calls.get("alloc", "").lower()
        yield _row(check, answers, refused and answers.calls.get("kernel") == "ok")


def slow_and_stuck(machine: Machine) -> Iterator[Row]:
    healthy, _ = machine.live("wait_client")
    slow, _ = machine.live("wait_client", rule("sync", Mode.DELAY, 0, delay_ns=5_000_000))
    took = [float(answers.calls.get("ms", "nan")) for answers in (healthy, slow)]
    seen = f"100 waits take {took[0]} ms, then {took[1]} ms"
    yield _row("delay: 5 ms for each wait", slow, took[1] - took[0] >= 500, seen)
    stuck, hits = machine.live("wait_client", rule("sync", Mode.HANG, 0, max_hits=1), hold=3)
    waited = float(stuck.calls.get("ms", "nan"))
    seen = f"100 waits take {waited} ms"
    yield _row("hang: released when it is taken back after 3 s", stuck, bool(hits) and waited > 2000, seen)


def monitoring(machine: Machine) -> Iterator[Row]:
    answers, _ = machine.run_armed("nvml_client", rule("nvml", code=0, nvml_code=15), **_OUR_CLIENTS)
    yield _row("NVML: the GPU is lost", answers, "GpuIsLost" in answers.calls.get("memory", ""))


def targeting(machine: Machine) -> Iterator[Row]:
    """The GPU that was named, by its UUID, and no other."""
    name = machine.run("nvml_client", library=False, **_OUR_CLIENTS)
    if "uuid" not in name.calls:
        yield not_run("UUID", name.why_not or str(name))
        return
    ours = name.calls["uuid"]
    for words, gpu, healthy in (("its own", GpuUuid(ours), False), ("another's", _NOBODY, True)):
        answers, _ = machine.live("driver_client", rule(_EVERYTHING, code=719, gpu=gpu))
        yield _row(f"UUID: {words}", answers, (answers.calls.get("kernel") == "ok") is healthy)
    shown = {"CUDA_VISIBLE_DEVICES": ours}
    answers, _ = machine.run_armed("available", rule("launch", code=719, gpu=GpuUuid(ours)), **shown)
    yield _row("UUID: CUDA_VISIBLE_DEVICES by UUID", answers, answers.calls.get("available") == "True")
    answers, _ = machine.run_armed("available", rule("init", code=100))
    yield _row("start: cuInit answers 100, PyTorch finds no GPU", answers, answers.calls.get("available") == "False")


def tools(machine: Machine) -> Iterator[Row]:
    machine.node.arm()
    answers = machine.run("profiler")
    kernels = int(answers.calls.get("kernels", "0"))
    yield _row("tools: PyTorch's profiler sees kernels through the library", answers, kernels > 0)


ALL = (nothing_armed, armed_live, out_of_memory, slow_and_stuck, monitoring, targeting, tools)


def _row(check: str, answers: Answers, passed: bool, seen: str = "") -> Row:
    if answers.missing:
        return not_run(check, answers.why_not)
    return row(check, passed and not answers.broken, seen if seen and not answers.broken else answers)
