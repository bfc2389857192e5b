"""The undo journal: what is read back after a crash at any byte, damage, other versions, and two processes at once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scenario_runner.core.undo import UNDOS
from scenario_runner.core.undo.recover_fault import RecoverFault
from scenario_runner.engine.appending import Disk
from scenario_runner.engine.journal import Journal
from scenario_runner.engine.records import decode, encode, replay
from scenario_runner.errors import Refused, StepBroken

GOLDEN = Path(__file__).parent / "golden"


def undo(name: str) -> RecoverFault:
    return RecoverFault(fault_id=f"gpu-1~{name}", node="gpu-1", xid=79)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "undo.jsonl"


def own(path, disk=None) -> Journal:
    return Journal.own(path, "run", UNDOS, disk)


def written(path) -> bytes:
    """A journal with every kind of record."""
    journal = own(path)
    for name in ("a", "b", "c", "d"):
        journal.promise(undo(name), f"step-{name}", ("group",))
    for seq, kind in ((1, "done"), (2, "unknown"), (3, "withdrawn"), (1, "kept"), (2, "left")):
        journal.mark(seq, kind, f"promise {seq} is {kind}")
    journal.close()
    return path.read_bytes()


def states(path):
    return {one.seq: one.state for one in replay(path, UNDOS).promises.values()}


def test_promises_come_back_newest_first_with_what_became_of_them(path):
    written(path)

    past = replay(path, UNDOS)

    assert [(one.seq, one.state, one.step_id, one.scope, one.undo) for one in past.outstanding] == [
        (4, "promise", "step-d", ("group",), undo("d")),
        (2, "left", "step-b", ("group",), undo("b")),
    ]
    assert (past.run, past.bad) == ("run", ())
    assert past.promises[2].detail == "promise 2 is left"


def test_every_prefix_of_a_journal_says_exactly_what_its_whole_lines_say(path):
    whole = written(path)
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        lines = whole[:cut].split(b"\n")[:-1]
        expected = {}
        for line in lines:
            record = json.loads(line)
            expected[record["seq"]] = record["kind"]

        past = replay(path, UNDOS)

        assert ({one.seq: one.state for one in past.promises.values()}, past.bad) == (expected, ())
        assert path.read_bytes() == whole[:cut], "reading wrote"


def test_every_prefix_of_a_journal_can_be_gone_on_with(path):
    whole = written(path)
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        before = len(states(path))

        journal = own(path)
        made = journal.promise(undo("new"))
        journal.close()

        assert made.seq == before + 1
        assert replay(path, UNDOS).bad == ()
        assert states(path)[made.seq] == "promise"


def test_a_bad_line_inside_is_reported_and_the_others_are_replayed(path):
    lines = written(path).split(b"\n")
    lines[4] = lines[4].replace(b"done", b"kept")
    path.write_bytes(b"\n".join(lines))

    past = replay(path, UNDOS)

    assert past.bad == ("line 5 of the journal cannot be read: its checksum does not match",)
    assert [one.seq for one in past.outstanding] == [4, 2]


def test_a_promise_that_cannot_be_read_is_listed_and_never_forgotten(path):
    lines = written(path).split(b"\n")
    path.write_bytes(b"\n".join([lines[0], b"\x00\xff garbage", *lines[2:4]]) + b"\n")

    past = replay(path, UNDOS)

    assert past.bad == ("line 2 of the journal cannot be read: it is not JSON",)
    assert [(one.seq, one.undo, one.detail) for one in past.outstanding] == [
        (4, undo("d"), ""), (3, undo("c"), ""), (2, None, "the line of its promise cannot be read"), (1, undo("a"), ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"[]", "it is not a JSON object"),
        (b'{"v":1}', "its checksum does not match"),
        (encode("r", 1, "promise", {}).replace(b'"v":1', b'"v":2'), "its checksum does not match"),
        (encode("r", 1, "nonsense", {}), "it has no kind or no number that this version knows"),
    ],
)
def test_a_damaged_line_says_what_is_wrong(line, problem):
    with pytest.raises(ValueError, match=problem):
        decode(line)


def test_a_record_of_a_later_format_is_reported():
    import zlib

    record = {"v": 2, "run": "r", "seq": 1, "kind": "promise"}
    crc = f"{zlib.crc32(json.dumps(record, sort_keys=True, separators=(',', ':')).encode()):08x}"
    with pytest.raises(ValueError, match="it is of format 2, this version reads format 1"):
        decode(json.dumps({**record, "crc": crc}).encode())


def test_a_record_that_is_there_twice_is_fine(path):
    whole = written(path)
    path.write_bytes(b"".join(line + b"\n" + line + b"\n" for line in whole.split(b"\n")[:-1]))

    assert states(path) == {1: "kept", 2: "left", 3: "withdrawn", 4: "promise"}


def test_a_promise_of_an_unknown_kind_is_listed_with_the_version_that_wrote_it(world):
    body = {"step": "s", "scope": [], "version": "9.9.9", "undo": {"undo": "close_wormhole", "where": "gpu-1"}}
    world.journal.close()
    path = world.folder / "undo.jsonl"
    path.write_bytes(encode("run", 1, "promise", body))
    from scenario_runner.engine.undoing import take_back_all

    journal = own(path)
    undone = take_back_all(journal.outstanding, world.undo_context(), journal, lambda promise: None)
    journal.close()

    assert [(one.kept, one.detail) for one in undone] == [
        (False, "this version knows no undo of kind 'close_wormhole'; it was written by version 9.9.9"),
    ]  # fmt: skip
    assert states(path) == {1: "left"}


def test_a_promise_whose_undo_has_odd_fields_is_left(path):
    path.write_bytes(encode("run", 1, "promise", {"undo": {"undo": "recover_fault", "fault_id": "x"}}))

    assert replay(path, UNDOS).promises[1].detail == "its undo cannot be read: node: Field required"


def test_only_one_process_owns_a_journal(path):
    first = own(path)
    code = (
        "import sys; from pathlib import Path; from scenario_runner.engine.journal import Journal\n"
        "from scenario_runner.core.undo import UNDOS; from scenario_runner.errors import Refused\n"
        "try: Journal.own(Path(sys.argv[1]), 'run', UNDOS)\nexcept Refused as exc: print(exc)"
    )
    refused = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    first.close()

    assert refused.stdout == f"run run is still running: another process owns {path}\n"
    own(path).close()


def test_reading_a_journal_that_another_owns_neither_waits_nor_writes(path):
    journal = own(path)
    journal.promise(undo("a"))
    os.write(os.open(path, os.O_WRONLY | os.O_APPEND), b'{"torn')

    assert states(path) == {1: "promise"}
    assert path.read_bytes().endswith(b'{"torn')
    journal.close()


@pytest.mark.parametrize("golden", sorted(GOLDEN.glob("*.jsonl")), ids=lambda path: path.stem)
def test_journals_of_every_release_can_still_be_read(golden):
    past = replay(golden, UNDOS)

    assert past.bad == ()
    assert {one.seq: (one.kind, one.state) for one in past.promises.values()} == {
        1: ("recover_fault", "kept"), 2: ("revert_edits", "left"), 3: ("recover_fault", "withdrawn"),
        4: ("recover_fault", "unknown"),
    }  # fmt: skip
    assert all(one.undo is not None for one in past.promises.values())


class BrokenDisk:
    """A disk that fails after `room` bytes; with `stubborn` it cannot even shorten a file."""

    def __init__(self, room: int, *, stubborn: bool = False) -> None:
        self.room = room
        self.stubborn = stubborn

    def disk(self) -> Disk:
        return Disk(write=self._write, truncate=self._truncate)

    def _write(self, fd: int, data: bytes) -> int:
        if self.room <= 0:
            raise OSError(28, "No space left on device")
        part = data[: self.room]
        self.room -= len(part)
        return os.write(fd, part)

    def _truncate(self, fd: int, length: int) -> None:
        if self.stubborn:
            raise OSError(5, "Input/output error")
        os.ftruncate(fd, length)


def test_a_full_disk_refuses_the_promise_and_leaves_no_torn_line(path):
    disk = BrokenDisk(300)
    journal = own(path, disk.disk())
    journal.promise(undo("a"))

    with pytest.raises(StepBroken, match=r"^nothing was changed: the undo journal cannot take the promise: .*No space"):
        journal.promise(undo("b"))

    assert path.read_bytes().endswith(b"}\n")
    assert [one.seq for one in journal.outstanding] == [1]
    disk.room = 10_000
    assert journal.promise(undo("c")).seq == 2
    journal.close()
    assert states(path) == {1: "promise", 2: "promise"}


def test_when_a_torn_line_cannot_be_removed_no_change_is_accepted_any_more_and_undo_goes_on_in_memory(path):
    disk = BrokenDisk(300, stubborn=True)
    journal = own(path, disk.disk())
    journal.promise(undo("a"))
    with pytest.raises(StepBroken):
        journal.promise(undo("b"))
    disk.room = 10_000

    with pytest.raises(StepBroken, match="a torn line could not be removed"):
        journal.promise(undo("c"))
    journal.mark(1, "kept")

    assert journal.outstanding == ()
    assert journal.notes == (
        "the undo journal does not say that promise 1 is kept: a torn line could not be removed: Input/output error",
    )
    journal.close()
    assert states(path) == {1: "promise"}, "undone twice is fine, forgotten is not"


def test_a_sync_that_fails_is_a_promise_that_was_not_made(path):
    def sync(fd: int) -> None:
        raise OSError(5, "Input/output error")

    journal = own(path, Disk(sync=sync))
    with pytest.raises(StepBroken):
        journal.promise(undo("a"))
    journal.close()

    assert path.read_bytes() == b""


def test_a_run_on_a_full_disk_changes_nothing(tmp_path):
    from tests.engine.kinds import Claim, Inject, Pause
    from tests.fakes import FakeWorld, plan_of

    world = FakeWorld(tmp_path, disk=BrokenDisk(100).disk())

    report = world.run(plan_of(Pause(), Inject(), Claim()))

    assert [str(one.status) for one in report.outcomes] == ["passed", "broken", "skipped"]
    assert world.agent.calls == []
    assert report.verdict.exit_code == 3
    world.journal.close()


def test_a_real_limit_on_the_size_of_files_refuses_the_change(tmp_path):
    """The kernel itself refuses to let the journal grow."""
    code = """
import resource, signal, sys
from pathlib import Path
from tests.engine.kinds import Claim, Inject
from tests.fakes import FakeWorld, plan_of
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
world = FakeWorld(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
report = world.run(plan_of(Inject(), Claim()))
print(report.verdict.exit_code, world.agent.calls, report.outcomes[0].summary, sep="|")
"""
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)

    assert ended.stderr == ""
    assert ended.stdout == ("3|[]|nothing was changed: the undo journal cannot take the promise: File too large\n")
    assert (tmp_path / "undo.jsonl").read_bytes() == b""


def test_a_promise_is_on_the_disk_before_it_returns_and_so_is_the_folder(path):
    synced = []

    def sync(fd: int) -> None:
        synced.append(path.read_bytes())
        os.fsync(fd)

    journal = own(path, Disk(sync=sync))
    journal.promise(undo("a"))
    journal.close()

    assert synced == [path.read_bytes()]


def test_the_owner_refuses_a_journal_of_a_living_run(path):
    journal = own(path)
    with pytest.raises(Refused, match="still running"):
        own(path)
    journal.close()
