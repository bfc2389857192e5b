"""NVIDIA's own runtime, bindings and headers; the runtime goes as far as it goes with a driver that is not NVIDIA's."""

import csv
import importlib.util
import sys

import pytest

from tests.cuda_lib.conftest import CUDA_LIB
from tests.cuda_lib.node import rule

CLIENTS = CUDA_LIB / "build" / "clients"
HEADERS = ("nvidia/cuda_runtime/include", "nvidia/cu13/include")
RUNTIMES = {12090: "nvidia/cuda_runtime/lib", 13000: "nvidia/cu13/lib"}


@pytest.fixture(scope="module", autouse=True)
def _clients():
    if not (CLIENTS / "installed").exists():
        pytest.skip("NVIDIA's packages are not there; `make -C cuda_lib clients` installs them")


def runtime(version, kind, compiled):
    """The command of a program on that runtime."""
    folder = CLIENTS / RUNTIMES[version]
    if kind == "shared":
        program = compiled("runtime", "runtime.c", flags=("-w", "-ldl"))
        return program, next(folder.glob("libcudart.so.*"))
    libraries = (folder / "libcudart_static.a", *folder.glob("libculibos.a"))
    flags = ("-w", "-DLINKED", *map(str, libraries), "-ldl", "-lrt", "-pthread", "-lstdc++")
    return (compiled(f"runtime-static-{version}", "runtime.c", flags=flags),)


@pytest.mark.parametrize("kind", ["shared", "static"])
@pytest.mark.parametrize("version", RUNTIMES)
def test_runtime(node, compiled, version, kind):
    command = runtime(version, kind, compiled)
    without_us = node.run(*command, LD_PRELOAD=None)
    assert without_us.startswith(f"runtime {version} count=")
    assert node.run(*command) == without_us
    for code in (802, 100, 999, 214, 46):
        node.arm(rule("init", code=code))
        assert node.run(*command) == f"runtime {version} count={code} malloc={code}"


@pytest.mark.parametrize("alias", [None, "1"], ids=["exported addresses", "other addresses"])
@pytest.mark.parametrize("kind", ["shared", "static"])
@pytest.mark.parametrize("version", RUNTIMES)
def test_no_function_escapes_that_a_runtime_looks_up(node, compiled, version, kind, alias):
    spy = compiled("lookup_spy.so", "lookup_spy.c", flags=("-shared", "-fPIC", "-ldl", "-w"))
    environment = {"LD_PRELOAD": f"{spy}:{node.built.library}", "STUB_CUDA_ALIAS": alias}
    told = node.run(*runtime(version, kind, compiled), **environment).rpartition(" malloc=")[2].split(" ", 1)[1]
    escaped, _, rest = told.partition(" of ")
    assert escaped == "0"
    assert int(rest.split()[0]) > 350


def python(node, source, **environment):
    return node.run(sys.executable, "-c", source, PYTHONPATH=str(CLIENTS), **environment)


@pytest.fixture
def _bindings():
    if not (CLIENTS / "cuda" / "bindings").exists():
        pytest.skip("cuda-bindings has no wheel for this Python")


DRIVER = """
from cuda.bindings import driver as d
steps = [d.cuInit(0)[0]]
device = d.cuDeviceGet(0)[1]
code, context = d.cuDevicePrimaryCtxRetain(device)
d.cuCtxSetCurrent(context)
steps += [code, d.cuMemAlloc(4096)[0]]
steps += [d.cuLaunchKernel(8, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0)[0], d.cuStreamSynchronize(0)[0]]
print(*(int(step) for step in steps))
"""


@pytest.mark.usefixtures("_bindings")
def test_cuda_bindings_driver(node):
    assert python(node, DRIVER) == python(node, DRIVER, LD_PRELOAD=None) == "0 0 0 0 0"
    node.arm(rule("alloc launch sync"))
    assert python(node, DRIVER) == "0 0 719 719 719"


@pytest.mark.usefixtures("_bindings")
def test_cuda_bindings_runtime(node):
    """It has a static runtime inside, which is why overriding functions of the runtime misses it."""
    source = "from cuda.bindings import runtime; print(int(runtime.cudaGetDeviceCount()[0]))"
    without_us = python(node, source, LD_PRELOAD=None)
    assert python(node, source) == without_us
    node.arm(rule("init", code=802))
    assert python(node, source) == "802"


NVML = """
import pynvml as n
n.nvmlInit()
def temperature(i):
    try: return n.nvmlDeviceGetTemperature(n.nvmlDeviceGetHandleByIndex(i), 0)
    except n.NVMLError as error: return type(error).__name__
print(*(temperature(i) for i in range(n.nvmlDeviceGetCount())))
"""


def test_pynvml(node):
    assert python(node, NVML) == "40 40 40 40"
    node.arm(rule("nvml", code=0, nvml_code=15, gpu=node.gpu(1)))
    assert python(node, NVML) == "40 NVMLError_GpuIsLost 40 40"


def test_the_committed_facts_are_those_of_the_headers_and_of_the_nvml_bindings(compiler):
    """A newer header that knows more functions fails here; read_headers.py says how to write the facts anew."""
    location = CUDA_LIB / "metadata" / "read_headers.py"
    specification = importlib.util.spec_from_file_location("read_headers", location)
    reader = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(reader)
    with (CUDA_LIB / "metadata" / "functions.csv").open() as file:
        rows = list(csv.reader(file))[1:]
    found = {}
    for include in HEADERS:
        found |= reader.prototypes(CLIENTS / include)
    facts = [reader.driver_row(name, found[name]) for name in sorted(found)]
    facts += [reader.nvml_row(name) for name in sorted(reader.nvml_names(CLIENTS / "pynvml.py"))]
    assert rows == [[str(field) for field in row] for row in facts]
