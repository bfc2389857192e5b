"""Every kind of client that reaches the driver is hit; each test bears the name of its row in the README's table."""

import sys

import pytest

from tests.cuda_lib.conftest import CUDA_LIB, make
from tests.cuda_lib.node import rule

EVERYTHING_FAILS = "init=0 retain=0 alloc=719 copy=719 launch=719 stream_sync=719 sync=719"
NOTHING_FAILS = "init=0 retain=0 alloc=0 copy=0 launch=0 stream_sync=0 sync=0"

CTYPES = """
import ctypes as c
driver = c.CDLL("libcuda.so.1")
context, memory = c.c_void_p(), c.c_uint64()
init, retain = driver.cuInit(0), driver.cuDevicePrimaryCtxRetain(c.byref(context), 0)
driver.cuCtxSetCurrent(context)
alloc = driver.cuMemAlloc_v2(c.byref(memory), c.c_size_t(4096))
copy = driver.cuMemcpyHtoD_v2(memory, b"x", c.c_size_t(1)) if memory.value else alloc
launch = driver.cuLaunchKernel(c.c_void_p(8), 1, 1, 1, 1, 1, 1, 0, None, None, None)
stream_sync, sync = driver.cuStreamSynchronize(None), driver.cuCtxSynchronize()
print(f"{init=} {retain=} {alloc=} {copy=} {launch=} {stream_sync=} {sync=}")
"""


@pytest.fixture(scope="module")
def clients(compiled, built):
    """Row -> command."""
    linked = compiled("linked", "linked.c", flags=(f"-L{built.stub}", "-lcuda"))
    plugin = compiled("plugin.so", "plugin.c", flags=("-shared", "-fPIC", "-ldl"))
    direct = compiled("direct", "direct.c", "plugin.c", flags=("-ldl",))
    deepbind = compiled("deepbind", "deepbind.c", flags=("-ldl",))
    return {
        "linked -lcuda (PLT)": (linked,),
        "dlopen + dlsym": (direct, "dlsym"),
        "dlopen + cuGetProcAddress_v2": (direct, "get-address"),
        "cuGetProcAddress got through itself, ptsz flag": (direct, "get-address-through-itself"),
        "dlopen of an absolute path": (direct, "absolute-path"),
        "dlmopen (new namespace)": (direct, "dlmopen"),
        "RTLD_DEEPBIND plugin, dlsym": (deepbind, plugin, "dlsym"),
        "RTLD_DEEPBIND plugin, cuGetProcAddress": (deepbind, plugin, "get-address"),
        "python ctypes": (sys.executable, "-c", CTYPES),
    }


ROWS = (
    "linked -lcuda (PLT)",
    "dlopen + dlsym",
    "dlopen + cuGetProcAddress_v2",
    "cuGetProcAddress got through itself, ptsz flag",
    "dlopen of an absolute path",
    "dlmopen (new namespace)",
    "RTLD_DEEPBIND plugin, dlsym",
    "RTLD_DEEPBIND plugin, cuGetProcAddress",
    "python ctypes",
)


@pytest.mark.parametrize("row", ROWS)
def test_client(node, clients, row):
    absolute = str(node.built.stub / "libcuda.so.1")
    node.arm(rule("alloc copy launch sync"))
    assert node.run(*clients[row], ABSOLUTE_DRIVER=absolute) == EVERYTHING_FAILS
    assert [hit.fault for hit in node.hits()] == ["f"]
    node.arm()
    assert node.run(*clients[row], ABSOLUTE_DRIVER=absolute) == NOTHING_FAILS


@pytest.mark.parametrize("row", [row for row in ROWS if "Address" in row])
def test_client_of_a_driver_that_hands_out_addresses_that_it_does_not_export(node, clients, row):
    node.arm(rule("alloc copy launch sync"))
    assert node.run(*clients[row], STUB_CUDA_ALIAS="1") == EVERYTHING_FAILS
    node.arm(rule("init", code=802))
    assert node.run(*clients[row], STUB_CUDA_ALIAS="1").startswith("init=802 ")


def test_a_driver_whose_functions_are_asked_for_by_version(node, clients):
    versioned = ("BUILD=build/versioned", "STUB_LINK=-shared -Wl,-Bsymbolic -pthread -Wl,--default-symver")
    make("stub", *versioned)
    environment = {"LD_LIBRARY_PATH": str(CUDA_LIB / "build" / "versioned" / "stub")}
    program, _ = clients["dlopen + dlsym"]
    node.arm(rule("alloc copy launch sync"))
    assert node.run(program, "dlvsym", **environment) == EVERYTHING_FAILS
    node.arm()
    assert node.run(program, "dlvsym", **environment) == NOTHING_FAILS


@pytest.mark.parametrize("how", ["cuda-11-get-address", "cuda-11-get-address-through-itself"])
@pytest.mark.parametrize("alias", [None, "1"], ids=["exported addresses", "other addresses"])
def test_clients_of_cuda_11(node, clients, how, alias):
    program, _ = clients["dlopen + dlsym"]
    node.arm(rule("alloc copy launch sync"))
    assert node.run(program, how, STUB_CUDA_ALIAS=alias) == EVERYTHING_FAILS
    node.arm()
    assert node.run(program, how, STUB_CUDA_ALIAS=alias) == NOTHING_FAILS


@pytest.mark.parametrize("name", ["libcupti.so.13", "libnvperf_host.so", "libcudadebugger.so.1"])
@pytest.mark.parametrize("how", ["dlsym", "get-address"])
def test_what_measures_or_debugs_the_driver_gets_it_as_it_is(node, clients, compiled, name, how):
    program, *_ = clients["RTLD_DEEPBIND plugin, dlsym"]
    tool = compiled(name, "plugin.c", flags=("-shared", "-fPIC", "-ldl"))
    node.arm(rule("alloc copy launch sync"))
    assert node.run(program, tool, how) == NOTHING_FAILS


def test_the_readme_lists_the_same_clients():
    table = (CUDA_LIB / "README.md").read_text().replace("`", "").splitlines()
    assert [line.split(" | ")[0].removeprefix("| ") for line in table if " | yes" in line] == list(ROWS)


def test_a_plugin_may_keep_rtld_deepbind_and_is_missed_then(node, clients):
    node.arm(rule("alloc copy launch sync"))
    command = clients["RTLD_DEEPBIND plugin, dlsym"]
    assert node.run(*command, SCENARIO_RUNNER_CUDA_DEEPBIND="keep") == NOTHING_FAILS
