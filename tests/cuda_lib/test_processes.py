"""Threads, forks, crashes, other preloaded libraries, and who is told about hits."""

import os
import signal
from pathlib import Path

import pytest

from fault_agent import cuda_hits
from fault_agent.cuda_control import GpuOrdinal, Mode
from tests.cuda_lib.node import UUIDS, later, rule


def test_four_threads_half_of_them_on_the_gpu_fail_in_exactly_half_of_their_calls(node):
    node.arm(rule("sync", gpu=GpuOrdinal(1)))
    assert node.do("init dev:0 threads:100000") == "init=0 dev:0=0 threads:100000=200000 of 400000"
    assert [(hit.calls, hit.hits) for hit in node.hits()] == [(200_000, 200_000)]


def test_limits_are_exact_among_threads(node):
    node.arm(rule("sync", after_calls=1000, max_hits=12_345))
    assert node.do("init dev:0 threads:10000") == "init=0 dev:0=0 threads:10000=12345 of 40000"


def test_a_forked_child_is_hit_and_counts_for_itself(node):
    node.arm(rule("launch"))
    answers = node.do("init dev:0 launch launch child child")
    assert answers == "init=0 dev:0=0 launch=719 launch=719 child=719 child=719"
    parent, *children = node.records()
    assert counts(parent) == [(2, 2)]
    assert [(child.parent_pid, counts(child)) for child in children] == [(parent.pid, [(1, 1)])] * 2


def counts(record):
    return [(hit.calls, hit.hits) for hit in record.hits]


@pytest.mark.parametrize(
    ("limit", "parent", "child"),
    [
        ({"after_calls": 2}, "0 0 719", "0,0,719,719"),
        ({"max_hits": 2}, "719 719 0", "719,719,0,0"),
        ({"after_calls": 1, "max_hits": 1}, "0 719 0", "0,719,0,0"),
    ],
    ids=str,
)
@pytest.mark.parametrize("calls", [3, 0], ids=["after its parent", "before its parent"])
def test_a_forked_child_counts_its_calls_towards_limits_from_zero(node, limit, parent, child, calls):
    node.arm(rule("launch", **limit))
    steps = ["launch"] * calls + ["child:4"] + ["launch"] * (3 - calls)
    answers = [f"launch={code}" for code in parent.split()]
    expected = [*answers[:calls], f"child:4={child}", *answers[calls:]]
    assert node.do(" ".join(["init dev:0", *steps])) == " ".join(["init=0 dev:0=0", *expected])
    assert sorted(counts(record) for record in node.records()) == [
        [(3, parent.count("719"))],
        [(4, child.count("719"))],
    ]


def test_a_forked_child_does_not_tell_of_its_parents_hits(node):
    node.arm(rule("sync"))
    node.do("init dev:0 syncs:20 child child syncs:20", SCENARIO_RUNNER_CUDA_POLL_MS="10000")
    (record,) = node.records()
    assert counts(record) == [(40, 40)]


def test_a_forked_child_that_starts_cuda_is_armed_and_disarmed_while_it_runs(node):
    client = node.start("fork init dev:0 pause until:719 pause until:0")
    assert client.until_paused() == "init=0 dev:0=0"
    node.arm(rule("sync"))
    client.go_on()
    assert client.until_paused().startswith("until:719=719@")
    node.arm()
    client.go_on()
    assert client.finish().startswith("until:0=0@")


def test_a_forked_child_that_starts_cuda_again_has_a_watcher_of_its_own(node):
    client = node.start("init dev:0 fork sync init pause until:719")
    assert client.until_paused() == "init=0 dev:0=0 sync=0 init=0"
    node.arm(rule("sync"))
    client.go_on()
    assert client.finish().startswith("until:719=719@")


def test_rules_that_a_forked_child_inherits_expire(node, virtual_time):
    node.arm(rule("sync", Mode.DELAY, delay_ns=500 * 10**9, expires_at_ns=later(750)))
    steps = "init dev:0 fork time:sync time:sync time:sync"
    answers = node.do(steps, LD_PRELOAD=f"{node.built.library}:{virtual_time}").split()[2:]
    assert answers[0] == "time:sync=719@500000.000"
    assert answers[1].startswith("time:sync=0@2")
    assert answers[2] == "time:sync=0@0.000"


