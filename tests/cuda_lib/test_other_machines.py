"""Other C libraries and processors: under musl nothing may happen, on (emulated) aarch64 the same must."""

import shutil
import subprocess

import pytest

from fault_agent.cuda_control import GpuOrdinal, Mode
from tests.cuda_lib.conftest import CUDA_LIB, make
from tests.cuda_lib.node import Built, Node, rule

EVERYTHING_FAILS = "init=0 retain=0 alloc=719 copy=719 launch=719 stream_sync=719 sync=719"


def tool(name, package):
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name} (Debian: {package})")
    return found


@pytest.mark.parametrize(("name", "source"), [("hello-musl", "hello.c"), ("probe-musl", "probe.c")])
def test_programs_that_use_musl_run_as_ever(node, compiled, name, source):
    program = compiled(name, source, compiler=tool("musl-gcc", "musl-tools"), flags=("-w",))
    node.arm(rule("init sync"))
    assert node.run(program) == node.run(program, LD_PRELOAD=None)


def test_static_programs_run_as_ever(node, compiled):
    try:
        program = compiled("hello-static", "hello.c", flags=("-static",))
    except subprocess.CalledProcessError:
        pytest.skip("there is no static C library")
    assert node.run(program) == "hello"


class EmulatedNode(Node):
    """Runs its programs on an emulated processor; only they get the library, the emulator itself does not."""

    def run(self, *command, code=0, **environment):
        variables = self.environment(**environment)
        given = [part for name, value in variables.items() if name != "PATH" for part in ("-E", f"{name}={value}")]
        emulator = (tool("qemu-aarch64", "qemu-user"), "-L", "/usr/aarch64-linux-gnu")
        return super().run(*emulator, *given, *command, code=code, LD_PRELOAD=None, LD_LIBRARY_PATH=None)


@pytest.fixture(scope="module")
def cross_compiler():
    tool("qemu-aarch64", "qemu-user")
    return tool("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu")


@pytest.fixture(scope="module")
def cross_built(cross_compiler):
    make(f"CC={cross_compiler}", "BUILD=build/aarch64")
    folder = CUDA_LIB / "build" / "aarch64"
    return Built(folder / "libscenario_cuda.so", folder / "stub")


@pytest.fixture
def arm(tmp_path, compiled, cross_compiler, cross_built):
    """A node with an aarch64 processor."""
    steps = compiled("steps-aarch64", "steps.c", compiler=cross_compiler, flags=("-w", "-pthread", "-ldl"))
    return EmulatedNode(cross_built, tmp_path, steps)


@pytest.mark.parametrize("how", ["dlsym", "get-address", "get-address-through-itself", "absolute-path", "dlmopen"])
def test_clients_on_aarch64(arm, compiled, cross_compiler, how):
    program = compiled("direct-aarch64", "direct.c", "plugin.c", compiler=cross_compiler, flags=("-ldl",))
    arm.arm(rule("alloc copy launch sync"))
    assert arm.run(program, how, ABSOLUTE_DRIVER=str(arm.built.stub / "libcuda.so.1")) == EVERYTHING_FAILS


@pytest.mark.parametrize("how", ["get-address", "get-address-through-itself", "cuda-11-get-address-through-itself"])
def test_functions_that_need_a_spare_stub_on_aarch64(arm, compiled, cross_compiler, how):
    program = compiled("direct-aarch64", "direct.c", "plugin.c", compiler=cross_compiler, flags=("-ldl",))
    arm.arm(rule("alloc copy launch sync"))
    assert arm.run(program, how, STUB_CUDA_ALIAS="1") == EVERYTHING_FAILS


def test_forked_children_count_for_themselves_on_aarch64(arm):
    arm.arm(rule("launch", after_calls=1, max_hits=1))
    assert arm.do("init dev:0 launch launch child:3 launch") == (
        "init=0 dev:0=0 launch=0 launch=719 child:3=0,719,0 launch=0"
    )
    assert sorted((hit.calls, hit.hits) for hit in arm.hits()) == [(3, 1), (3, 1)]


def test_nvml_on_aarch64(arm, compiled, cross_compiler):
    program = compiled("nvml-aarch64", "nvml.c", compiler=cross_compiler, flags=("-w", "-ldl"))
    arm.arm(rule("nvml", code=0, nvml_code=15, gpu=arm.gpu(1)))
    told = arm.run(program).split(" | ")[1:]
    assert [one.split()[2] for one in told] == [f"temperature={15 if gpu == 1 else 0}" for gpu in range(4)]


def test_linked_and_deepbind_clients_on_aarch64(arm, compiled, cross_compiler):
    linked = compiled("linked-aarch64", "linked.c", compiler=cross_compiler, flags=(f"-L{arm.built.stub}", "-lcuda"))
    shared = ("-shared", "-fPIC", "-ldl")
    plugin = compiled("plugin-aarch64.so", "plugin.c", compiler=cross_compiler, flags=shared)
    deepbind = compiled("deepbind-aarch64", "deepbind.c", compiler=cross_compiler, flags=("-ldl",))
    arm.arm(rule("alloc copy launch sync"))
    assert arm.run(linked) == EVERYTHING_FAILS
    assert arm.run(deepbind, plugin, "dlsym") == EVERYTHING_FAILS
    assert arm.run(deepbind, plugin, "get-address") == EVERYTHING_FAILS


def test_arguments_on_the_stack_and_modes_on_aarch64(arm):
    arm.arm(rule("launch", Mode.STICKY, 700, gpu=GpuOrdinal(1), after_calls=1))
    steps = "init dev:1 stream capture launch-on-stream launch-on-stream end-capture dev:0 launch-on-stream launch "
    assert arm.do(steps + "launch-on-stream launch dev:1 sync") == (
        "init=0 dev:1=0 stream=0 capture=0 launch-on-stream=0 launch-on-stream=0 end-capture=0 dev:0=0 "
        "launch-on-stream=0 launch=0 launch-on-stream=700 launch=0 dev:1=0 sync=700"
    )
    arm.arm(rule("sync", gpu=GpuOrdinal(1)))
    assert arm.do("init dev:0 threads:1000") == "init=0 dev:0=0 threads:1000=2000 of 4000"


def test_rtld_next_on_aarch64(arm, compiled, cross_compiler):
    hello = compiled("hello-aarch64", "hello.c", compiler=cross_compiler)
    shared = ("-shared", "-fPIC", "-ldl", "-w")
    outer = compiled("outer-aarch64.so", "next_puts.c", compiler=cross_compiler, flags=(*shared, '-DWHO="outer"'))
    assert arm.run(hello, LD_PRELOAD=f"{arm.built.library}:{outer}") == "outer hello"
