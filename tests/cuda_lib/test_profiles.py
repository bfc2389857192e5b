"""The table of profiles does what it says: to programs that run already, to new ones, and to those that ask NVML."""

import pytest

from fault_agent.cuda_profiles import cuda_profiles
from fault_agent.cuda_rules import CudaPart, armed_rules
from fault_agent.inventory import Gpu
from tests.cuda_lib.node import UUIDS, later, rule

PROFILES = {row.name: row for row in cuda_profiles().rows}
LASTS = 1000  # seconds that a fault is armed in these tests

# What programs on the GPU of the fault see: one that has started CUDA before it, and one that starts after it where
# that GPU is the only one it can see. `@45` = so many seconds late, `@end` = when the fault is over.
HEALTHY = "launch=0 sync=0 alloc=0 copy=0 peer=801"  # the stand-in driver has no peers
NO_CONTEXT = "launch=201 sync=201 alloc=201 copy=201 peer=801"
EFFECTS = {
    "gpu-lost": ("launch=0 sync=719 alloc=719 copy=719 peer=719", f"init=100 context=999 {NO_CONTEXT}"),
    "ecc-uncorrectable": ("launch=214 sync=214 alloc=214 copy=214 peer=214", f"init=0 context=214 {NO_CONTEXT}"),
    "ecc-contained": ("launch=214 sync=214 alloc=214 copy=214 peer=214", f"init=0 context=0 {HEALTHY}"),
    "mmu-fault": ("launch=0 sync=700 alloc=700 copy=700 peer=700", f"init=0 context=0 {HEALTHY}"),
    "engine-exception": ("launch=0 sync=715 alloc=715 copy=715 peer=715", f"init=0 context=0 {HEALTHY}"),
    "stopped-processing": ("launch=0 sync=702@30 alloc=702 copy=702 peer=702", f"init=0 context=0 {HEALTHY}"),
    "nvlink-error": (
        "launch=0 sync=220 alloc=220 copy=220 peer=220",
        "init=0 context=0 launch=0 sync=0 alloc=0 copy=0 peer=220",
    ),
    "gsp-timeout": ("launch=0 sync=0 alloc=999@45 copy=0 peer=801", f"init=0 context=999@45 {NO_CONTEXT}"),
    "oom": (
        "launch=0 sync=0 alloc=2 copy=0 peer=801",
        "init=0 context=0 launch=0 sync=0 alloc=2 copy=0 peer=801",
    ),
    "slow": (
        "launch=0@0.005 sync=0@0.005 alloc=0 copy=0@0.005 peer=801",
        "init=0 context=0 launch=0@0.005 sync=0@0.005 alloc=0 copy=0@0.005 peer=801",
    ),
    "hang": (
        "launch=0 sync=0@end alloc=0 copy=0 peer=801",
        "init=0 context=0 launch=0 sync=0@end alloc=0 copy=0 peer=801",
    ),
    "not-ready": (HEALTHY, "init=802 context=0 " + HEALTHY),
}
# What NVML answers about that GPU, where it is not as ever.
NVML = {
    "gpu-lost": "temperature=15 link=15",
    "nvlink-error": "temperature=0 link=999",
    "gsp-timeout": "temperature=999@45 link=999@45",
}
CALLS = " ".join(f"time:{call}" for call in ("launch", "sync", "alloc", "copy", "peer"))


def rules_of(name, index):
    """As the agent makes them for a GPU."""
    now = later(0) / 1e9
    gpu = Gpu(index, index, UUIDS[index], f"0000:{index + 1}0:00")
    return armed_rules(name, CudaPart(name, PROFILES[name].rules, now), gpu, now + LASTS)


def told(answers):
    """The answers to `time:` steps without what every answer has, its microseconds."""
    return " ".join(_told(part) for part in answers.replace("time:", "").split())


def _told(part):
    answer, timed, milliseconds = part.partition("@")
    seconds = round(float(milliseconds) / 1000, 3) if timed else 0
    late = "@end" if seconds > LASTS / 2 else f"@{seconds:g}"
    return answer + (late if seconds else "")


@pytest.fixture
def preload(node, virtual_time):
    return f"{node.built.library}:{virtual_time}"


def test_every_fault_that_drills_need_has_a_profile():
    assert sorted(xid for row in PROFILES.values() for xid in row.xids) == [13, 31, 43, 48, 74, 79, 94, 95, 119, 120]
    assert PROFILES.keys() == EFFECTS.keys()


@pytest.mark.parametrize("name", PROFILES)
def test_every_line_says_what_it_rests_on(name):
    assert all(len(line.evidence) >= len("Definition") for line in PROFILES[name].lines)


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_does_what_it_says_to_its_gpu_and_nothing_to_the_next(node, preload, name):
    running, new = EFFECTS[name]
    client = node.start(f"init dev:0 dev:3 pause until:46 pause dev:0 {CALLS} dev:1 {CALLS}", LD_PRELOAD=preload)
    assert client.until_paused() == "init=0 dev:0=0 dev:3=0"
    # the program knows the profile once it knows the rule that was written with it, for another GPU
    node.arm(*rules_of(name, 0), rule("sync", code=46, gpu=node.gpu(3)))
    client.go_on()
    assert client.until_paused().startswith("until:46=46@")
    client.go_on()
    assert told(client.finish()) == f"dev:0=0 {running} dev:1=0 {HEALTHY}"
    started = f"time:init time:context {CALLS}"
    assert told(node.do(started, CUDA_VISIBLE_DEVICES="0", LD_PRELOAD=preload)) == new
    assert told(node.do(started, CUDA_VISIBLE_DEVICES="1", LD_PRELOAD=preload)) == f"init=0 context=0 {HEALTHY}"


@pytest.mark.parametrize("name", PROFILES)
def test_nvml_agrees_with_the_profile_about_that_gpu_and_no_other(node, preload, compiled, name):
    program = compiled("nvml", "nvml.c", flags=("-w", "-ldl"))
    as_ever = "temperature=0 link=0"
    answers = [NVML.get(name, as_ever) if index == 2 else as_ever for index in range(4)]
    node.arm(*rules_of(name, 2))
    assert node.run(program, LD_PRELOAD=preload) == "init=0 count=0 " + " ".join(
        f"| handle=0 uuid=0 {answer}" for answer in answers
    )
