"""One report that has something of everything, for the tests of the writers."""

from datetime import UTC, datetime

from scenario_runner.core.cuda import ProcessHits
from scenario_runner.core.faults import KernelRecord
from scenario_runner.core.observations import Observation
from scenario_runner.core.outcome import Outcome, Phase, Role, Status
from scenario_runner.core.report import (
    FaultSummary,
    LoadSummary,
    PhaseTime,
    PlanSummary,
    Report,
    UndoSummary,
    Verdict,
)

STARTED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)

PLAN = PlanSummary(
    scenario="xid79",
    description="A GPU drops off the bus.",
    file="scenarios/xid79.yaml",
    digest="ab" * 32,
    tags=("gpu",),
    control=False,
    variables={"calm": "3s"},
    targets={"victim": "gpu-1, GPU 0"},
    changes=("gpu-1: a kernel log line with XID 79 for GPU 0",),
    undo_budget=300.0,
    worst_case=600.0,
    seed=7,
)


def outcome(number: str, kind: str, role: Role, status: Status, summary: str, **more) -> Outcome:
    values = {"phase": Phase.STEPS, "started": STARTED, "offset": 1.0, "seconds": 2.5, "timeout": 60.0, "line": 9}
    return Outcome(
        number,
        f"{number}-{kind}",
        kind,
        more.pop("name", kind),
        role,
        status=status,
        summary=summary,
        **{**values, **more},
    )


OUTCOMES = (
    outcome("01", "send_requests", Role.LOAD, Status.PASSED, "5/s are being sent", numbers={"requests": 15}),
    outcome("02", "inject_xid", Role.FAULT, Status.PASSED, "XID 79 on gpu-1", lost_attempts=("first try: no answer",)),
    outcome(
        "03",
        "assert_success",
        Role.ASSERTION,
        Status.FAILED,
        "0.41 of 100 | at least 0.7\nsecond line",
        attachments=("evidence/03-pods.txt",),
    ),
    outcome("04", "wait_for_node", Role.WAIT, Status.SKIPPED, "step 03 did not pass"),
    outcome("05", "collect", Role.ACTION, Status.BROKEN, "a bug \x1b[31mhere\x1b[0m\x00", trace="Traceback ...\n<x>"),
    outcome("undo 01", "recover_fault", Role.UNDO, Status.PASSED, "taken back", phase=Phase.UNDO, seconds=0.25),
)

REPORT = Report(
    run_id="20260304-050607-xid79-abcd",
    backend="lab default",
    started=STARTED,
    seconds=12.3456,
    plan=PLAN,
    verdict=Verdict(Status.FAILED, 1, "03 assert_success: 0.41 of 100, expected at least 0.7"),
    outcomes=OUTCOMES,
    loads=(
        LoadSummary("01-send_requests", 100, 41, 0.41, 0.02, 0.5, 1.5, 2.0, 0.2, 0.03, 0.04, {"timed out": 59}, 0.0),
    ),
    faults=(
        FaultSummary(
            "gpu-1~x",
            "02-inject_xid",
            79,
            "gpu-1",
            "0 (GPU-1)",
            "noticed",
            KernelRecord("real", 42, "NVRM"),
            4.0,
            9.0,
            "taken back",
        ),
        FaultSummary(
            "gpu-1~y",
            "03-arm_cuda",
            79,
            "gpu-1",
            "0 (GPU-1)",
            "hit",
            None,
            4.5,
            9.0,
            "taken back",
            "gpu-lost",
            (
                ProcessHits(
                    "gpu-1",
                    7,
                    "vllm",
                    "dynamo/worker-1",
                    "main",
                    False,
                    "GPU-1",
                    3,
                    719,
                    "cuLaunchKernel",
                    "2026-03-04T05:06:12.100Z",
                ),
                ProcessHits(
                    "gpu-1",
                    9,
                    "check",
                    "dynamo/worker-1",
                    "main",
                    True,
                    "GPU-1",
                    1,
                    719,
                    "cuCtxSynchronize",
                    "2026-03-04T05:06:13.100Z",
                ),
            ),
            "2026-03-04T05:06:11.980Z",
        ),
    ),
    phases=(PhaseTime("cordoned", "gpu-1", 1.25, 120.0), PhaseTime("drained", "gpu-1", None, 300.0)),
    undo=(UndoSummary(1, "XID 79 on gpu-1", "02-inject_xid", "kept", "recovered", 0.2),),
    observations=(Observation(5.0, STARTED, "node", "gpu-1", "schedulable", "false", "true"),),
    residue=("gpu-1: record 42 stays in the kernel's ring",),
    notes=("a listener broke: disk full",),
    version="0.1.0",
    host="runner-1",
)
