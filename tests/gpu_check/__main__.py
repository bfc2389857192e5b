"""
`make gpu-check [CLIENTS=PYTHON]`: checks the CUDA library on this machine's GPU, prints a table and keeps it.

The clients (PyTorch, CuPy, Triton, JAX) are those that PYTHON has installed; what it has not is not run and said so.
The table goes to cuda_lib/results/. Takes five to eight minutes with all clients.
"""

import argparse
import ctypes
import datetime
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from cuda_lib.build import CannotBuild, build
from tests.cuda_lib.conftest import CUDA_LIB
from tests.cuda_lib.node import Built, Node
from tests.gpu_check import clients, driver
from tests.gpu_check.machine import Machine
from tests.gpu_check.rows import Row, records, row, table

RESULTS = CUDA_LIB / "results"
_NO_DRIVER = (
    "There is no NVIDIA driver on this machine (libcuda.so.1 can not be loaded): run this where a GPU is, or give"
    " --driver FOLDER for another libcuda."
)


def main(arguments: list[str]) -> int:
    """0 if nothing failed, 1 if a check did, 2 with one sentence where there is no driver or no compiler."""
    wanted = _parsed(arguments)
    where = wanted.driver / "libcuda.so.1" if wanted.driver else loaded_driver()
    if where is None or not where.exists():
        print(_NO_DRIVER, file=sys.stderr)
        return 2
    try:
        library = build()
    except CannotBuild as error:
        print(error, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        node = Node(Built(library, where.parent), Path(folder), Path())
        machine = Machine(node, wanted.python, wanted.driver)
        rows = list(_rows(machine, where))
        gpu = machine.run("gpu", library=False).calls
    text = f"{gpu.get('name', 'unknown GPU')}, CUDA driver {gpu.get('driver', 'unknown')}\n\n{table(rows)}"
    print(text)
    _keep(wanted.results, gpu, rows, text)
    return int(any(one.verdict == "FAIL" for one in rows))


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.gpu_check", description=__doc__)
    parser.add_argument("--python", default="python3", help="runs the clients")
    parser.add_argument("--driver", type=Path, help="a folder with another libcuda.so.1, e.g. the stand-in driver")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the table is kept")
    return parser.parse_args(arguments)


def _rows(machine: Machine, libcuda: Path) -> Iterator[Row]:
    for part in (partial(driver.addresses, driver=libcuda), driver.calibration, *clients.ALL):
        try:
            for one in part(machine):
                print(f"{one.verdict}: {one.check}", file=sys.stderr, flush=True)
                yield one
        except Exception as error:  # noqa: BLE001 - the other checks are still worth their time on a GPU
            yield row(f"{part}", False, repr(error))


def loaded_driver() -> Path | None:
    """The file that the dynamic linker takes for libcuda.so.1."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    return next((Path(line.split()[-1]) for line in maps.splitlines() if "/libcuda.so" in line), None)


def _keep(folder: Path, gpu: dict[str, str], rows: list[Row], text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^a-z0-9]+", "-", gpu.get("name", "unknown").lower()).strip("-")
    stem = folder / f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}-{name}"
    stem.with_suffix(".md").write_text(text, encoding="utf-8")
    kept = {"gpu": gpu, "rows": records(rows)}
    stem.with_suffix(".json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print(f"kept as {stem}.md and .json")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
