"""Checks that need the driver alone: which addresses it hands out, and what it answers after a fault."""

import csv
import subprocess
from collections.abc import Iterator
from pathlib import Path

from fault_agent.cuda_control import Mode
from tests.cuda_lib.node import rule
from tests.gpu_check.machine import Machine
from tests.gpu_check.rows import Row, not_run, row

_KNOWN = Path(__file__).parents[2] / "cuda_lib" / "metadata" / "functions.csv"
_REAL_FAULTS = (("illegal", 700), ("trap", 719))  # a kernel, and what the driver is said to answer after it


def addresses(machine: Machine, driver: Path) -> Iterator[Row]:
    """Of every exported name: static stubs serve where they are the same, spare ones elsewhere."""
    names = _exported(driver)
    seen = machine.run("exported", ",".join(names), library=False)
    counted = sum(int(seen.calls.get(kind, 0)) for kind in ("same", "other", "none"))
    yield row(f"{len(names)} exported names against cuGetProcAddress", counted == len(names) > 0, seen)
    with _KNOWN.open(encoding="ascii") as file:
        known = {line["name"] for line in csv.DictReader(file)}
    unknown = [name for name in names if name not in known]
    yield row("names that the library has no metadata of", True, f"{len(unknown)}: {', '.join(unknown[:20])}")


def calibration(machine: Machine) -> Iterator[Row]:
    """A real fault of the GPU, then the injected one: every call that answers differently is a line to correct."""
    for kernel, code in _REAL_FAULTS:
        real = machine.run("after_a_fault", kernel, library=False)
        check = f"calibration: a kernel that fails for real ({kernel})"
        if real.broken:
            yield not_run(check, str(real))
            continue
        yield row(check, real.calls["first wait"] == str(code), real)
        if real.calls["first wait"] == "0":
            continue
        machine.node.arm(rule("launch", Mode.ASYNC, code, max_hits=1))
        injected = machine.run("after_a_fault", "fine")
        machine.node.arm()
        differing = [
            f"{call}: real {real.calls[call]}, injected {injected.calls.get(call)}"
            for call in real.calls
            if real.calls[call] != injected.calls.get(call)
        ]
        seen = "; ".join(differing) or f"all {len(real.calls)} calls answer alike"
        yield row(f"calibration: injected {code} answers as the real fault does", not differing, seen)


def _exported(driver: Path) -> list[str]:
    symbols = subprocess.run(
        ["nm", "-D", "--defined-only", str(driver)], capture_output=True, text=True, check=True
    ).stdout
    words = (line.split()[-1].partition("@")[0] for line in symbols.splitlines() if " T " in line)
    return sorted({word for word in words if word.startswith("cu") and word[2:3].isupper()})