def test_a_sticky_error_is_inherited_by_a_fork(node):
    node.arm(rule("launch", Mode.STICKY, 700, max_hits=1))
    assert node.do("init dev:0 launch child launch") == "init=0 dev:0=0 launch=700 child=700 launch=700"


def test_a_process_that_dies_of_its_first_hit_has_told_of_it(node):
    node.arm(rule("sync"))
    node.run(node.steps, "init", "dev:0", "sync", "die", code=-signal.SIGABRT)
    (hit,) = node.hits()
    assert (hit.hits, hit.code, hit.gpu_uuid) == (1, 719, UUIDS[0])


def test_a_process_that_is_killed_has_told_of_its_hits(node):
    node.arm(rule("sync"))
    client = node.start("init dev:0 syncs:10 pause")
    assert client.until_paused() == "init=0 dev:0=0 syncs:10=10"
    client.kill()
    assert [hit.hits for hit in node.hits()] == [10]


def test_a_record_says_whose_it_is(node):
    node.arm(rule("sync"))
    client = node.start("init dev:0 sync pause", SCENARIO_RUNNER_CUDA_OWNER="dynamo/vllm-decode-0/main")
    client.until_paused()
    (record,) = node.records()
    namespace = str(Path("/proc/self/ns/pid").readlink())
    assert record.owner == "dynamo/vllm-decode-0/main"
    assert record.process == "steps"
    assert record.parent_pid == os.getpid()
    assert f"pid:[{record.pid_namespace}]" == namespace
    assert record.pid in children_of(os.getpid())
    client.go_on()
    client.finish()


def children_of(pid):
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(word) for one in lists for word in one.read_text().split()]


def test_without_a_hits_directory_one_line_on_stderr_tells(node, tmp_path):
    node.arm(rule("sync"), rule("launch", code=700, fault="g"))
    out = node.do("init dev:0 sync sync launch", SCENARIO_RUNNER_CUDA_HITS=None)
    assert out.count("scenario-runner: injected CUDA fault f hit process") == 1
    assert out.count("in cuCtxSynchronize, code 719") == 1
    assert out.count("scenario-runner: injected CUDA fault g hit process") == 1
    assert out.count("in cuLaunchKernel, code 700") == 1
    assert "injected CUDA fault f" in node.do("init dev:0 sync", SCENARIO_RUNNER_CUDA_HITS=str(tmp_path / "nowhere"))


def test_a_link_in_the_hits_directory_is_not_followed(node, tmp_path):
    """Somebody who knows the pid in advance could have the program write into a file of its own."""
    node.arm(rule("sync"))
    victim = tmp_path / "victim"
    victim.write_text("precious")
    client = node.start("init dev:0 pause sync")
    client.until_paused()
    (pid,) = [pid for pid in children_of(os.getpid()) if "steps" in comm(pid)]
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    namespace = str(Path("/proc/self/ns/pid").readlink())[5:-1]
    (node.hits_directory / f"{namespace}-{pid}-{ticks}.hits").symlink_to(victim)
    client.go_on()
    assert client.finish() == "sync=719"
    assert victim.read_text() == "precious"
    assert cuda_hits.read_hits(node.hits_directory).processes == ()


