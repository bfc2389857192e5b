"""The C half and the Python half of the control file and of the hit record are the same format."""

import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from fault_agent import cuda_control, cuda_hits
from fault_agent.cuda_control import CallClass, Control, ControlUnreadable, GpuOrdinal, GpuPci, GpuUuid, Mode, Rule
from fault_agent.cuda_hits import Hit, HitsRead, ProcessHits

UUID = "GPU-0a1b2c3d-0405-0607-0809-0a0b0c0d0e0f"
BOOT = "0f1e2d3c-aaaa-bbbb-cccc-0123456789ab"
PLAIN = Rule("xid-79", Mode.STICKY, CallClass.LAUNCH | CallClass.SYNC, 10**18, code=719)
FULL = Rule(
    fault="n" * 103,
    mode=Mode.OOM,
    classes=CallClass.ALLOC | CallClass.NVLINK,
    expires_at_ns=2**63,
    code=2,
    nvml_code=15,
    part=3,
    gpu=GpuUuid(UUID),
    sticky_for_process=True,
    not_before_ns=11,
    after_calls=12,
    probability=0.25,
    max_hits=13,
    min_bytes=14,
    delay_ns=15,
    free_bytes=16,
    process="p" * 15,
    started_before_ns=17,
)


@pytest.fixture(scope="session")
def dump(tmp_path_factory, compiled):
    program = compiled("dump_formats", "dump_formats.c", library_sources=["control.c"])

    def run(*arguments: object) -> list[str]:
        done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    return run


def test_c_reads_what_python_wrote(dump, tmp_path):
    rules = (PLAIN, FULL, replace(PLAIN, gpu=GpuPci(1, 0x17, 2)), replace(PLAIN, gpu=GpuOrdinal(5)))
    cuda_control.write(tmp_path / "rules", rules, boot_id=BOOT, now_ns=77)

    zeros = "0" * 32
    plain = f"xid-79|0||2|{(1 << 7) | (1 << 8)}"
    rest = f"719|0|1000000|{10**18}|0|0|0|0|0|0|0"
    uuid = UUID.removeprefix("GPU-").replace("-", "")
    assert dump("control", tmp_path / "rules") == [
        "valid",
        f"1|{BOOT}|77",
        f"{plain}|0|0|{zeros}|0:0:0|0|{rest}",
        f"{'n' * 103}|3|{'p' * 15}|6|{(1 << 4) | (1 << 15)}|1|1|{uuid}|0:0:0|0|2|15|250000|{2**63}|"
        + "|".join(map(str, range(11, 18))),
        f"{plain}|2|0|{zeros}|1:23:2|0|{rest}",
        f"{plain}|3|0|{zeros}|0:0:0|5|{rest}",
    ]


def test_python_reads_what_python_wrote(tmp_path):
    written = cuda_control.write(tmp_path / "rules", [PLAIN, FULL], boot_id=BOOT, now_ns=77)
    assert written == Control(1, BOOT, 77, (PLAIN, FULL))
    assert cuda_control.read(tmp_path / "rules") == written


def test_every_writing_has_a_greater_generation_and_leaves_one_file(tmp_path):
    path = tmp_path / "rules"
    (tmp_path / ".rules.new").write_text("left by a writer that was killed")
    generations = [cuda_control.write(path, [], boot_id=BOOT, now_ns=1).generation for _ in range(3)]
    assert generations == [1, 2, 3]
    assert [entry.name for entry in tmp_path.iterdir()] == ["rules"]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("empty", lambda page: b""),
        ("half", lambda page: page[:2048]),
        ("too long", lambda page: page + b"\0"),
        ("another magic", lambda page: b"X" + page[1:]),
        ("the version before", lambda page: page[:8] + b"\1" + page[9:]),
        ("one bit of a rule", lambda page: page[:300] + bytes([page[300] ^ 1]) + page[301:]),
        ("one bit at the end", lambda page: page[:-1] + b"\1"),
    ],
)
def test_a_damaged_control_file_is_refused_on_both_sides(dump, tmp_path, name, damage):
    path = tmp_path / "rules"
    cuda_control.write(path, [PLAIN], boot_id=BOOT, now_ns=77)
    path.write_bytes(damage(path.read_bytes()))
    assert dump("control", path) == ["torn"]
    with pytest.raises(ControlUnreadable):
        cuda_control.read(path)


def test_no_control_file_is_none_and_a_pipe_in_its_place_blocks_nobody(dump, tmp_path):
    assert cuda_control.read(tmp_path / "rules") is None
    assert dump("control", tmp_path / "rules") == ["absent"]
    os.mkfifo(tmp_path / "pipe")
    assert dump("control", tmp_path / "pipe") == ["torn"]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([PLAIN] * 17, "17 rules are armed at once, the CUDA library knows at most 16."),
        ([replace(PLAIN, expires_at_ns=0)], "Rule xid-79 has no expiry, it would outlive a dead agent."),
        ([replace(PLAIN, probability=0)], "The probability of rule xid-79 is 0, it must be in 0.000001..1."),
        ([replace(PLAIN, process="p" * 16)], f"The process name '{'p' * 16}' is longer than 15 bytes or holds a NUL."),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(tmp_path, rules, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        cuda_control.write(tmp_path / "rules", rules, boot_id=BOOT, now_ns=1)
    assert list(tmp_path.iterdir()) == []


RECORD = ProcessHits(
    pid=7,
    parent_pid=1,
    root_pid=1,
    pid_namespace=4026531836,
    start_ticks=123456,
    process="engine",
    owner="dynamo/vllm-0/main",
    boot_id="some-boot",
    generation=9,
    written_at_ns=5000000001,
    hits=(
        Hit(
            fault="f-1",
            part=2,
            calls=30,
            hits=3,
            nvml_hits=4,
            first_hit_ns=4000000001,
            last_hit_ns=4000000002,
            code=719,
            gpu_uuid="GPU-01020300-0000-0000-0000-000000000000",
            function="cuLaunchKernel",
        ),
    ),
)


def test_python_reads_what_c_wrote(dump, tmp_path):
    dump("hits", tmp_path / "1-7-123456.hits")
    assert cuda_hits.read_hits(tmp_path) == HitsRead((RECORD,), ())
    assert not RECORD.came_by_exec


def test_what_a_tenant_may_put_into_the_hits_directory_is_named_and_never_followed(dump, tmp_path):
    hits = tmp_path / "hits"
    cuda_hits.prepare_directory(hits)
    dump("hits", tmp_path / "elsewhere")
    (hits / "a.hits").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(hits / "b.hits")
    (hits / "c.hits").mkdir()
    (hits / "d.hits").write_bytes((tmp_path / "elsewhere").read_bytes()[:-1])
    (hits / "notes.txt").write_text("not ours")
    assert hits.stat().st_mode & 0o7777 == 0o1777
    assert cuda_hits.read_hits(hits) == HitsRead((), ("a.hits", "b.hits", "c.hits", "d.hits"))


def test_records_of_faults_that_are_over_are_forgotten(dump, tmp_path):
    dump("hits", tmp_path / "1.hits")
    assert cuda_hits.forget_hits(tmp_path, keep={"f-1"}) == 0
    assert cuda_hits.forget_hits(tmp_path, keep={"f-2"}) == 1
    assert cuda_hits.read_hits(tmp_path / "nowhere") == cuda_hits.read_hits(tmp_path) == HitsRead((), ())
    assert list(Path(tmp_path).iterdir()) == []
