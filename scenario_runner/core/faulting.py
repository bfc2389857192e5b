"""Since when a step looks back: the newest fault, or the one that it names."""

import re
from zlib import crc32

from scenario_runner.core.faults import Fault
from scenario_runner.core.step import Run
from scenario_runner.errors import StepBroken

ALWAYS = float("-inf")
_UNFIT = re.compile(r"[^a-z0-9.-]")
_LONGEST_NAME = 100


def newest_fault(run: Run, node: str) -> Fault | None:
    """
    The newest fault of a node; of the run, when that node has none.

    CUDA faults count only where there is no other: the platform reacts to what the kernel's log tells, and may have
    done so before CUDA was armed.
    """
    faults = sorted(run.faults, key=lambda fault: fault.at)
    faults = [fault for fault in faults if not fault.cuda] or faults
    own = [fault for fault in faults if fault.node == node]
    chosen = own or faults
    return chosen[-1] if chosen else None


def since(run: Run, node: str, step_id: str | None) -> float:
    """
    Seconds on the run's clock from which on a node is looked at; ALWAYS when there was no fault.

    `step_id` names the `inject_xid` to start from; StepBroken when that step injected nothing.
    """
    if step_id is None:
        fault = newest_fault(run, node)
        return ALWAYS if fault is None else run.started(fault)
    named = [fault for fault in run.faults if fault.step_id == step_id]
    if not named:
        raise StepBroken(f"{step_id} has injected no fault yet")
    return min(map(run.started, [fault for fault in named if fault.node == node] or named))


def fault_name(run_id: str, step_id: str) -> str:
    """The name of a step's fault: the same each time, another for each step, and fit for an Idempotency-Key."""
    whole = f"{run_id}.{step_id}"
    fit = _UNFIT.sub("-", whole.lower()).lstrip(".-")[:_LONGEST_NAME]
    return fit if fit == whole else f"{fit[: _LONGEST_NAME - 9]}-{crc32(whole.encode()):08x}"