def comm(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except FileNotFoundError:
        return ""


def test_a_program_that_is_linked_with_a_library_that_starts_cuda_in_its_constructor_is_hit_there(node, compiled):
    starts = compiled("libstarts.so", "constructor.c", flags=("-shared", "-fPIC", f"-L{node.built.stub}", "-lcuda"))
    flags = (str(starts), f"-L{node.built.stub}", "-lcuda")
    program = compiled("constructed", "constructed.c", flags=flags)
    node.arm(rule("init", code=802))
    assert node.run(program) == "constructor: cuInit=802 main: cuInit=802 (42)"


@pytest.fixture(scope="module")
def hello(compiled):
    return compiled("hello", "hello.c")


def test_rtld_next_goes_on_finding_the_next_one(node, compiled, hello):
    shared = ("-shared", "-fPIC", "-ldl", "-w")
    outer = compiled("outer.so", "next_puts.c", flags=(*shared, '-DWHO="outer"'))
    inner = compiled("inner.so", "next_puts.c", flags=(*shared, '-DWHO="inner"'))
    for order in (
        (node.built.library, outer, inner),
        (outer, node.built.library, inner),
        (outer, inner, node.built.library),
    ):
        assert node.run(hello, LD_PRELOAD=":".join(map(str, order))) == "outer inner hello"


@pytest.mark.parametrize("is_first", [True, False], ids=["ours before", "ours after"])
def test_another_library_that_takes_dlsym_over_keeps_being_asked(node, compiled, is_first):
    other = compiled("chained.so", "chained_dlsym.c", flags=("-shared", "-fPIC", "-ldl", "-w"))
    order = [node.built.library, other] if is_first else [other, node.built.library]
    node.arm(rule("alloc"))
    answers = node.do("init dev:0 alloc", LD_PRELOAD=":".join(map(str, order)))
    assert answers == "init=0 dev:0=0 alloc=719 the other dlsym was asked"


def test_a_library_that_limits_memory_goes_on_limiting_and_its_functions_are_hit(node, compiled):
    limiting = compiled("libvgpu.so", "limiting.c", flags=("-shared", "-fPIC", "-ldl", "-w", "-Wl,-Bsymbolic"))
    linked = compiled("linked", "linked.c", flags=(f"-L{node.built.stub}", "-lcuda"))
    preload = {"LD_PRELOAD": f"{node.built.library}:{limiting}"}
    assert node.do("init dev:0 alloc", **preload) == "init=0 dev:0=0 alloc=0 limited=1"
    assert " alloc=0 copy=0 " in (out := node.run(linked, **preload))
    assert out.endswith(" limited=1")
    node.arm(rule("alloc"))
    assert node.do("init dev:0 alloc", **preload) == "init=0 dev:0=0 alloc=719 limited=0"
    assert " alloc=719 copy=0 " in (out := node.run(linked, **preload))
    assert out.endswith(" limited=0")


def test_a_program_without_a_driver_learns_so(node, compiled):
    program = compiled("probe", "probe.c", flags=("-ldl", "-w"))
    without_us = node.run(program, LD_PRELOAD=None)
    assert without_us == (
        "default cuInit: not found, with an error default cuNoSuchThing: not found, with an error "
        "program cuInit: not found, with an error default puts: found next puts: found errno 77"
    )
    assert node.run(program) == without_us
    assert node.run(program, "driver") == node.run(program, "driver", LD_PRELOAD=None)


def test_a_program_that_has_more_rights_than_its_caller_is_left_alone(node, compiled):
    """The loader drops LD_PRELOAD there; whatever else brings the library (here it is linked), it does nothing."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a program to another group")
    paths = [f"-Wl,-rpath,{folder}" for folder in (node.built.library.parent, node.built.stub)]
    linked = (f"-L{node.built.library.parent}", "-Wl,--no-as-needed", "-lscenario_cuda")
    program = compiled("linked_steps", "steps.c", flags=("-w", "-pthread", "-ldl", *linked, *paths))
    node.arm(rule("sync"))
    command, outside = (program, "init", "dev:0", "sync"), {"LD_PRELOAD": None, "LD_LIBRARY_PATH": None}
    assert node.run(*command, **outside) == "init=0 dev:0=0 sync=719"
    os.chown(program, 0, 12345)
    program.chmod(0o2755)
    assert node.run(*command, **outside) == "init=0 dev:0=0 sync=0"
    assert len(node.hits()) == 1


def test_a_missing_library_is_a_warning_and_nothing_more(node, hello, tmp_path):
    assert node.run(hello, LD_PRELOAD=str(tmp_path / "gone.so")).endswith("ignored. hello")
