"""What must hold for the file that is built, on whatever machine it is built."""

import csv
import subprocess
import sys

import pytest

from scenario_runner.core.ports import CudaLibrary
from tests.cuda_lib.conftest import CUDA_LIB
from tests.cuda_lib.node import rule
from tests.steps.running import carry_out, outcome

# All of these are in glibc 2.31 and in musl under the same names. `stat` and `fstat`, for example, are not.
KNOWN_EVERYWHERE = {
    "__errno_location",
    "clock_gettime",
    "close",
    "dl_iterate_phdr",
    "getauxval",
    "getenv",
    "getpid",
    "madvise",
    "memchr",
    "memcmp",
    "memcpy",
    "memset",
    "mmap",
    "nanosleep",
    "open",
    "prctl",
    "pread",
    "pwrite",
    "read",
    "readlink",
    "sched_yield",
    "sigfillset",
    "sigprocmask",
    "snprintf",
    "strchr",
    "strcmp",
    "strlen",
    "strncmp",
    "strrchr",
    "write",
}


def symbols(library, kind):
    done = subprocess.run(["nm", "-D", f"--{kind}-only", str(library)], capture_output=True, text=True, check=True)
    return {line.split()[-1] for line in done.stdout.splitlines()}


def functions():
    with (CUDA_LIB / "metadata" / "functions.csv").open() as file:
        return {row["name"] for row in csv.DictReader(file)}


def test_the_library_needs_no_library_and_no_version_of_one(built):
    dynamic = subprocess.run(["readelf", "-dV", str(built.library)], capture_output=True, text=True, check=True).stdout
    assert "NEEDED" not in dynamic
    assert "No version information found" in dynamic
    assert symbols(built.library, "undefined") <= KNOWN_EVERYWHERE


def test_the_library_fits_a_config_map(built, world):
    world.library = lambda machine: CudaLibrary(built.library.read_bytes(), machine)
    report = carry_out(world, "- patch_cuda: worker\n  id: library\n")
    assert outcome(report, "library") == ("passed", "deployment/vllm-decode carries the library; 3 pods are ready")


def test_the_library_exports_every_function_of_the_driver_and_the_loader_functions_it_takes_over(built):
    assert symbols(built.library, "defined") == functions() | {"dlsym", "dlvsym", "dlopen"}


def test_the_stand_in_driver_exports_every_function_of_the_driver(built):
    names = functions()
    assert symbols(built.stub / "libcuda.so.1", "defined") >= {name for name in names if name.startswith("cu")}
    assert symbols(built.stub / "libnvidia-ml.so.1", "defined") >= {name for name in names if name.startswith("nvml")}


ASK_FOR_EVERYTHING = """
import csv, ctypes as c, sys
driver = c.CDLL("libcuda.so.1")
ours = [line.split()[0].split("-") for line in open("/proc/self/maps") if "libscenario_cuda" in line]
ranges = [(int(low, 16), int(high, 16)) for low, high in ours]
asked = escaped = 0
for row in csv.DictReader(open(sys.argv[1])):
    for flags in (1, 2):
        found = c.c_void_p()
        ask, version, status = (driver.cuGetProcAddress, 11080, ()) if sys.argv[2] == "11" else (
            driver.cuGetProcAddress_v2, 13000, (None,))
        code = ask(row["asked"].encode(), c.byref(found), version, c.c_uint64(flags), *status)
        if code == 0:
            asked += 1
            escaped += not any(low <= found.value < high for low, high in ranges)
print(f"{escaped} of {asked} escaped")
"""


@pytest.mark.parametrize("alias", [None, "1"], ids=["exported addresses", "other addresses"])
@pytest.mark.parametrize(("cuda", "since"), [("13", 13000), ("11", 11080)])
def test_no_function_escapes_that_the_driver_hands_out(node, alias, cuda, since):
    with (CUDA_LIB / "metadata" / "versions.csv").open() as file:
        names = {row["asked"] for row in csv.DictReader(file) if int(row["since"]) <= since}
    command = (sys.executable, "-c", ASK_FOR_EVERYTHING, CUDA_LIB / "metadata" / "versions.csv", cuda)
    escaped, _, rest = node.run(*command, STUB_CUDA_ALIAS=alias).partition(" of ")
    assert escaped == "0"
    assert int(rest.split()[0]) >= 2 * len(names)


def test_a_library_with_nothing_to_do_asks_the_driver_nothing(node, tmp_path):
    steps = (
        "init count dev:0 stream alloc copy launch sync capture launch-on-stream end-capture meminfo free dev:1 sync"
    )
    logs = []
    for number, preload in enumerate((None, str(node.built.library), str(node.built.library))):
        log = tmp_path / f"calls{number}"
        if number == 2:
            node.arm()
        command = f'exec 9>"{log}"; exec "{node.steps}" {steps}'
        node.run("/bin/sh", "-c", command, LD_PRELOAD=preload, STUB_CUDA_LOG_FD="9")
        logs.append(log.read_text())
    assert logs[0].count("\n") > 15
    assert logs[1] == logs[0]
    assert logs[2] == logs[0]


def test_an_armed_library_whose_rules_do_not_match_fails_nothing(node):
    steps = "init count dev:0 stream alloc copy launch sync free"
    expected = node.do(steps, LD_PRELOAD=None)
    node.arm(rule("alloc copy launch sync free stream", process="other"), rule("peer", part=1))
    assert node.do(steps) == expected
    assert node.hits() == []
