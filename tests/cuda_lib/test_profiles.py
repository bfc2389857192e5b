"""The table of profiles: complete, of words that the library knows, and doing what it says."""

import json

import pytest

from fault_agent.cuda_control import CallClass, GpuUuid, Mode, Rule
from tests.cuda_lib.conftest import CUDA_LIB
from tests.cuda_lib.node import UUIDS, later, rule

TABLE = json.loads((CUDA_LIB.parent / "schemas" / "cuda_profiles.json").read_text())
PROFILES = {profile["name"]: profile for profile in TABLE["profiles"]}
FIELDS = {"classes", "mode", "code", "nvml_code", "delay", "free_bytes", "evidence", "measured"}

# What a program on the GPU of the fault sees that was started before it (`launch sync alloc sync`), and one after it
# where that GPU is the only one it can see (`init dev:0`); then what the GPU beside it says.
EFFECTS = {
    "gpu-lost": ("launch=0 sync=719 alloc=719 sync=719", "init=100 dev:0=999"),
    "ecc-uncorrectable": ("launch=214 sync=214 alloc=214 sync=214", "init=0 dev:0=214"),
    "ecc-contained": ("launch=214 sync=214 alloc=214 sync=214", "init=0 dev:0=0"),
    "mmu-fault": ("launch=0 sync=700 alloc=700 sync=700", "init=0 dev:0=0"),
    "engine-exception": ("launch=0 sync=715 alloc=715 sync=715", "init=0 dev:0=0"),
    "stopped-processing": ("launch=0 sync=702 alloc=702 sync=702", "init=0 dev:0=0"),
    "nvlink-error": ("launch=0 sync=220 alloc=220 sync=220", "init=0 dev:0=0"),
    "gsp-timeout": ("launch=0 sync=0 alloc=999 sync=0", "init=0 dev:0=999"),
    "oom": ("launch=0 sync=0 alloc=2 sync=0", "init=0 dev:0=0"),
    "slow": ("launch=0 sync=0 alloc=0 sync=0", "init=0 dev:0=0"),
    "hang": None,  # blocks until disarmed, see test_modes
    "not-ready": ("launch=0 sync=0 alloc=0 sync=0", "init=802 dev:0=0"),
}


def rules_of(profile, shortest=1e-3, gpu=None):
    """As the agent makes them, but that nothing takes longer than a millisecond."""
    return [
        Rule(
            fault=profile["name"],
            part=part,
            mode=Mode[line["mode"].upper()],
            classes=CallClass(sum(CallClass[name.upper()] for name in line["classes"])),
            expires_at_ns=later(),
            code=line.get("code", 0),
            nvml_code=line.get("nvml_code", 0),
            delay_ns=int(min(line.get("delay", 0), shortest) * 1e9),
            free_bytes=line.get("free_bytes", 0),
            gpu=gpu,
        )
        for part, line in enumerate(profile["rules"])
    ]


def test_every_fault_that_drills_need_has_a_profile():
    xids = [xid for profile in TABLE["profiles"] for xid in profile["xids"]]
    assert sorted(xids) == [13, 31, 43, 48, 74, 79, 94, 95, 119, 120]
    assert PROFILES.keys() == EFFECTS.keys()


@pytest.mark.parametrize("name", PROFILES)
def test_every_line_is_made_of_known_words_and_says_what_it_rests_on(name):
    profile = PROFILES[name]
    assert profile.keys() == {"name", "title", "xids", "running_process", "new_process", "rules"}
    assert rules_of(profile)
    for line in profile["rules"]:
        assert line.keys() <= FIELDS
        assert len(line["evidence"]) >= 10
        assert isinstance(line["measured"], bool)


@pytest.mark.parametrize("name", [name for name, effect in EFFECTS.items() if effect])
def test_a_profile_does_what_it_says_to_its_gpu_and_nothing_to_the_next(node, name):
    running, new = EFFECTS[name]
    steps = "launch sync alloc sync"
    healthy = "launch=0 sync=0 alloc=0 sync=0"
    client = node.start(f"init dev:0 dev:3 pause until:46 pause dev:0 {steps} dev:1 {steps}")
    assert client.until_paused() == "init=0 dev:0=0 dev:3=0"
    # the program knows the profile once it knows the rule that was written with it, for another GPU
    node.arm(*rules_of(PROFILES[name], gpu=GpuUuid(UUIDS[0])), rule("sync", code=46, gpu=GpuUuid(UUIDS[3])))
    client.go_on()
    assert client.until_paused().startswith("until:46=46@")
    client.go_on()
    assert client.finish() == f"dev:0=0 {running} dev:1=0 {healthy}"
    assert node.do("init dev:0", CUDA_VISIBLE_DEVICES="0") == new
    assert node.do("init dev:1", CUDA_VISIBLE_DEVICES="0,1") == "init=0 dev:1=0"
